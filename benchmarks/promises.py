"""Holds the planner's promises against what our engine really took, stage by stage: FLUX.1's shapes, random weights.

Run: python -m benchmarks.promises [--profiles 24,16,12,8,6,4] [--sizes 512x512,…] [--steps 2] [--model flux1|demo]
[--compile FOLDER] [--write]. All in one process, which may take more than it promised unless --enforce is given: then
it is seen by how much. The fifty pictures in a row of `python -m benchmarks.streaming --fifty` are here too: nothing
may grow.
"""

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.documents import ENGINE, command_of, write_section
from benchmarks.full_size import SHAPES, build_ours, make_ours, plan_ours, request_of
from benchmarks.measuring import (
    FAULTS,
    GIB,
    Clock,
    Gauge,
    Peak,
    Timing,
    again_as_the_engine,
    cap_card,
    check_picture,
    first_line,
    gib,
    machine_line,
    ram_bytes,
    say,
    seconds,
    table,
    tidy,
)
from darkroom.engine.compilation import CompileWishes
from darkroom.engine.flux import computation_type
from darkroom.engine.process import compiler_folders
from darkroom.planner import Plan
from darkroom.request import GenerationRequest

MIXED = "512x512,768x512,768x768,1024x1024,1536x640"
GRID = "512x512,768x512,768x768,1024x1024,1536x640,1536x1536"
STAGES = ("encoding", "denoising", "decoding")
# A promise below the truth is broken; one far above it wastes the card.
LEAST, MOST = 1.0, 1.1
HEAD = ("card", "size", "plan", *STAGES, "VRAM", "allocated", "RAM", "s/step", "")
NOTES = """
GiB and seconds, each as promised / measured = ratio. **low**: promised less than was taken; *high*: more than 1.10
times as much. The stages' figures are what was reserved at their height; VRAM is the highest of them, allocated what
tensors took of it; a plan is streamed bytes a step, ring and tile. Only VRAM and RAM are promises with a bar: the
stages and the time are there to find out why.
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured. `cap` in GB of a card, 0 for the whole card."""

    engine: str
    cap: float
    width: int
    height: int
    steps: int

    @property
    def cap_bytes(self) -> int | None:
        return int(self.cap * GIB) or None


class Ours:
    """Our engine around random weights, for as many pictures as are asked of it."""

    def __init__(self, options: argparse.Namespace, compiled: Path | None = None) -> None:
        """`compiled`: the folder of what is compiled; None: nothing is."""
        self.device = torch.device(options.device)
        self.shape = SHAPES[options.model]
        self.pipeline = build_ours(self.shape, self.device, computation_type(self.device))
        self._previews = options.previews
        if compiled is not None:
            os.environ.update(compiler_folders(compiled))
            self.pipeline.compilation.wishes = CompileWishes(mode="on", folder=compiled)

    def settle_into(self, plan: Plan) -> None:
        """What the plan before kept on the card goes, before anything is measured."""
        self.pipeline.residence.begin(plan, prompts=0, passes=0)
        self.pipeline.residence.leave()

    def plan(self, case: Case) -> Plan:
        """Raises DoesNotFit."""
        return plan_ours(self.pipeline, self._request(case, ""), case.cap_bytes)

    def picture(self, gauge: Gauge, plan: Plan, case: Case, prompt: str) -> tuple[Timing, str]:
        """How long it took, and a digest of the pixels."""
        clock = Clock(gauge, self.device, previews=self._previews)
        timing, pixels = make_ours(self.pipeline, plan, clock, self._request(case, prompt))
        check_picture(pixels)
        return timing, hashlib.sha256(pixels).hexdigest()

    def _request(self, case: Case, prompt: str) -> GenerationRequest:
        return request_of(self.shape.entry, prompt, width=case.width, height=case.height, steps=case.steps)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What was promised and what was measured for one picture."""

    plan: Plan
    peaks: dict[str, Peak]
    step: float

    @property
    def peak(self) -> Peak:
        highest = Peak()
        for peak in self.peaks.values():
            highest |= peak
        return highest

    def cells(self) -> list[str]:
        promised = {stage: getattr(self.plan.peaks, stage) for stage in STAGES}
        stages = [compared(promised[stage], self.peaks.get(stage, Peak()).reserved) for stage in STAGES]
        step = f"{seconds(self.plan.seconds_per_step)} / {seconds(self.step)}"
        marks = [
            f"{mark} {name}"
            for name, said, seen in (
                ("VRAM", self.plan.promised_vram, self.peak.reserved),
                ("RAM", self.plan.promised_ram, self.peak.ram),
            )
            if (mark := mark_of(said, seen))
        ]
        return [
            plan_words(self.plan),
            *stages,
            compared(self.plan.promised_vram, self.peak.reserved),
            gib(self.peak.allocated),
            compared(self.plan.promised_ram, self.peak.ram),
            step,
            ", ".join(marks),
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if (ended := again_as_the_engine("benchmarks.promises", arguments)) is not None:
        return ended
    ours = Ours(options, options.compile)
    say("built")
    deadline = time.monotonic() + options.limit
    rows: list[list[str]] = []
    broken = 0
    for cap in options.profiles:
        for width, height in options.sizes:
            case = Case(engine="ours", cap=cap, width=width, height=height, steps=options.steps)
            where = [f"{cap:g} GB" if cap else "whole", f"{width}×{height}"]
            if time.monotonic() > deadline:
                cells = ["not reached in time"]
            else:
                try:
                    kept = measure(ours, case, enforce=options.enforce)
                    cells = kept.cells()
                    broken += "**low**" in cells[-1]
                except FAULTS as error:
                    cells = [first_line(error)]
            rows.append([*where, *cells, *[""] * (len(HEAD) - len(where) - len(cells))])
            say("  ".join(cell for cell in rows[-1] if cell))
            tidy()
    command = command_of("benchmarks.promises", arguments)
    text = "\n".join(
        (
            "## What the planner promises, and what is taken",
            "",
            f"`{command}`, {machine_line(ours.device)}.",
            NOTES,
            table(HEAD, rows),
            f"{broken} of {len(rows)} took more than was promised.",
        )
    )
    print(text, flush=True)
    if options.write:
        write_section(options.write, "promises", text)
    return 0


def measure(ours: Ours, case: Case, *, enforce: bool) -> Kept:
    """Two pictures: what the first one fills stays for the second."""
    plan = ours.plan(case)
    cap_card(ours.device, case.cap_bytes if enforce else None)
    ours.settle_into(plan)
    with Gauge(ours.device) as gauge:
        for number in range(2):
            timing, _ = ours.picture(gauge, plan, case, f"a harbour, {number}, {case}")
    return Kept(plan=plan, peaks=gauge.peaks, step=timing.step)


def compared(promised: int, measured: int) -> str:
    if not measured:
        return f"{gib(promised)} / –"
    return f"{gib(promised)} / {gib(measured)} = {promised / measured:.2f}"


def mark_of(promised: int, measured: int) -> str:
    if not measured or LEAST <= promised / measured <= MOST:
        return ""
    return "**low**" if promised < measured else "*high*"


def plan_words(plan: Plan) -> str:
    if plan.device == "cpu":
        return f"processor, {plan.weights}"
    tile = f"tile {plan.decode_tile}" if plan.decode_tile else "whole"
    streamed = f"{gib(plan.streamed_bytes)} streamed" if plan.streamed_bytes else "all blocks stay"
    ring = f"ring {plan.slots} × {gib(plan.slot_bytes)}" if plan.slots else "no ring"
    return f"{streamed} ({plan.weights}), {ring}, {tile}"


# --- fifty in a row


def fifty_pictures(options: argparse.Namespace, arguments: Sequence[str] | None) -> int:
    """Many pictures of mixed sizes in one process: how many failed, and whether the last ten take more."""
    if (ended := again_as_the_engine("benchmarks.streaming", arguments)) is not None:
        return ended
    ours = Ours(options)
    cap = options.caps[0]
    cap_card(ours.device, int(cap * GIB) or None)
    around = [
        Case(engine="ours", cap=cap, width=width, height=height, steps=options.steps) for width, height in options.sizes
    ]
    resting: list[tuple[int, int, int]] = []
    faults: list[str] = []
    deadline = time.monotonic() + options.limit
    # Once round beforehand: libraries take their workspaces when they first see a size.
    for number in range(-len(around), options.pictures):
        case = around[number % len(around)]
        if time.monotonic() > deadline:
            faults.append(f"{options.pictures - number} not reached in time")
            break
        try:
            with Gauge(ours.device) as gauge:
                timing, _ = ours.picture(gauge, ours.plan(case), case, f"a lighthouse, picture {number}")
        except FAULTS as error:
            faults.append(f"{number}, {case.width}×{case.height}: {first_line(error)}")
            continue
        if torch.cuda.is_available():
            # As the engine's process does after each job; collecting garbage would hide what is held in a circle.
            torch.cuda.empty_cache()
        if number >= 0:
            # Remembered prompts have a limit of their own.
            ram = ram_bytes() - ours.pipeline.prompts.bytes
            resting.append((gauge.peak.reserved, reserved_now(ours.device), ram))
        say(f"{number + 1}: {case.width}×{case.height} in {timing.whole:.2f} s, {gib(ram_bytes())} GiB of RAM")
    names = ("reserved at the most", "reserved afterwards", "RAM afterwards")
    rows = [[name, *growth([each[place] for each in resting])] for place, name in enumerate(names)]
    command = command_of("benchmarks.streaming", arguments)
    in_turn = ", ".join(f"{width}×{height}" for width, height in options.sizes)
    text = "\n".join(
        (
            f"## {options.pictures} pictures in a row, {f'{cap:g} GB' if cap else 'the whole card'}",
            "",
            f"`{command}`, {machine_line(ours.device)}. "
            f"{len(resting)} of {options.pictures} were made: "
            f"{in_turn} in turn, {options.steps} steps each. GiB.",
            "",
            table(("mean of", "the first ten", "the last ten", "growth"), rows),
            *(f"- {fault}" for fault in faults),
        )
    )
    print(text, flush=True)
    if options.write:
        write_section(options.write, "fifty", text)
    return 1 if faults else 0


def growth(figures: Sequence[int]) -> list[str]:
    if not figures:
        return ["–", "–", "–"]
    first, last = (sum(part) / len(part) for part in (figures[:10], figures[-10:]))
    return [gib(int(first)), gib(int(last)), f"{last / first - 1:+.1%}" if first else "–"]


def reserved_now(device: torch.device) -> int:
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else 0


def sizes(text: str) -> list[tuple[int, int]]:
    """1024x1024,768x512 as pairs of pixels."""
    pairs = [each.split("x") for each in text.split(",")]
    return [(int(width), int(height)) for width, height in pairs]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profiles", default="24,16,12,8,6,4", help="GB of the emulated cards; 0 for the whole card")
    parser.add_argument("--sizes", type=sizes, default=GRID, help="pixels, with commas between")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--model", choices=("flux1", "demo"), default="flux1")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--enforce", action="store_true", help="a row that takes more than its card has runs out")
    parser.add_argument("--previews", action="store_true", help="a preview each step, as for a page")
    parser.add_argument("--compile", type=Path, help="blocks run compiled; the folder of what is compiled")
    parser.add_argument("--limit", type=float, default=540, help="seconds; rows not reached by then say so")
    parser.add_argument("--write", type=Path, nargs="?", const=ENGINE, help="put the table into this document")
    options = parser.parse_args(arguments)
    options.profiles = [float(each) for each in options.profiles.split(",")]
    return options


if __name__ == "__main__":
    sys.exit(main())
