"""Paints many pictures at once with the demo model, from training's weights or from the shipped files.

The same arithmetic as the engine's, in batches. Must not know: scenes, labels or judging.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffsynth.utils.state_dict_converters.flux_dit import FluxDiTStateDictConverter
from diffsynth.utils.state_dict_converters.flux_text_encoder_clip import FluxTextEncoderClipStateDictConverter
from diffsynth.utils.state_dict_converters.flux_text_encoder_t5 import FluxTextEncoderT5StateDictConverter
from diffsynth.utils.state_dict_converters.flux_vae import FluxVAEDecoderStateDictConverter
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from darkroom.engine.demo import DemoVAEDecoder
from tools.demo_model.lessons import CaptionReader
from tools.demo_model.network import DemoNetwork, Tokens, sample
from tools.demo_model.train_flow import load_network
from tools.demo_model.train_vae import load_vae


class Painter:
    """Prompts to pictures. `paint` gives (pictures, 3, H, W) in −1…1."""

    def __init__(self, network: DemoNetwork, decoder: DemoVAEDecoder, reader: CaptionReader, device: torch.device):
        self.network = network.to(device).eval()
        self.decoder = decoder.to(device).eval()
        self.reader = reader
        self.device = device

    @classmethod
    def of_training(cls, *, network: Path, vae: Path, tokenizers: Path, device: torch.device) -> "Painter":
        trained = DemoNetwork()
        load_network(trained, network)
        return cls(trained, load_vae(vae, device)[1], CaptionReader(tokenizers), device)

    @classmethod
    def of_shipped(cls, folder: Path, device: torch.device) -> "Painter":
        network, decoder = DemoNetwork(), DemoVAEDecoder()
        network.dit.load_state_dict(FluxDiTStateDictConverter(unscaled(folder / "transformer.safetensors")))
        clip = FluxTextEncoderClipStateDictConverter(unscaled(folder / "text_encoder.safetensors"))
        network.text_encoder_1.load_state_dict(clip)
        t5 = FluxTextEncoderT5StateDictConverter(unscaled(folder / "text_encoder_2.safetensors"))
        network.text_encoder_2.load_state_dict(t5)
        decoder.load_state_dict(FluxVAEDecoderStateDictConverter(unscaled(folder / "ae.safetensors")))
        return cls(network, decoder, CaptionReader(folder), device)

    @torch.no_grad()
    def paint(
        self,
        prompts: Sequence[str],
        *,
        seeds: Sequence[int],
        width: int = 512,
        height: int = 512,
        steps: int = 8,
        guidance: float = 3.5,
        cfg_scale: float = 1.0,
        at_once: int = 32,
    ) -> Tensor:
        empty = self._tokens([""]) if cfg_scale != 1 else None
        pictures = []
        for start in range(0, len(prompts), at_once):
            latents = sample(
                self.network,
                self._tokens(list(prompts[start : start + at_once])),
                empty=empty,
                width=width,
                height=height,
                steps=steps,
                guidance=guidance,
                cfg_scale=cfg_scale,
                seeds=seeds[start : start + at_once],
            )
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                pictures.append(self.decoder(latents).float().clamp(-1, 1))
        return torch.cat(pictures)

    def _tokens(self, prompts: list[str]) -> Tokens:
        tokens = self.reader.read(prompts)
        return Tokens(clip=tokens.clip.to(self.device), t5=tokens.t5.to(self.device))


def unscaled(path: Path) -> dict[str, Tensor]:
    """The tensors of a file in float32, scaled float8 weights multiplied out."""
    state = load_file(path)
    scales = {name: state.pop(name) for name in list(state) if name.endswith(".scale_weight")}
    return {
        name: value.float() * scales.get(name.removesuffix("weight") + "scale_weight", 1.0)
        for name, value in state.items()
    }


def sheet(pictures: Tensor, *, columns: int, gap: int = 6) -> Image.Image:
    """Pictures (pictures, 3, H, W) in rows on one sheet."""
    count, _, height, width = pictures.shape
    rows = -(-count // columns)
    paper = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), (24, 24, 28))
    for place, picture in enumerate(to_images(pictures)):
        paper.paste(picture, (place % columns * (width + gap), place // columns * (height + gap)))
    return paper


def to_images(pictures: Tensor) -> list[Image.Image]:
    pixels = ((pictures + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(one) for one in pixels]
