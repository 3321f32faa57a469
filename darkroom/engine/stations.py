"""Stations on DiffSynth's way to a picture that are exchanged for ours: who reads the prompt, and who decodes.

Must not know: how a step is made, or which weights are where.
"""

from typing import TYPE_CHECKING

import torch
from diffsynth.pipelines.flux_image import FluxImageUnit_PromptEmbedder
from torch import Tensor, nn

from darkroom.engine.decoding import decode

if TYPE_CHECKING:
    from darkroom.engine.flux import WatchedPipeline

CLIP_TOKENS = 77


class PromptReader(FluxImageUnit_PromptEmbedder):  # type: ignore[misc]
    """Reads a prompt with one text encoder after the other, unless it was read before."""

    def process(
        self,
        pipe: "WatchedPipeline",
        prompt: str,
        t5_sequence_length: int,
        positive: bool,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        known = pipe.known_prompt(prompt, t5_sequence_length)
        if known is not None:
            return known
        pipe.enter_encoding()
        pipe.load_models_to_device(("text_encoder_1",))
        pooled = self.encode_prompt_using_clip(prompt, pipe.text_encoder_1, pipe.tokenizer_1, CLIP_TOKENS, pipe.device)
        pipe.watcher.entered("encoding")
        pipe.load_models_to_device(("text_encoder_2",))
        words = self.encode_prompt_using_t5(
            prompt, pipe.text_encoder_2, pipe.tokenizer_2, t5_sequence_length, pipe.device
        )
        places = torch.zeros(*words.shape[:2], 3, device=pipe.device, dtype=words.dtype)
        read = {"prompt_emb": words, "pooled_prompt_emb": pooled, "text_ids": places}
        pipe.prompts.put(pipe.model.name, prompt, t5_sequence_length, read)
        return read


class PictureDecoder(nn.Module):
    """Stands where DiffSynth expects the VAE's decoder, and decodes in the tiles the plan allows."""

    def __init__(self, pipeline: "WatchedPipeline", decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder
        # Not as a part of this one: the pipeline holds it.
        self._pipeline = (pipeline,)

    def forward(self, latents: Tensor, **_diffsynths_own_tiles: object) -> Tensor:
        (pipeline,) = self._pipeline
        tile = pipeline.current_plan.decode_tile if pipeline.current_plan else None
        return decode(self.decoder, latents, tile=tile, between=lambda done: pipeline.watcher.entered("decoding", done))
