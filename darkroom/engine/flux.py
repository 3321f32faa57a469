"""FLUX.1 from a request to pixels: `make_picture` is the numbered path inside the engine.

Everything runs through DiffSynth's FluxImagePipeline; this file loads it, watches it and keeps its memory small.
Must not know: processes, pipes, rows or files of history.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from diffsynth.pipelines.flux_image import FluxImagePipeline, FluxImageUnit_PromptEmbedder
from torch import Tensor, nn
from transformers import CLIPTokenizer, T5TokenizerFast

from darkroom.catalog import ModelEntry
from darkroom.engine import demo
from darkroom.engine.loading import load_models
from darkroom.engine.offload import Offload
from darkroom.engine.preview import LatentColours
from darkroom.engine.watcher import Watcher
from darkroom.errors import ModelUnusable
from darkroom.request import GenerationRequest

TEXT_ENCODERS = ("text_encoder_1", "text_encoder_2")
PARTS = (*TEXT_ENCODERS, "dit", "vae_encoder", "vae_decoder")


@dataclass(frozen=True, kw_only=True)
class MadePicture:
    """`pixels` are width × height × 3 bytes, RGB. `facts` say what it took and on what."""

    width: int
    height: int
    pixels: bytes
    facts: dict[str, str | int | float]


def make_picture(pipeline: "WatchedPipeline", request: GenerationRequest, watcher: Watcher) -> MadePicture:
    """Make one picture. Raises what the watcher raises, and torch.OutOfMemoryError; memory is clean afterwards."""
    began = time.monotonic()
    pipeline.watcher = watcher
    try:
        # 1. Say what is to be done. The random start is drawn on the CPU, so a seed means the same on every card.
        order: dict[str, Any] = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "cfg_scale": request.cfg_scale,
            "embedded_guidance": request.guidance,
            "t5_sequence_length": pipeline.model.prompt_tokens,
            "width": request.width,
            "height": request.height,
            "seed": request.seed,
            "rand_device": "cpu",
            "num_inference_steps": request.steps,
        }
        # 2. Read the prompt: both text encoders visit the card          (PromptReader.process)
        # 3. Denoise: the transformer visits it, one event for each step (pipeline.step)
        # 4. Decode: the VAE's decoder visits it                         (pipeline.load_models_to_device)
        picture = pipeline(**order, progress_bar_cmd=pipeline.denoising)
    finally:
        # 5. Drop every copy on the card that is not to stay and give the memory back, however it ended.
        pipeline.watcher = Watcher()
        pipeline.load_models_to_device(())
    facts = {**pipeline.facts, "seconds": round(time.monotonic() - began, 3)}
    return MadePicture(width=picture.width, height=picture.height, pixels=picture.tobytes(), facts=facts)


def load_pipeline(
    model: ModelEntry, folder: Path, device: torch.device, watcher: Watcher, *, keep_on_card: bool = False
) -> "WatchedPipeline":
    """Read the model's files below `folder` into RAM. Raises ModelUnusable, StopAsked."""
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("engine.device is cuda, but no CUDA card is found; set it to auto or cpu")
    demo.register()
    dtype = computation_type(device)
    files = {
        "text_encoder_1": model.files.text_encoder_1,
        "text_encoder_2": model.files.text_encoder_2,
        "transformer": model.files.transformer,
        "vae": model.files.vae,
    }
    sizes = {part: _size(folder, path) for part, path in files.items()}
    total, done = sum(sizes.values()), 0
    models: dict[str, nn.Module] = {}
    for part, path in files.items():
        bytes_before = done

        def read(count: int, part: str = part) -> None:
            nonlocal done
            done += count
            watcher.loading(part, min(1.0, done / total))

        watcher.loading(part, done / total)
        models |= _named_for_pipeline(load_models(folder / path, dtype=dtype, read=read))
        done = bytes_before + sizes[part]
    return WatchedPipeline(model, models, device, dtype, folder, keep_on_card=keep_on_card)


def computation_type(device: torch.device) -> torch.dtype:
    """bf16 on a card and on processors that compute in it; float32 on others, where bf16 would be emulated."""
    if device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.bfloat16
    return torch.float32


class WatchedPipeline(FluxImagePipeline):  # type: ignore[misc]
    """FluxImagePipeline that tells a watcher what it does, and whose models visit the card only for their stage.

    With `keep_on_card`, a model stays there after its first stage.
    """

    def __init__(
        self,
        model: ModelEntry,
        models: dict[str, nn.Module],
        device: torch.device,
        dtype: torch.dtype,
        folder: Path,
        *,
        keep_on_card: bool,
    ) -> None:
        super().__init__(device=device, torch_dtype=dtype)
        self.model = model
        self.watcher = Watcher()
        self.facts: dict[str, str | int | float] = {
            "device": device_name(device),
            "precision": str(dtype).removeprefix("torch."),
            "torch": str(torch.__version__),
        }
        for name in PARTS:
            setattr(self, name, models[name])
        self._offloads = {name: Offload(models[name], device, stays=keep_on_card) for name in PARTS}
        self.tokenizer_1 = CLIPTokenizer.from_pretrained(_tokenizer(folder, model.files.tokenizer_1))
        self.tokenizer_2 = T5TokenizerFast.from_pretrained(_tokenizer(folder, model.files.tokenizer_2))
        self._colours = LatentColours.read(folder / model.files.latent_colours)
        for place, unit in enumerate(self.units):
            if isinstance(unit, FluxImageUnit_PromptEmbedder):
                self.units[place] = PromptReader()

    def load_models_to_device(self, model_names: tuple[str, ...] | list[str]) -> None:
        """Called by DiffSynth between stages. The last stage's copies go before the next stage's come, if they go."""
        if tuple(model_names) == ("vae_decoder",):
            self.watcher.entered("decoding")
        for name, offload in self._offloads.items():
            if name not in model_names:
                offload.rest()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        for name in model_names:
            if name in self._offloads:
                self._offloads[name].visit()

    def denoising(self, timesteps: Tensor) -> Iterator[Tensor]:
        """DiffSynth's progress bar: the loop over steps runs through it."""
        self.watcher.entered("denoising")
        yield from timesteps

    def step(self, scheduler: Any, latents: Tensor, progress_id: int, noise_pred: Tensor, **rest: Any) -> Tensor:
        after: Tensor = super().step(
            scheduler, latents=latents, progress_id=progress_id, noise_pred=noise_pred, **rest
        )
        sigma = float(scheduler.sigmas[progress_id])
        self.watcher.step(
            progress_id + 1,
            len(scheduler.timesteps),
            # Where this step points: the picture if there were no more noise to take away.
            lambda: self._colours.jpeg(latents.float() - sigma * noise_pred.float()),
        )
        return after


class PromptReader(FluxImageUnit_PromptEmbedder):  # type: ignore[misc]
    """DiffSynth's prompt unit never asks for its models; this one does."""

    def process(self, pipe: WatchedPipeline, prompt: str, t5_sequence_length: int, positive: bool) -> dict[str, Tensor]:
        pipe.watcher.entered("encoding")
        pipe.load_models_to_device(TEXT_ENCODERS)
        embeddings: dict[str, Tensor] = super().process(pipe, prompt, t5_sequence_length, positive)
        return embeddings


def device_name(device: torch.device) -> str:
    """ "cpu", or the card's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" and torch.cuda.is_available() else device.type


def choose_device(wish: str) -> torch.device:
    """ "auto" takes the card if there is one."""
    if wish == "cuda" or (wish == "auto" and torch.cuda.is_available()):
        return torch.device("cuda")
    return torch.device("cpu")


def _named_for_pipeline(models: dict[str, nn.Module]) -> dict[str, nn.Module]:
    names = {
        "flux_text_encoder_clip": "text_encoder_1",
        "flux_text_encoder_t5": "text_encoder_2",
        "flux_dit": "dit",
        "flux_vae_encoder": "vae_encoder",
        "flux_vae_decoder": "vae_decoder",
    }
    return {names[name]: model for name, model in models.items()}


def _size(folder: Path, path: PurePosixPath) -> int:
    try:
        return (folder / path).stat().st_size
    except FileNotFoundError as error:
        raise ModelUnusable("missing", str(path)) from error


def _tokenizer(folder: Path, path: PurePosixPath) -> str:
    if not (folder / path / "tokenizer.json").is_file():
        raise ModelUnusable("missing", str(path / "tokenizer.json"))
    return str(folder / path)
