"""What LoRAs cost a step: FLUX.1's shapes, random weights, none, one and two LoRAs on every layer of the blocks.

Run: python -m benchmarks.lora [--ways eager,compiled] [--loras 0,1,2] [--rank 16] [--caps none] [--size 1024x1024]
[--steps 6] [--layers] [--model flux1|demo] [--folder FOLDER] [--write]. --layers: then each kind of layer alone, and
what it would take to have a LoRA's columns in the weight. Must not know: how LoRAs are read or attached.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.documents import ENGINE, command_of, write_section
from benchmarks.full_size import SHAPES, build_ours, make_ours, request_of
from benchmarks.int8 import LAYERS, WIDTH
from benchmarks.measuring import (
    FAULTS,
    GIB,
    Clock,
    Gauge,
    again_as_the_engine,
    cap_card,
    check_picture,
    first_line,
    gib,
    machine_line,
    milliseconds,
    say,
    seconds,
    table,
    tidy,
)
from darkroom.engine.compilation import Compilation, CompileWishes
from darkroom.engine.float8 import STORED, Float8Linear, LowRank, quantize, scaled_activations, use_float8_matmul
from darkroom.engine.flux import computation_type
from darkroom.engine.lora_shelf import LoraShelf
from darkroom.engine.process import compiler_folders
from darkroom.request import GenerationRequest, LoraUse
from darkroom.wishes import Wishes

WAYS = ("eager", "compiled")
HEAD = ("blocks", "card", "LoRAs", "s/step", "more than none", "picture", "promised", "reserved", "allocated", "")
NOTES = """
Seconds and GiB. s/step: the median of the steps after the first. Each LoRA has matrices for every layer of the blocks
but those of the modulation, which run once a picture.
"""
SIGMA = 0.02
# More of a row than its weight, in bytes: the least that float8 matmul takes, and whole sectors of a card's memory.
PITCHES = (16, 32, 128)


@dataclass(frozen=True, kw_only=True)
class Case:
    """`cap` in GB of a card, 0 for the whole card; so many LoRAs."""

    way: str
    cap: float
    loras: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of a case."""

    case: Case
    fault: str = ""
    step: float | None = None
    whole: float | None = None
    promised: int = 0
    reserved: int = 0
    allocated: int = 0

    def cells(self, none: float | None) -> list[str]:
        case = self.case
        cells = [case.way, f"{case.cap:g} GB" if case.cap else "whole", str(case.loras)]
        if self.step is None:
            return [*cells, *[""] * (len(HEAD) - len(cells) - 1), self.fault]
        more = f"{self.step / none - 1:+.1%}" if none and case.loras else "–"
        times = [seconds(self.step), more, seconds(self.whole)]
        return [*cells, *times, gib(self.promised), gib(self.reserved), gib(self.allocated), self.fault]


class Bench:
    """Our engine with LoRAs in a folder, its blocks compiled or not."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._device = options, torch.device(options.device)
        self._shape = SHAPES[options.model]
        self._pipeline = build_ours(self._shape, self._device, computation_type(self._device))
        dit: Any = self._pipeline.dit
        blocks = {"blocks": dit.blocks, "single_blocks": dit.single_blocks}
        for number in range(max(options.loras)):
            tensors = random_lora(blocks, options.rank, torch.Generator().manual_seed(number))
            save_file(tensors, folder / f"{_name(number)}.safetensors")
        self._pipeline._shelf = LoraShelf((folder,), dit)
        self._compilations = {way: self._compilation(way, options.folder or folder) for way in WAYS}

    def measure(self, case: Case) -> Row:
        cap = int(case.cap * GIB) or None
        request = self._request(case)
        plan = self._pipeline.plan(request, Wishes(vram_limit=cap or 0))
        cap_card(self._device, cap)
        compilation = self._pipeline.compilation = self._compilations[case.way]
        with Gauge(self._device) as warming:
            make_ours(self._pipeline, plan, Clock(warming, self._device), request.model_copy(update={"steps": 2}))
        with Gauge(self._device) as gauge:
            timing, pixels = make_ours(self._pipeline, plan, Clock(gauge, self._device), request)
        # The pixels of random weights with random LoRAs say nothing, but that they are numbers.
        check_picture(pixels)
        why = compilation.why_not if case.way == "compiled" else None
        row = Row(case=case, step=timing.step, whole=timing.whole, fault=f"uncompiled: {why}" if why else "")
        peak = gauge.peak
        return replace(row, promised=plan.promised_vram, reserved=peak.reserved, allocated=peak.allocated)

    def stop(self) -> None:
        for compilation in self._compilations.values():
            compilation.stop()

    def _request(self, case: Case) -> GenerationRequest:
        width, height = (int(side) for side in self._options.size.split("x"))
        request = request_of(self._shape.entry, "a lighthouse", width=width, height=height, steps=self._options.steps)
        uses = tuple(LoraUse(name=_name(number), weight=0.5) for number in range(case.loras))
        return request.model_copy(update={"loras": uses})

    def _compilation(self, way: str, folder: Path) -> Compilation:
        wishes = CompileWishes(mode="on" if way == "compiled" else "off", folder=folder)
        # Without a card there is nothing to gain, but all of it can be tried.
        missing: Callable[..., str] | None = None if self._device.type == "cuda" else lambda *_device: ""
        pipeline = self._pipeline
        return Compilation(pipeline.dit, self._device, pipeline.torch_dtype, wishes=wishes, missing=missing)


def random_lora(blocks: dict[str, nn.ModuleList], rank: int, draw: torch.Generator) -> dict[str, Tensor]:
    """A file's tensors, for every float8 layer but those of the modulation."""
    tensors = {}
    for kind, each in blocks.items():
        for name, layer in each.named_modules():
            if isinstance(layer, Float8Linear) and not name.endswith(".layer"):
                sides = {"lora_A": (rank, layer.in_features), "lora_B": (layer.out_features, rank)}
                for side, shape in sides.items():
                    drawn = torch.randn(shape, generator=draw).mul_(SIGMA).bfloat16()
                    tensors[f"{kind}.{name}.{side}.weight"] = drawn
    return tensors


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if (ended := again_as_the_engine("benchmarks.lora", arguments)) is not None:
        return ended
    with tempfile.TemporaryDirectory(prefix="loras-", ignore_cleanup_errors=True) as made:
        # torch looks for them when it compiles first.
        os.environ.update(compiler_folders(options.folder or Path(made)))
        text = _report(options, command_of("benchmarks.lora", arguments), Path(made))
    print(text, flush=True)
    if options.write:
        write_section(options.write, "lora", text)
    return 0


def _report(options: argparse.Namespace, command: str, folder: Path) -> str:
    deadline = time.monotonic() + options.limit
    device = torch.device(options.device)
    rows: list[Row] = []
    if options.ways:
        bench = Bench(options, folder)
        say("built")
        for way in options.ways:
            for cap in options.caps:
                for loras in options.loras:
                    rows.append(_measured(bench, Case(way=way, cap=cap, loras=loras), deadline))
                    say("  ".join(cell for cell in rows[-1].cells(_none(rows, rows[-1].case)) if cell))
        bench.stop()
        del bench
        tidy()
    words = f"`{command}`, {machine_line(device)}. {options.size}, {options.steps} steps, rank {options.rank}."
    parts = ["## LoRAs", "", words, NOTES, table(HEAD, [row.cells(_none(rows, row.case)) for row in rows])]
    if options.layers:
        parts.append(compare_layers(options, device))
    return "\n".join(parts)


def _measured(bench: Bench, case: Case, deadline: float) -> Row:
    if time.monotonic() > deadline:
        return Row(case=case, fault="not reached in time")
    try:
        return bench.measure(case)
    except FAULTS as error:
        return Row(case=case, fault=first_line(error))
    finally:
        tidy()


def _none(rows: Sequence[Row], case: Case) -> float | None:
    return next((row.step for row in rows if row.case == replace(case, loras=0)), None)


def _name(number: int) -> str:
    return f"drawn-{number}"


# --- layer by layer


@torch.no_grad()
def compare_layers(options: argparse.Namespace, device: torch.device) -> str:
    total: dict[str, float] = {}
    found: dict[str, dict[str, float]] = {}
    faults: list[str] = []
    for name, (inputs, outputs, count) in LAYERS.items():
        ways = _ways(inputs * options.width, outputs * options.width, options, device)
        found[name] = {}
        for way, run in ways.items():
            try:
                found[name][way] = milliseconds(run, device)
                total[way] = total.get(way, 0.0) + found[name][way] * count
            except FAULTS as error:
                faults.append(f"- {name}, {way}: {first_line(error)}")
        say(f"{name}  " + "  ".join(f"{way} {spent:.3f}" for way, spent in found[name].items()))
    rows = [
        [way, *(f"{found[name][way]:.3f}" if way in found[name] else "" for name in LAYERS), f"{total[way]:.1f}"]
        for way in total
    ]
    words = f"Milliseconds of a layer on {options.rows} rows, uncompiled; a step: all of FLUX.1's layers of the kind. "
    words += (
        "Pitch: each row of the weight has so many bytes more. Folded: a LoRA's columns stand there, and what goes "
    )
    words += "with them beside the activations; copying those there is not counted, the kernel that makes them would."
    return "\n".join(["", words, "", table(("", *LAYERS, "a step"), rows), *faults])


def _ways(
    inputs: int, outputs: int, options: argparse.Namespace, device: torch.device
) -> dict[str, Callable[[], Tensor]]:
    stored, scale = quantize(torch.randn(outputs, inputs, device=device) * SIGMA)
    bias = torch.randn(outputs, device=device, dtype=torch.bfloat16)
    plain, with_one = (Float8Linear(stored, scale, bias) for _ in range(2))
    for layer in (plain, with_one):
        use_float8_matmul(layer, enabled=True)
    rank = -options.rank // 16 * -16
    down, up = torch.randn(rank, inputs, device=device), torch.randn(outputs, rank, device=device)
    with_one.low_rank = LowRank(down.bfloat16(), up.bfloat16(), *quantize(down))
    hidden = torch.randn(1, options.rows, inputs, device=device, dtype=torch.bfloat16)
    activations, measured = scaled_activations(hidden[0])
    eight_bit_down, _ = quantize(down)

    def product(left: Tensor, right: Tensor) -> Tensor:
        return torch._scaled_mm(
            left, right.t(), scale_a=measured, scale_b=scale, out_dtype=torch.bfloat16, use_fast_accum=True
        )

    ways = {
        "without": lambda: plain(hidden),
        "with": lambda: with_one(hidden),
        "product alone": lambda: product(activations, stored),
        "down alone": lambda: product(activations, eight_bit_down),
    }
    for pitch in PITCHES:
        pitched = torch.zeros(outputs, inputs + pitch, device=device, dtype=STORED)
        pitched[:, :inputs] = stored
        ways[f"product, pitch {pitch}"] = partial(product, activations, pitched[:, :inputs])
        if pitch >= rank:
            beside = torch.zeros(options.rows, inputs + pitch, device=device, dtype=STORED)
            beside[:, :inputs] = activations

            def folded(pitched: Tensor = pitched, beside: Tensor = beside) -> Tensor:
                narrow = product(beside[:, :inputs], eight_bit_down)
                beside[:, inputs : inputs + rank] = (narrow / measured).to(STORED)
                return product(beside, pitched)

            ways[f"folded, pitch {pitch}"] = folded
    return ways


# --- words to values


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ways", type=_ways_of, default="eager,compiled", help=f"{', '.join(WAYS)}, or none")
    parser.add_argument("--loras", type=_numbers, default="0,1,2", help="how many at once, with commas between")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--caps", type=_caps, default="none", help="GB of the emulated cards; none: the whole")
    parser.add_argument("--size", default="1024x1024", help="pixels")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--layers", action="store_true", help="each kind of layer alone")
    parser.add_argument("--rows", type=int, default=4608, help="tokens that a layer alone sees")
    parser.add_argument("--width", type=int, default=WIDTH, help="of layers alone")
    parser.add_argument("--model", choices=("flux1", "demo"), default="flux1")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--folder", type=Path, help="where compiled code is kept; else a new one")
    parser.add_argument("--limit", type=float, default=210, help="seconds; rows not reached by then say so")
    parser.add_argument("--write", type=Path, nargs="?", const=ENGINE, help="put the tables into this document")
    return parser.parse_args(arguments)


def _caps(text: str) -> list[float]:
    return [0 if each == "none" else float(each) for each in text.split(",")]


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _ways_of(text: str) -> list[str]:
    names = [] if text == "none" else text.split(",")
    for name in names:
        if name not in WAYS:
            raise argparse.ArgumentTypeError(f"{name}: none of {', '.join(WAYS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
