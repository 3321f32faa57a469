"""Int8 matmul for cards that do not multiply float8: what it costs in likeness, and what it saves in time.

Run: python -m benchmarks.int8 [--pictures 20] [--size 512x512] [--layers] [--rows 4608] [--write]. Likeness: pictures
of the demo model, each layer of whose transformer's blocks is made int8 from our float8. --layers: FLUX.1's layers one
by one, compiled, in bf16, upcast from float8, int8 and float8. Must not know: memory, or how weights travel.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.documents import ENGINE, command_of, write_section
from benchmarks.full_size import DEMO_SHAPE, MODELS, Models, build_ours, make_ours, plan_ours, request_of
from benchmarks.likeness import ssim
from benchmarks.measuring import (
    FAULTS,
    Clock,
    Gauge,
    again_as_the_engine,
    first_line,
    machine_line,
    milliseconds,
    say,
    table,
)
from darkroom.catalog import DEMO
from darkroom.engine import demo
from darkroom.engine.float8 import Float8Linear, quantize, use_float8_matmul
from darkroom.engine.flux import computation_type
from darkroom.engine.loading import load_models
from tools.demo_model.evaluate import held_out

LARGEST = 127.0
# Below it, torch's int8 matmul does nothing on a card.
FEW_ROWS = 32
PARTS = {
    "flux_dit": "dit",
    "flux_text_encoder_clip": "text_encoder_1",
    "flux_text_encoder_t5": "text_encoder_2",
    "flux_vae_encoder": "vae_encoder",
    "flux_vae_decoder": "vae_decoder",
}
WIDTH = 3072
# Of FLUX.1's blocks: inputs and outputs in multiples of the width, and how often a step has it. Both streams of a joint
# block together have all rows.
LAYERS = {
    "qkv": (1, 3, 19),
    "out": (1, 1, 19),
    "mlp.0": (1, 4, 19),
    "mlp.2": (4, 1, 19),
    "linear1": (1, 7, 38),
    "linear2": (5, 1, 38),
}


class Int8Linear(nn.Module):
    """y = (x as int8) · (weight as int8)ᵀ, times a scale for each row of x and for each row, or all, of the weight."""

    # As Float8Linear has it.
    weight: None = None
    stored: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: Float8Linear, *, by_row: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        weight = layer.stored.float() * layer.scale
        largest = weight.abs().amax(1, keepdim=True) if by_row else weight.abs().max().expand(len(weight), 1)
        scale = largest.clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
        self.register_buffer("stored", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale[:, 0].contiguous())
        self.register_buffer("bias", layer.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        flat = hidden.reshape(-1, self.in_features)
        if len(flat) <= FEW_ROWS:
            return functional.linear(hidden, (self.stored.float() * self.scale[:, None]).to(hidden.dtype), self.bias)
        scale = flat.abs().amax(1, keepdim=True).float().clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
        product = multiplied((flat / scale).round().to(torch.int8), self.stored)
        result = product.float() * scale * self.scale
        if self.bias is not None:
            result = result + self.bias
        return result.to(hidden.dtype).view(*hidden.shape[:-1], self.out_features)


def multiplied(rows: Tensor, weight: Tensor) -> Tensor:
    """rows · weightᵀ, both int8."""
    if rows.is_cpu:
        # torch's own takes ten times as long there; sums of the demo's widths are exact in float32.
        return rows.float() @ weight.float().t()
    return torch._int_mm(rows, weight.t())


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if (ended := again_as_the_engine("benchmarks.int8", arguments)) is not None:
        return ended
    device = torch.device(options.device)
    parts = ["## Int8 matmul", "", f"`{command_of('benchmarks.int8', arguments)}`, {machine_line(device)}."]
    if options.pictures:
        parts += ["", compare_pictures(options, device)]
    if options.layers:
        parts += ["", compare_layers(options, device)]
    text = "\n".join(parts)
    print(text, flush=True)
    if options.write:
        write_section(options.write, "int8", text)
    return 0


# --- likeness


def compare_pictures(options: argparse.Namespace, device: torch.device) -> str:
    dtype = computation_type(device)
    width, height = (int(side) for side in options.size.split("x"))
    painted: dict[str, tuple[Tensor, list[float]]] = {}
    for name, change, matmul in VARIANTS:
        models = _shipped(dtype)
        errors = _exchange(models["dit"], change, dtype) if change else []
        painted[name] = (_paint(models, options.pictures, width, height, device, float8_matmul=matmul), errors)
        say(name)
    reference, _ = painted[VARIANTS[0][0]]
    rows = []
    for name, (pictures, errors) in painted.items():
        alike = ssim(pictures, reference)
        error = f"{100 * sum(errors) / len(errors):.2f} %" if errors else "–"
        rows.append([name, f"{alike.mean():.4f}", f"{alike.min():.4f}", error])
    words = f"Demo model, {options.pictures} prompts, {width}×{height}, {DEMO.default_steps} steps, the same seeds, "
    words += f"compared with {VARIANTS[0][0]}. Layer: ‖int8 − float8 upcast‖ / ‖float8 upcast‖ of a layer's result for "
    words += "normal activations, the mean of all layers."
    return "\n".join([words, "", table(("transformer's blocks", "SSIM, mean", "SSIM, lowest", "layer"), rows)])


def _by_row(layer: Float8Linear) -> nn.Module:
    return Int8Linear(layer, by_row=True)


def _by_tensor(layer: Float8Linear) -> nn.Module:
    return Int8Linear(layer, by_row=False)


# What cards before Ada have now comes first; the flag: activations become float8.
VARIANTS: tuple[tuple[str, Callable[[Float8Linear], nn.Module] | None, bool], ...] = (
    ("float8, upcast", None, False),
    ("float8 matmul", None, True),
    ("int8, a scale for each row", _by_row, False),
    ("int8, a scale for each tensor", _by_tensor, False),
)


@torch.no_grad()
def _exchange(transformer: nn.Module, change: Callable[[Float8Linear], nn.Module], dtype: torch.dtype) -> list[float]:
    """Each float8 layer, and by how much its result is another one afterwards."""
    errors: list[float] = []
    for name, layer in list(transformer.named_modules()):
        if isinstance(layer, Float8Linear):
            parent, _, last = name.rpartition(".")
            other = change(layer)
            rows = torch.randn(2 * FEW_ROWS, layer.in_features, generator=torch.Generator().manual_seed(len(errors)))
            before, after = (each(rows.to(dtype)).float() for each in (layer, other))
            errors.append(float((after - before).norm() / before.norm()))
            setattr(transformer.get_submodule(parent), last, other)
    return errors


def _paint(models: Models, count: int, width: int, height: int, device: torch.device, *, float8_matmul: bool) -> Tensor:
    pipeline = build_ours(DEMO_SHAPE, device, computation_type(device), models)
    pictures = []
    for seed, caption in enumerate(held_out(count)):
        request = request_of(DEMO, caption.text, width=width, height=height, steps=DEMO.default_steps)
        plan = replace(plan_ours(pipeline, request, None), float8_matmul=float8_matmul)
        _, pixels = make_ours(pipeline, plan, Clock(Gauge(device), device), request.model_copy(update={"seed": seed}))
        picture = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(height, width, 3)
        pictures.append(picture.permute(2, 0, 1).float() / 127.5 - 1)
    return torch.stack(pictures)


def _shipped(dtype: torch.dtype) -> Models:
    models: Models = {}
    for path in (DEMO.files.transformer, DEMO.files.text_encoder_1, DEMO.files.text_encoder_2, DEMO.files.vae):
        assert path is not None
        loaded = load_models(MODELS / path, dtype=dtype, read=lambda _bytes: None)
        models |= {PARTS[part]: model for part, model in loaded.items()}
    return models


# --- time


@torch.no_grad()
def compare_layers(options: argparse.Namespace, device: torch.device) -> str:
    names = ("bf16", "float8, upcast", "int8", "float8 matmul")
    total = dict.fromkeys(names, 0.0)
    rows = []
    for name, (inputs, outputs, count) in LAYERS.items():
        cells = [name]
        for way, run in _ways(inputs * options.width, outputs * options.width, options.rows, device).items():
            try:
                spent = milliseconds(run, device)
                total[way] += spent * count
                cells.append(f"{spent:.3f}")
            except FAULTS as error:
                total[way] = float("nan")
                cells.append(first_line(error)[:60])
        rows.append(cells)
        say("  ".join(cells))
    rows.append(["a step", *(f"{total[way]:.1f}" for way in names)])
    words = (
        f"Milliseconds of a layer on {options.rows} rows with the GELU or sum after it, compiled; a step: all layers "
    )
    words += f"of FLUX.1's blocks (width {options.width}), attention and norms not counted."
    return "\n".join([words, "", table(("layer", *names), rows)])


def _ways(inputs: int, outputs: int, rows: int, device: torch.device) -> dict[str, Callable[[], Tensor]]:
    # What is compiled for one layer is no use to the next, and torch stops after a few.
    torch._dynamo.reset()
    weight = torch.randn(outputs, inputs, device=device, dtype=torch.bfloat16) * 0.02
    bias = torch.randn(outputs, device=device, dtype=torch.bfloat16)
    hidden = torch.randn(1, rows, inputs, device=device, dtype=torch.bfloat16)
    linear = nn.Linear(inputs, outputs, device=device, dtype=torch.bfloat16)
    linear.weight.data, linear.bias.data = weight, bias
    layers = [Float8Linear(*quantize(weight), bias) for _ in range(2)]
    use_float8_matmul(layers[1], enabled=True)
    modules = {
        "bf16": linear,
        "float8, upcast": layers[0],
        "int8": Int8Linear(layers[0], by_row=True),
        "float8 matmul": layers[1],
    }
    return {name: _compiled(module, hidden) for name, module in modules.items()}


def _compiled(module: nn.Module, hidden: Tensor) -> Callable[[], Tensor]:
    # As in a block: what comes before and after becomes part of it.
    def layer(hidden: Tensor) -> Tensor:
        result: Tensor = functional.gelu(module(hidden * 1.5 + 1), approximate="tanh")
        return result

    compiled = torch.compile(layer, dynamic=False)
    return lambda: compiled(hidden)


# --- words to values


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=20, help="0: none")
    parser.add_argument("--size", default="512x512", help="WIDTHxHEIGHT of the pictures")
    parser.add_argument("--layers", action="store_true", help="time FLUX.1's layers one by one")
    parser.add_argument("--rows", type=int, default=4608, help="tokens that a layer sees")
    parser.add_argument("--width", type=int, default=WIDTH, help="of the layers that are timed")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--write", type=Path, nargs="?", const=ENGINE, help="put the tables into this document")
    options = parser.parse_args(arguments)
    demo.register()
    return options


if __name__ == "__main__":
    sys.exit(main())
