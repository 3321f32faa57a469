"""Trains the LoRA "ink" for the demo model: another drawing style, in the LoRA layout that most FLUX.1 tools read.

Run: python -m tools.demo_model.train_lora --help. Must not know: how the page or the engine load it.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tools.demo_model.export import METADATA, lora_names, save
from tools.demo_model.network import DemoNetwork, Tokens, random_sigmas
from tools.demo_model.train_flow import Batches, load_latents, load_network

RANK = 8
TOKENS_A_STEP = 20_000
TRIGGER = "ink drawing"


class LoraLinear(nn.Module):
    """A frozen linear layer, and a product of two narrow matrices beside it that learns."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.empty(rank, layer.in_features, device=layer.weight.device))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank, device=layer.weight.device))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.layer(inputs)
        return result + inputs @ self.down.T.to(inputs.dtype) @ self.up.T.to(inputs.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="pictures drawn with --style ink")
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_float32_matmul_precision("high")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    latents, scenes = load_latents([arguments.data], arguments.vae, device)
    network = DemoNetwork().to(device)
    load_network(network, arguments.network)
    network.requires_grad_(False)
    layers = add_lora(network.dit, RANK)
    source = Batches(
        scenes, [one.shape[-2] * one.shape[-1] // 4 for one in latents], arguments.tokenizers, seed=arguments.seed
    )
    source.tokens_a_step = TOKENS_A_STEP
    train(network, layers, latents, DataLoader(source, batch_size=None, num_workers=arguments.workers), arguments)
    details = {
        "ss_base_model_version": "darkroom demo 1",
        "ss_network_dim": str(RANK),
        "ss_network_alpha": str(RANK),
        "ss_output_name": "ink",
        "modelspec.title": "ink",
        "modelspec.trigger_phrase": TRIGGER,
        "modelspec.license": "MIT",
    }
    save(lora_state(layers), arguments.out, METADATA | details)


def add_lora(transformer: nn.Module, rank: int) -> dict[str, LoraLinear]:
    """Put a LoRA beside every linear layer of the blocks; returns them by the layers' names."""
    layers = {}
    for name in lora_names():
        parent, last = name.rsplit(".", 1)
        holder = transformer.get_submodule(parent)
        layer = getattr(holder, last)
        assert isinstance(layer, nn.Linear)
        layers[name] = LoraLinear(layer, rank)
        setattr(holder, last, layers[name])
    return layers


def lora_state(layers: dict[str, LoraLinear]) -> dict[str, Tensor]:
    names = lora_names()
    state = {}
    for name, layer in layers.items():
        state[f"{names[name]}.lora_down.weight"] = layer.down.detach().bfloat16().cpu().contiguous()
        state[f"{names[name]}.lora_up.weight"] = layer.up.detach().bfloat16().cpu().contiguous()
        state[f"{names[name]}.alpha"] = torch.tensor(float(len(layer.down)))
    return dict(sorted(state.items()))


def train(
    network: DemoNetwork,
    layers: dict[str, LoraLinear],
    latents: list[Tensor],
    loader: "DataLoader[object]",
    arguments: argparse.Namespace,
) -> None:
    device = latents[0].device
    parameters = [parameter for layer in layers.values() for parameter in layer.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=arguments.rate, betas=(0.9, 0.99), weight_decay=1e-3)
    began, step, total = time.monotonic(), 0, 0.0
    batches = iter(loader)
    while (progress := (time.monotonic() - began) / (arguments.minutes * 60)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = arguments.rate * min(1.0, (step + 1) / 50) * max(0.02, 1 - progress)
        batch = next(batches)
        tokens = Tokens(clip=batch.clip.to(device), t5=batch.t5.to(device))
        clean = latents[batch.bucket][batch.chosen.to(device)].float()
        noise = torch.randn_like(clean)
        sigma = random_sigmas(len(clean), device)
        mixed = (1 - sigma[:, None, None, None]) * clean + sigma[:, None, None, None] * noise
        # the base has guidance distilled into it: at 1 it predicts what was drawn
        guidance = torch.ones(len(clean), device=device)
        with torch.autocast(device.type, torch.bfloat16):
            with torch.no_grad():
                prompt, pooled = network.encode(tokens)
            velocity = network(mixed, sigma, prompt, pooled, guidance)
        loss = (velocity.float() - (noise - clean)).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step, total = step + 1, 0.98 * total + 0.02 * float(loss.detach())
        if step % 100 == 0:
            print(f"lora: step {step}, {progress:.0%}, loss {total / (1 - 0.98**step):.4f}", flush=True)


if __name__ == "__main__":
    main()
