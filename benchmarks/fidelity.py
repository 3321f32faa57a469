"""What float8 costs in likeness: pictures of the demo model, and one pass of the transformer at FLUX.1's full size.

Run: python -m benchmarks.fidelity [--network FILE] [--pictures 100] [--size 512x512] [--model flux1|demo] [--write].
--network: the demo's weights before they became float8, as tools.demo_model.train_flow writes them; without it the
shipped weights, multiplied out, are what float8 matmul is compared with. Must not know: speed, or what memory it takes.
"""

import argparse
import copy
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias
from unittest.mock import patch

import torch
from diffsynth.core.vram.initialization import skip_model_initialization
from diffsynth.pipelines.flux_image import model_fn_flux_image
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import T5TokenizerFast

from benchmarks.documents import ENGINE, ROOT, command_of, write_section
from benchmarks.full_size import (
    DEMO_SHAPE,
    MODELS,
    SHAPES,
    Models,
    Shape,
    build_ours,
    make_ours,
    plan_ours,
    pool_of_numbers,
    request_of,
    step_inputs,
)
from benchmarks.likeness import ssim
from benchmarks.measuring import FAULTS, Clock, Gauge, again_as_the_engine, first_line, machine_line, say, table, tidy
from darkroom.catalog import DEMO
from darkroom.engine import demo, float8
from darkroom.engine.compilation import Compilation, CompileWishes
from darkroom.engine.float8 import STORED, Float8Linear, quantize, use_float8_matmul
from darkroom.engine.flux import computation_type
from darkroom.engine.loading import load_models
from tools.demo_model import export
from tools.demo_model.evaluate import fidelity, held_out, load_judge
from tools.demo_model.make_tokenizers import small_letters
from tools.demo_model.network import DemoNetwork

JUDGE = ROOT / "tools" / "demo_model" / "judge.safetensors"
PARTS = {
    "flux_dit": "dit",
    "flux_text_encoder_clip": "text_encoder_1",
    "flux_text_encoder_t5": "text_encoder_2",
    "flux_vae_encoder": "vae_encoder",
    "flux_vae_decoder": "vae_decoder",
}
SIGMAS = (0.02, 0.004)
# Name, whether each tensor has a scale, and whether activations become float8 too.
CASTS = (
    ("scaled, upcast", True, False),
    ("scaled, float8 matmul", True, True),
    ("unscaled, upcast", False, False),
    ("unscaled, float8 matmul", False, True),
)


# How the demo's layers compute: weights brought to bf16, activations made float8, or all of it in fused blocks.
Way: TypeAlias = Literal["upcast", "matmul", "rounded otherwise", "fused"]
MATMUL, FUSED = "float8 matmul", "float8 matmul, fused blocks"
# Activations' largest values lie a little lower: as precise, and each number is rounded anew. So alike, and no more,
# are two pictures that differ by float8's rounding alone.
OTHERWISE, OTHER_SHARE = "float8 matmul, rounded otherwise", 0.97


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures (pictures, 3, H, W) in −1…1 on the CPU, and how often the judge saw what was asked for, by label."""

    pixels: Tensor
    right: dict[str, tuple[int, int]]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if (ended := again_as_the_engine("benchmarks.fidelity", arguments)) is not None:
        return ended
    device = torch.device(options.device)
    command = command_of("benchmarks.fidelity", arguments)
    parts = ["## What float8 costs in likeness", "", f"`{command}`, {machine_line(device)}."]
    if options.pictures:
        parts += ["", compare_pictures(options, device)]
    parts += ["", compare_passes(SHAPES[options.model], device)]
    text = "\n".join(parts)
    print(text, flush=True)
    if options.write:
        write_section(options.write, "fidelity", text)
    return 0


# --- pictures of the demo


def compare_pictures(options: argparse.Namespace, device: torch.device) -> str:
    width, height = (int(side) for side in options.size.split("x"))
    dtype = computation_type(device)
    made: dict[str, Pictures] = {}
    faults: list[str] = []
    for name, models, way in _variants(options.network, dtype):
        try:
            painter = _EnginePainter(models, device, dtype, way)
            right = fidelity(painter, load_judge(JUDGE, device), held_out(options.pictures), width=width, height=height)
            made[name] = Pictures(pixels=torch.cat(painter.painted), right=right)
        except FAULTS as error:
            faults.append(f"{name}: {first_line(error)}")
        tidy()
    against = next(iter(made), "")
    rows = []
    for name, pictures in made.items():
        alike = ssim(pictures.pixels, made[against].pixels)
        scores = _points(pictures.right, made[against].right)
        rows.append([name, f"{alike.mean():.4f}", f"{alike.min():.4f}", *scores])
    labels = [f"{label}, points" for label in made[against].right] if made else []
    for name in (each for each in (OTHERWISE, FUSED) if {each, MATMUL} <= made.keys()):
        alike = ssim(made[name].pixels, made[MATMUL].pixels)
        faults.append(f"{name}, against {MATMUL}: SSIM {alike.mean():.4f}, the lowest {alike.min():.4f}")
    words = f"Demo model, {options.pictures} prompts, {width}×{height}, {DEMO.default_steps} steps, the same seeds, "
    words += f"compared with {against}. The judge's share of right answers, and by how many points it differs."
    head = ("weights", "SSIM, mean", "SSIM, lowest", "all labels", *labels)
    return "\n".join([words, "", table(head, rows), *(f"- {fault}" for fault in faults)])


def _variants(network: Path | None, dtype: torch.dtype) -> Iterator[tuple[str, Models, Way]]:
    """The reference first, and how it computes."""
    if network is None:
        folder = MODELS / "demo"
        yield (
            f"shipped weights, multiplied out, {_name(dtype)}",
            _multiplied_out(_shipped(folder, dtype), dtype),
            "upcast",
        )
    else:
        state = _trained(network)
        yield f"unquantised weights, {_name(dtype)}", _unquantised(state, dtype), "upcast"
    with tempfile.TemporaryDirectory() as temporary:
        if network is not None:
            folder = Path(temporary)
            _export(state, folder)
        yield "float8, upcast", _shipped(folder, dtype), "upcast"
        yield MATMUL, _shipped(folder, dtype), "matmul"
        yield OTHERWISE, _shipped(folder, dtype), "rounded otherwise"
        yield FUSED, _shipped(folder, dtype), "fused"


class _EnginePainter:
    """Paints through the engine, picture by picture, what the judge's program asks for."""

    def __init__(self, models: Models, device: torch.device, dtype: torch.dtype, way: Way) -> None:
        self._float8_matmul = way != "upcast"
        self._largest = float8.LARGEST_ACTIVATION * (OTHER_SHARE if way == "rounded otherwise" else 1)
        self._pipeline = build_ours(DEMO_SHAPE, device, dtype, models)
        if way == "fused":
            made = tempfile.mkdtemp(prefix="fused-")
            wishes = CompileWishes(mode="on", folder=Path(made), apart=False)
            # Without a card the same operations are torch's own.
            self._pipeline.compilation = Compilation(
                self._pipeline.dit, device, dtype, wishes=wishes, missing=lambda _device: ""
            )
        self._device = device
        self.painted: list[Tensor] = []

    def paint(self, prompts: Sequence[str], *, seeds: Sequence[int], width: int, height: int, **_: float) -> Tensor:
        pictures = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            request = request_of(DEMO, prompt, width=width, height=height, steps=DEMO.default_steps)
            plan = replace(plan_ours(self._pipeline, request, None), float8_matmul=self._float8_matmul)
            clock = Clock(Gauge(self._device), self._device)
            with patch.object(float8, "LARGEST_ACTIVATION", self._largest):
                _timing, pixels = make_ours(self._pipeline, plan, clock, request.model_copy(update={"seed": seed}))
            picture = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(height, width, 3)
            pictures.append(picture.permute(2, 0, 1).float() / 127.5 - 1)
        say(f"{seeds[-1] + 1} pictures")
        self.painted.append(torch.stack(pictures))
        return self.painted[-1].to(self._device)


def _shipped(folder: Path, dtype: torch.dtype) -> Models:
    """The files of a demo folder, the shipped ones for those it lacks."""
    models: Models = {}
    for name in ("transformer", "text_encoder", "text_encoder_2", "ae"):
        path = folder / f"{name}.safetensors"
        path = path if path.exists() else MODELS / "demo" / path.name
        loaded = load_models(path, dtype=dtype, read=lambda _bytes: None)
        models |= {PARTS[part]: model for part, model in loaded.items()}
    return models


def _multiplied_out(models: Models, dtype: torch.dtype) -> Models:
    """Each float8 layer an ordinary one of the same weights."""
    for model in models.values():
        for name, layer in list(model.named_modules()):
            if isinstance(layer, Float8Linear):
                linear = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, dtype=dtype)
                linear.weight.data = (layer.stored.float() * layer.scale).to(dtype)
                if layer.bias is not None:
                    linear.bias.data = layer.bias.to(dtype)
                parent, _, last = name.rpartition(".")
                setattr(model.get_submodule(parent), last, linear.requires_grad_(False))
    return models


def _trained(path: Path) -> dict[str, Tensor]:
    """Training's names. As when it is exported, capitals mean the same as small letters."""
    state: dict[str, Tensor] = load_file(path)
    pieces = small_letters(T5TokenizerFast.from_pretrained(MODELS / "demo" / "tokenizer_2"))
    state["text_encoder_2.shared.weight"] = state["text_encoder_2.shared.weight"][pieces]
    return state


def _unquantised(state: dict[str, Tensor], dtype: torch.dtype) -> Models:
    network = DemoNetwork()
    missing = network.load_state_dict({name: value.float() for name, value in state.items()}, strict=False)
    if missing.unexpected_keys or set(missing.missing_keys) - {"text_encoder_2.encoder.embed_tokens.weight"}:
        raise ValueError("the file is not a network of the demo's shape")
    models = _shipped(MODELS / "demo", dtype)
    for name in ("dit", "text_encoder_1", "text_encoder_2"):
        models[name] = getattr(network, name).to(dtype).eval().requires_grad_(False)
    return models


def _export(state: dict[str, Tensor], folder: Path) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}

    files = {
        "transformer": export.scaled_transformer(part("dit.")),
        "text_encoder": export.clip_state(part("text_encoder_1.")),
        "text_encoder_2": export.t5_state(part("text_encoder_2.")),
    }
    for name, tensors in files.items():
        export.save(tensors, folder / f"{name}.safetensors", export.METADATA)
        shipped = load_file(MODELS / "demo" / f"{name}.safetensors")
        same = all(torch.equal(shipped[key].float(), tensor.float()) for key, tensor in tensors.items())
        say(f"{name}: {'the same as' if same else 'not'} the shipped file")


def _points(right: dict[str, tuple[int, int]], reference: dict[str, tuple[int, int]]) -> list[str]:
    def share(found: dict[str, tuple[int, int]], labels: Sequence[str]) -> float:
        return 100 * sum(found[each][0] for each in labels) / max(1, sum(found[each][1] for each in labels))

    groups = [[*reference], *([label] for label in reference)]
    groups = [[label for label in group if label in right] for group in groups]
    return [f"{share(right, g):.1f} % ({share(right, g) - share(reference, g):+.1f})" if g else "–" for g in groups]


# --- one pass at full size


def compare_passes(shape: Shape, device: torch.device) -> str:
    """‖float8 − bf16‖ / ‖bf16‖ of the transformer's result for normal random weights."""
    dtype = torch.bfloat16
    side = 1024 if device.type == "cuda" else 256
    inputs = step_inputs(shape, device, dtype, width=side, height=side)
    references = {
        sigma: _pass(_drawn_transformer(shape, inputs["latents"], sigma, lambda _: None), inputs) for sigma in SIGMAS
    }
    rows = []
    for name, scaled, matmul in CASTS:
        cast = partial(_to_float8, scaled=scaled, matmul=matmul)
        rows.append([name, *(_error(shape, inputs, sigma, cast, reference) for sigma, reference in references.items())])
        say("  ".join(rows[-1]))
    words = f"One pass of the transformer ({shape.entry.title}, normal random weights, {side}×{side}): relative error "
    words += f"against the same weights in {_name(dtype)}."
    return "\n".join([words, "", table(("weights", *(f"σ = {sigma}" for sigma in SIGMAS)), rows)])


def _error(
    shape: Shape, inputs: dict[str, Tensor], sigma: float, cast: Callable[[nn.Module], None], reference: Tensor
) -> str:
    try:
        result = _pass(_drawn_transformer(shape, inputs["latents"], sigma, cast), inputs)
        return f"{100 * float((result - reference).norm() / reference.norm()):.2f} %"
    except FAULTS as error:
        return first_line(error)
    finally:
        tidy()


@torch.no_grad()
def _pass(transformer: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    timestep = torch.tensor([500.0]).to(inputs["latents"])
    result: Tensor = model_fn_flux_image(dit=transformer, timestep=timestep, **inputs)
    return result.double()


def _drawn_transformer(shape: Shape, like: Tensor, sigma: float, cast: Callable[[nn.Module], None]) -> nn.Module:
    """The same weights for the same arguments, of the type and where `like` is; `cast` is done to each block."""
    with skip_model_initialization():
        transformer: Any = shape.classes["dit"]()
    for blocks in (transformer.blocks, transformer.single_blocks):
        for place, block in enumerate(blocks):
            blocks[place] = _DrawnBlock(block, (place + 1) * len(blocks), like, sigma, cast)
    _draw_weights(transformer, 0, like, sigma)
    return transformer.eval().requires_grad_(False)  # type: ignore[no-any-return]


class _DrawnBlock(nn.Module):
    """A block whose weights are there only while it runs: all blocks together would not fit into most machines."""

    def __init__(
        self, block: nn.Module, start: int, like: Tensor, sigma: float, cast: Callable[[nn.Module], None]
    ) -> None:
        super().__init__()
        # Not as a part of this one.
        self._block, self._start, self._like, self._sigma, self._cast = (block,), start, like, sigma, cast

    def forward(self, *inputs: Any, **named: Any) -> Any:
        block = copy.deepcopy(self._block[0])
        _draw_weights(block, self._start, self._like, self._sigma)
        self._cast(block)
        return block(*inputs, **named)


def _draw_weights(module: nn.Module, start: int, like: Tensor, sigma: float) -> None:
    state = {
        name: torch.ones_like(shaped, device=like.device, dtype=like.dtype)
        if name.endswith("weight") and shaped.ndim == 1
        else _numbers(start, shaped.numel()).to(like.device).mul(sigma).to(like.dtype).view(shaped.shape)
        for name, shaped in module.state_dict().items()
    }
    module.load_state_dict(state, assign=True)


def _numbers(start: int, count: int) -> Tensor:
    """The pool's last `start`, then the pool again and again."""
    pool = pool_of_numbers()
    whole, rest = divmod(max(0, count - start), len(pool))
    return torch.cat([pool[len(pool) - start :], *[pool] * whole, pool[:rest]])[:count]


def _to_float8(block: nn.Module, *, scaled: bool, matmul: bool) -> None:
    for name, linear in list(block.named_modules()):
        if isinstance(linear, nn.Linear):
            with linear.weight.device:
                plain = (linear.weight.to(STORED), torch.ones(()))
                stored, scale = quantize(linear.weight) if scaled else plain
            parent, _, last = name.rpartition(".")
            setattr(block.get_submodule(parent), last, Float8Linear(stored, scale, linear.bias))
    use_float8_matmul(block, matmul)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.").replace("bfloat16", "bf16")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", type=Path, help="network.safetensors of tools.demo_model.train_flow")
    parser.add_argument("--pictures", type=int, default=100, help="0: only the pass of the transformer")
    parser.add_argument("--size", default="512x512", help="WIDTHxHEIGHT of the pictures")
    parser.add_argument("--model", choices=("flux1", "demo"), default="flux1", help="shape of the transformer's pass")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--write", type=Path, nargs="?", const=ENGINE, help="put the tables into this document")
    options = parser.parse_args(arguments)
    demo.register()
    return options


if __name__ == "__main__":
    sys.exit(main())
