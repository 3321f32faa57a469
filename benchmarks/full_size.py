"""FLUX.1 at its true shapes with random weights, for our engine and for stock DiffSynth: no download, built in seconds.

Speed and memory of a dense transformer do not depend on the values. Must not know: caps, tables, or what is measured.
"""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from diffsynth.core.loader import load_model
from diffsynth.core.vram.initialization import skip_model_initialization
from diffsynth.core.vram.layers import AutoTorchModule
from diffsynth.models.flux_dit import FluxDiT
from diffsynth.models.flux_text_encoder_clip import FluxTextEncoderClip
from diffsynth.models.flux_text_encoder_t5 import FluxTextEncoderT5
from diffsynth.models.flux_vae import FluxVAEDecoder, FluxVAEEncoder
from diffsynth.models.model_loader import ModelPool
from diffsynth.pipelines.flux_image import FluxImagePipeline, model_fn_flux_image
from torch import Tensor, nn
from transformers import CLIPTokenizer, T5TokenizerFast

from benchmarks.documents import ROOT
from benchmarks.measuring import GIB, Clock, Timing
from darkroom.catalog import DEMO, FLUX1_DEV, ModelEntry
from darkroom.engine import demo
from darkroom.engine.float8 import Float8Linear, quantize, use_float8_matmul
from darkroom.engine.flux import WatchedPipeline, make_picture
from darkroom.engine.loading import BLOCKS
from darkroom.engine.machine import look_at_machine
from darkroom.planner import Plan, make_plan
from darkroom.request import GenerationRequest
from darkroom.wishes import Wishes

MODELS = ROOT / "models"
CPU = torch.device("cpu")
SIGMA = 0.02
# A prime, so that no two rows of a weight are the same numbers in the same places.
DRAWN = 16_777_213
FLOAT8_LAYERS = {"dit": BLOCKS["flux_dit"], "text_encoder_2": BLOCKS["flux_text_encoder_t5"]}
# The documented set-up of DiffSynth for small cards (examples/flux/model_inference_low_vram).
STOCK_LOW_VRAM = {
    "offload_dtype": torch.float8_e4m3fn,
    "offload_device": "cpu",
    "onload_dtype": torch.float8_e4m3fn,
    "onload_device": "cpu",
    "preparing_dtype": torch.float8_e4m3fn,
    "preparing_device": "cuda",
    "computation_dtype": torch.bfloat16,
    "computation_device": "cuda",
}

# Of the transformer.
BLOCK_LISTS = ("blocks", "single_blocks")

Models = dict[str, nn.Module]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model to be built: its entry, and its classes by the pipeline's names for them."""

    entry: ModelEntry
    classes: dict[str, Callable[[], nn.Module]]


FLUX1_SHAPE = Shape(
    # The demo's tokenizers and preview colours serve: which words a prompt has changes no time.
    entry=replace(FLUX1_DEV, files=DEMO.files),
    classes={
        "dit": FluxDiT,
        "text_encoder_1": FluxTextEncoderClip,
        "text_encoder_2": FluxTextEncoderT5,
        "vae_encoder": FluxVAEEncoder,
        "vae_decoder": FluxVAEDecoder,
    },
)
DEMO_SHAPE = Shape(
    entry=DEMO,
    classes={
        "dit": demo.DemoFluxDiT,
        "text_encoder_1": demo.DemoTextEncoderClip,
        "text_encoder_2": demo.DemoTextEncoderT5,
        "vae_encoder": demo.DemoVAEEncoder,
        "vae_decoder": demo.DemoVAEDecoder,
    },
)
SHAPES = {"flux1": FLUX1_SHAPE, "demo": DEMO_SHAPE}


# --- weights


def random_models(shape: Shape, dtype: torch.dtype) -> Models:
    """As our loader gives them: float8 layers in the blocks, all else in `dtype`, every tensor in memory of its own."""
    float8 = dict(FLOAT8_LAYERS)
    if shape.entry.architecture.clip.float8:
        float8["text_encoder_1"] = ("encoders.",)
    return {
        name: random_model(build, dtype, float8_layers=float8.get(name, ())) for name, build in shape.classes.items()
    }


def random_model(
    build: Callable[[], nn.Module],
    dtype: torch.dtype,
    *,
    float8_layers: tuple[str, ...] = (),
    sigma: float = SIGMA,
    device: torch.device = CPU,
) -> nn.Module:
    """`float8_layers`: where their names begin; they stay in RAM, while all else goes to the device."""
    with skip_model_initialization():
        model = build()
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear) and name.startswith(float8_layers):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, _random_layer(layer, dtype, sigma))
    rest = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_meta}
    state = random_state(rest, dtype, sigma, device)
    unexpected = model.load_state_dict(state, strict=False, assign=True).unexpected_keys
    if unexpected or any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise RuntimeError(f"{type(model).__name__} has weights that were not drawn")
    return model.eval().requires_grad_(False)


def random_state(
    shapes: dict[str, Tensor], dtype: torch.dtype, sigma: float = SIGMA, device: torch.device = CPU
) -> dict[str, Tensor]:
    """A weight for each of these tensors of no content. Norms begin at one, as trained ones are near it."""
    state = {
        name: torch.ones(like.shape).to(device, dtype)
        if name.endswith("weight") and like.ndim == 1
        else drawn(tuple(like.shape), sigma, dtype).to(device, copy=True)
        for name, like in shapes.items()
    }
    if "encoder.embed_tokens.weight" in state:
        # T5's vocabulary has two names and is one parameter.
        words = nn.Parameter(state["shared.weight"], requires_grad=False)
        state["shared.weight"] = state["encoder.embed_tokens.weight"] = words
    return state


@cache
def drawn(shape: tuple[int, ...], sigma: float, dtype: torch.dtype) -> Tensor:
    """Normal numbers, drawn once and repeated. The same tensor for the same arguments: clone it."""
    pool, count = pool_of_numbers(), math.prod(shape)
    numbers = torch.cat([pool] * (count // DRAWN) + [pool[: count % DRAWN]]) if count > DRAWN else pool[:count]
    return (numbers * sigma).to(dtype).reshape(shape)


@cache
def pool_of_numbers() -> Tensor:
    """Normal numbers to draw weights from, always the same ones."""
    return torch.randn(DRAWN, generator=torch.Generator().manual_seed(20))


@cache
def _quantized(shape: tuple[int, ...], sigma: float) -> tuple[Tensor, Tensor]:
    return quantize(drawn(shape, sigma, torch.bfloat16))


def forget_draws() -> None:
    """Give back what was kept to draw the next weights from."""
    for kept in (drawn, pool_of_numbers, _quantized):
        kept.cache_clear()


def _random_layer(linear: nn.Linear, dtype: torch.dtype, sigma: float) -> Float8Linear:
    stored, scale = _quantized(tuple(linear.weight.shape), sigma)
    bias = None if linear.bias is None else drawn(tuple(linear.bias.shape), sigma, dtype).clone()
    return Float8Linear(stored.clone(), scale.clone(), bias)


# --- ours


def build_ours(shape: Shape, device: torch.device, dtype: torch.dtype, models: Models | None = None) -> WatchedPipeline:
    """Our engine around these models, or around random ones."""
    models = models or random_models(shape, dtype)
    forget_draws()
    return WatchedPipeline(shape.entry, models, device, dtype, MODELS)


def plan_ours(pipeline: WatchedPipeline, request: GenerationRequest, cap: int | None) -> Plan:
    """The planner's word for this machine, its card as large as the cap. Raises DoesNotFit."""
    return pipeline.plan(request, Wishes(vram_limit=cap or 0))


def make_ours(pipeline: WatchedPipeline, plan: Plan, clock: Clock, request: GenerationRequest) -> tuple[Timing, bytes]:
    clock.begin()
    picture = make_picture(pipeline, request, clock, plan)
    return clock.end(), picture.pixels


def request_of(model: ModelEntry, prompt: str, *, width: int, height: int, steps: int) -> GenerationRequest:
    return GenerationRequest(
        prompt=prompt, seed=20, steps=steps, guidance=3.5, width=width, height=height, model=model.name
    )


# --- stock DiffSynth


def build_stock(shape: Shape, device: torch.device, *, low_vram: bool) -> FluxImagePipeline:
    """DiffSynth's own pipeline, its models put in by the function that its `from_pretrained` ends in.

    `low_vram`: float8 in RAM and its own management of the card's memory. Otherwise bf16, resident.
    """
    pipeline = FluxImagePipeline(device=str(device), torch_dtype=torch.bfloat16)
    config: dict[str, Any] = ModelPool().default_vram_config() | {"computation_device": str(device)}
    if low_vram:
        config = dict(STOCK_LOW_VRAM)
    stored = config["offload_dtype"] or torch.bfloat16
    for name, build in shape.classes.items():
        with skip_model_initialization():
            shapes = build().state_dict()
        model = load_model(
            build,
            None,
            torch_dtype=config["computation_dtype"],
            device=config["computation_device"],
            use_disk_map=True,
            module_map=ModelPool().fetch_module_map(_path_of(build), config),
            vram_config=config,
            vram_limit=torch.cuda.mem_get_info(device)[1] / GIB - 0.5 if low_vram else None,
            state_dict=random_state(shapes, stored),
        )
        setattr(pipeline, name, model)
    forget_draws()
    pipeline.vram_management_enabled = pipeline.check_vram_management_state()
    pipeline.tokenizer_1 = CLIPTokenizer.from_pretrained(str(_in_models(shape.entry.files.tokenizer_1)))
    pipeline.tokenizer_2 = T5TokenizerFast.from_pretrained(str(_in_models(shape.entry.files.tokenizer_2)))
    return pipeline


def limit_stock(pipeline: FluxImagePipeline, limit_gib: float) -> None:
    """What `vram_limit` would have said, said again: layers are prepared while less than this is in use."""
    for module in pipeline.modules():
        if isinstance(module, AutoTorchModule):
            module.offload()
            module.vram_limit = limit_gib


def make_stock(
    pipeline: FluxImagePipeline, shape: Shape, clock: Clock, request: GenerationRequest
) -> tuple[Timing, bytes]:
    clock.begin()
    picture = pipeline(
        prompt=request.prompt,
        cfg_scale=1.0,
        embedded_guidance=request.guidance,
        t5_sequence_length=shape.entry.prompt_tokens,
        width=request.width,
        height=request.height,
        seed=request.seed,
        rand_device="cpu",
        num_inference_steps=request.steps,
        progress_bar_cmd=clock.bar,
    )
    return clock.end(), picture.tobytes()


# --- our transformer alone, under others' hooks


class HookedSteps:
    """Steps of our own transformer, its blocks moved by the hooks of `diffusers` or `cache-dit`.

    diffusers knows no amount of memory to use; cache-dit keeps as many blocks as our planner would.
    """

    def __init__(self, shape: Shape, hooks: str, device: torch.device, dtype: torch.dtype) -> None:
        if importlib.util.find_spec(hooks.replace("-", "_")) is None:
            raise ModuleNotFoundError(f"{hooks} is not installed here")
        self._transformer = random_model(shape.classes["dit"], dtype, float8_layers=FLOAT8_LAYERS["dit"])
        forget_draws()
        if hooks == "cache-dit":
            _buffers_to_parameters(self._transformer)
        self._hooks, self._device, self._dtype, self._shape = hooks, device, dtype, shape
        self._hooked = False

    def plan(self, cap: int | None, *, width: int, height: int) -> Plan:
        machine = look_at_machine(self._device, number_bytes=self._dtype.itemsize)
        # Its blocks are whole: they hold their modulation.
        wishes = Wishes(vram_limit=cap or 0, modulation_table=False)
        return make_plan(self._shape.entry, machine, wishes, width=width, height=height)

    def follow(self, plan: Plan) -> None:
        use_float8_matmul(self._transformer, plan.float8_matmul)
        if self._hooks == "diffusers":
            from diffusers.hooks import apply_group_offloading

            if not self._hooked:
                apply_group_offloading(
                    self._transformer,
                    onload_device=self._device,
                    offload_type="block_level",
                    num_blocks_per_group=1,
                    use_stream=self._device.type == "cuda",
                    record_stream=self._device.type == "cuda",
                )
        else:
            from cache_dit.offload import layerwise_offload, remove_layerwise_offload

            if self._hooked:
                remove_layerwise_offload(self._transformer)
            lists = {name: len(getattr(self._transformer, name)) for name in BLOCK_LISTS}
            layerwise_offload(
                self._transformer,
                module_names=[f"{name}.{at}" for name, count in lists.items() for at in range(count)],
                onload_device=self._device,
                async_transfer=self._device.type == "cuda",
                non_blocking=self._device.type == "cuda",
                transfer_buckets=2,
                prefetch_limit=True,
                persistent_buckets=len(plan.resident),
                persistent_bins=max(1, len(plan.resident)),
            )
        for name, part in self._transformer.named_children():
            # DiffSynth calls the parts one by one: hooks on the whole would not see them.
            if name not in BLOCK_LISTS:
                part.to(self._device)
        self._hooked = True

    @torch.no_grad()
    def run(self, clock: Clock, *, width: int, height: int, steps: int) -> Timing:
        inputs = step_inputs(self._shape, self._device, self._dtype, width=width, height=height)
        clock.begin()
        for timestep in clock.bar(torch.linspace(1000, 50, steps)):
            result = model_fn_flux_image(dit=self._transformer, timestep=timestep[None].to(inputs["latents"]), **inputs)
        if not bool(result.isfinite().all()):
            raise ArithmeticError("the transformer's result is not finite")
        return clock.end()


def _buffers_to_parameters(model: nn.Module) -> None:
    """For hooks that move nothing else."""
    for module in model.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            delattr(module, name)
            module.register_parameter(name, nn.Parameter(buffer, requires_grad=False))


def step_inputs(
    shape: Shape, device: torch.device, dtype: torch.dtype, *, width: int, height: int
) -> dict[str, Tensor]:
    """What one step of the transformer is given beside the time."""
    model, tokens = shape.entry.architecture, shape.entry.prompt_tokens
    draw = torch.Generator().manual_seed(21)
    inputs = {
        "latents": torch.randn(1, model.latent_channels, height // 8, width // 8, generator=draw),
        "prompt_emb": torch.randn(1, tokens, model.t5.width, generator=draw),
        "pooled_prompt_emb": torch.randn(1, model.clip.width, generator=draw),
        "text_ids": torch.zeros(1, tokens, 3),
        "guidance": torch.tensor([3.5]),
    }
    return {name: value.to(device=device, dtype=dtype) for name, value in inputs.items()}


def _path_of(build: Callable[[], nn.Module]) -> str:
    return f"{build.__module__}.{getattr(build, '__name__', '')}"


def _in_models(path: PurePosixPath) -> Path:
    return MODELS / path
