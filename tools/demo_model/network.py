"""The demo model as it is trained: text encoders and transformer together, and the flow between noise and picture.

Must not know: files, drawing, or the page.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from darkroom.catalog import DEMO
from darkroom.engine.demo import DemoFluxDiT, DemoTextEncoderClip, DemoTextEncoderT5

CLIP_TOKENS = 77
PROMPT_TOKENS = DEMO.prompt_tokens
HALFWAY = 4  # the single block after which the network shows what it thinks
SHIFT = 3.0  # of the sigmas, as in DiffSynth's FLUX.1 schedule


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """clip is (batch, 77), t5 is (batch, PROMPT_TOKENS); both int64."""

    clip: Tensor
    t5: Tensor


class DemoNetwork(nn.Module):
    """Both text encoders and the transformer. Predicts noise − picture from a mixture of both."""

    def __init__(self) -> None:
        super().__init__()
        self.text_encoder_1 = DemoTextEncoderClip()
        self.text_encoder_2 = DemoTextEncoderT5()
        self.text_encoder_2.encoder.embed_tokens = self.text_encoder_2.shared
        self.dit = DemoFluxDiT()
        self._initialize()

    def _initialize(self) -> None:
        """As in diffusion transformers: modulation and last projection start at zero; each block is identity."""
        for name, layer in self.dit.named_modules():
            if isinstance(layer, nn.Linear):
                modulation = name.endswith("norm.linear") or "norm1_" in name or "final" in name
                (nn.init.zeros_ if modulation else nn.init.xavier_uniform_)(layer.weight)
                nn.init.zeros_(layer.bias)
        for layer in self.text_encoder_1.modules():
            if isinstance(layer, nn.Embedding):
                nn.init.normal_(layer.weight, std=0.5)
        nn.init.normal_(self.text_encoder_1.position_embeds, std=0.1)

    def encode(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """The prompt (batch, PROMPT_TOKENS, width) and the pooled prompt (batch, width)."""
        pooled, _ = self.text_encoder_1(tokens.clip)
        return self.text_encoder_2(tokens.t5), pooled

    def forward(self, latents: Tensor, sigma: Tensor, prompt: Tensor, pooled: Tensor, guidance: Tensor) -> Tensor:
        """Velocity (batch, 16, H/8, W/8). The same arithmetic as DiffSynth's `model_fn_flux_image`, for batches."""
        return self.thinking_aloud(latents, sigma, prompt, pooled, guidance)[0]

    def thinking_aloud(
        self, latents: Tensor, sigma: Tensor, prompt: Tensor, pooled: Tensor, guidance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The velocity, and what the image tokens (batch, H/16 · W/16, width) hold halfway."""
        dit, dtype = self.dit, latents.dtype
        conditioning = dit.time_embedder(sigma * 1000, dtype) + dit.pooled_text_embedder(pooled)
        assert dit.guidance_embedder is not None
        conditioning = conditioning + dit.guidance_embedder(guidance * 1000, dtype)
        height, width = latents.shape[-2:]
        image = dit.x_embedder(dit.patchify(latents))
        text = dit.context_embedder(prompt)
        rope = self._positions(text.shape[1], latents)
        for block in dit.blocks:
            image, text = block(image, text, conditioning, rope)
        joined = torch.cat([text, image], dim=1)
        for place, block in enumerate(dit.single_blocks):
            joined, text = block(joined, text, conditioning, rope)
            if place == HALFWAY:
                halfway = joined[:, text.shape[1] :]
        image = dit.final_norm_out(joined[:, text.shape[1] :], conditioning)
        velocity: Tensor = dit.unpatchify(dit.final_proj_out(image), height, width)
        return velocity, halfway

    @torch.no_grad()
    def _positions(self, text_tokens: int, latents: Tensor) -> Tensor:
        image_ids = self.dit.prepare_image_ids(latents[:1].float())
        text_ids = image_ids.new_zeros(1, text_tokens, 3)
        positions: Tensor = self.dit.pos_embedder(torch.cat([text_ids, image_ids], dim=1))
        return positions

    def compile_blocks(self) -> None:
        if not torch.cuda.is_available():
            return
        for block in (*self.dit.blocks, *self.dit.single_blocks):
            # a few picture sizes and always as many at once: each gets its own kernels
            block.forward = torch.compile(block.forward, dynamic=False)


class Average:
    """A running average of parameters; what is shipped."""

    def __init__(self, model: nn.Module, decay: float = 0.9995) -> None:
        self.decay = decay
        self.steps = 0
        self.values = [parameter.detach().clone() for parameter in model.parameters()]

    @torch.no_grad()
    def update(self, parameters: Iterable[Tensor]) -> None:
        self.steps += 1
        weight = max(1 - self.decay, 1 / (self.steps + 1))
        torch._foreach_lerp_(self.values, list(parameters), weight)

    def save(self, model: nn.Module, path: Path) -> None:
        names = [name for name, _ in model.named_parameters()]
        save_file({name: value.cpu() for name, value in zip(names, self.values, strict=True)}, path)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        for parameter, value in zip(model.parameters(), self.values, strict=True):
            parameter.copy_(value)


def random_sigmas(count: int, device: torch.device) -> Tensor:
    """Noise levels for training: logit-normal, shifted as the schedule is; one in eight uniform."""
    middle = torch.sigmoid(torch.randn(count, device=device))
    uniform = torch.rand(count, device=device)
    base = torch.where(torch.rand(count, device=device) < 0.125, uniform, middle)
    return SHIFT * base / (1 + (SHIFT - 1) * base)


@torch.no_grad()
def sample(
    network: DemoNetwork,
    tokens: Tokens,
    *,
    empty: Tokens | None = None,
    width: int,
    height: int,
    steps: int = 8,
    guidance: float = 3.5,
    cfg_scale: float = 1.0,
    seeds: Sequence[int],
) -> Tensor:
    """Latents (batch, 16, H/8, W/8) by Euler steps over DiffSynth's schedule. With `empty`, true guidance."""
    device = tokens.t5.device
    shape = (1, 16, height // 8, width // 8)
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    latents = torch.cat(noise).to(device)
    sigmas = torch.linspace(1.0, 0.003 / 1.002, steps)
    sigmas = torch.cat([SHIFT * sigmas / (1 + (SHIFT - 1) * sigmas), torch.zeros(1)])
    levels = torch.full((len(latents),), guidance, device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        asked, nothing = network.encode(tokens), network.encode(empty) if empty is not None else None
        for now, after in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
            sigma = torch.full((len(latents),), now, device=device)
            velocity = network(latents, sigma, *asked, levels).float()
            if nothing is not None:
                prompt, pooled = (part.expand(len(latents), *part.shape[1:]).contiguous() for part in nothing)
                without = network(latents, sigma, prompt, pooled, levels).float()
                velocity = without + cfg_scale * (velocity - without)
            latents = latents + (after - now) * velocity
    return latents
