"""FLUX.1 as diffusers makes it, from its configuration with random weights: whole, offloaded, or in torchao's float8.

A prompt is random numbers: there are no text encoders. Must not know: caps, tables, or what is measured.
"""

import importlib.util
import math
from typing import Any, Literal, get_args

import torch
from torch import nn

from benchmarks.full_size import Shape, forget_draws, random_model
from benchmarks.measuring import Clock, Timing
from darkroom.request import GenerationRequest

# All of it on the card in bf16; its group offloading, a block at a time on a stream of its own, of bf16 or of weights
# that are stored as float8; torchao's float8 with a scale for each row and regional compilation, as both document it.
Way = Literal["bf16", "offload", "offload-float8", "torchao"]
WAYS: tuple[Way, ...] = get_args(Way)
SCHEDULE = {"base_shift": 0.5, "max_shift": 1.15, "shift": 3.0, "use_dynamic_shifting": True}


class DiffusersFlux:
    """Its own pipeline around random weights. Raises ModuleNotFoundError where it or torchao is missing."""

    def __init__(self, shape: Shape, way: Way, device: torch.device, dtype: torch.dtype) -> None:
        for needed in ("diffusers", "torchao") if way == "torchao" else ("diffusers",):
            if importlib.util.find_spec(needed) is None:
                raise ModuleNotFoundError(f"{needed} is not installed here")
        from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline

        self._shape, self._device, self._dtype = shape, device, dtype
        transformer: Any = self._transformer(torch.device("cpu") if way.startswith("offload") else device)
        vae = random_model(lambda: _autoencoder(shape), dtype, device=device)
        forget_draws()
        if way.startswith("offload"):
            self._offload(transformer, stored=torch.float8_e4m3fn if way == "offload-float8" else None)
        elif way == "torchao":
            _quantise(transformer)
            transformer.compile_repeated_blocks(fullgraph=True)
        self._pipeline: Any = FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULE),
            vae=vae,
            text_encoder=None,
            tokenizer=None,
            text_encoder_2=None,
            tokenizer_2=None,
            transformer=transformer,
        )
        self._pipeline.set_progress_bar_config(disable=True)

    def make(self, clock: Clock, request: GenerationRequest) -> tuple[Timing, bytes]:
        model = self._shape.entry.architecture
        draw = torch.Generator().manual_seed(request.seed)
        prompt = torch.randn(1, self._shape.entry.prompt_tokens, model.t5.width, generator=draw)
        pooled = torch.randn(1, model.clip.width, generator=draw)

        def ended(_pipeline: object, number: int, _timestep: object, values: dict[str, Any]) -> dict[str, Any]:
            clock.step_ended()
            if number + 1 == request.steps:
                clock.entered("decoding")
            return values

        clock.begin()
        clock.steps_begin()
        made = self._pipeline(
            prompt_embeds=prompt.to(self._device, self._dtype),
            pooled_prompt_embeds=pooled.to(self._device, self._dtype),
            width=request.width,
            height=request.height,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            generator=draw,
            callback_on_step_end=ended,
        )
        return clock.end(), made.images[0].tobytes()

    def _transformer(self, device: torch.device) -> nn.Module:
        from diffusers import FluxTransformer2DModel

        model = self._shape.entry.architecture
        return random_model(
            lambda: FluxTransformer2DModel(
                in_channels=4 * model.latent_channels,
                num_layers=model.joint_blocks,
                num_single_layers=model.single_blocks,
                attention_head_dim=model.head_width,
                num_attention_heads=model.heads,
                joint_attention_dim=model.t5.width,
                pooled_projection_dim=model.clip.width,
                guidance_embeds=model.guidance,
                # Of FLUX.1's 128: 16 for nothing, 56 for each side of the picture.
                axes_dims_rope=(model.head_width // 8, *[model.head_width * 7 // 16] * 2),
            ),
            self._dtype,
            device=device,
        )

    def _offload(self, transformer: Any, *, stored: torch.dtype | None) -> None:
        if stored is not None:
            transformer.enable_layerwise_casting(storage_dtype=stored, compute_dtype=self._dtype)
        on_card = self._device.type == "cuda"
        transformer.enable_group_offload(
            onload_device=self._device,
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=on_card,
            record_stream=on_card,
        )


def _quantise(transformer: nn.Module) -> None:
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

    def wanted(layer: nn.Module, name: str) -> bool:
        # Not those that see one row a step: kernels with a scale for each row refuse it.
        return isinstance(layer, nn.Linear) and "transformer_blocks." in name and ".norm" not in name

    quantize_(transformer, Float8DynamicActivationFloat8WeightConfig(granularity=PerRow()), filter_fn=wanted)


def _autoencoder(shape: Shape) -> nn.Module:
    from diffusers import AutoencoderKL

    vae = shape.entry.architecture.vae
    channels = (vae.narrow, vae.middle, vae.wide, vae.wide)
    made: nn.Module = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=channels,
        layers_per_block=2,
        latent_channels=shape.entry.architecture.latent_channels,
        norm_num_groups=math.gcd(32, *channels),
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    return made
