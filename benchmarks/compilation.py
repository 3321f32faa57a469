"""The transformer's blocks uncompiled and compiled, side by side: FLUX.1's shapes, random weights.

Run: python -m benchmarks.compilation [--caps none,8,4] [--sizes 1024x1024,512x512] [--ways eager,compiled]
[--steps 6] [--first] [--unrecorded] [--any-size] [--no-cudnn] [--upcast] [--model flux1|demo] [--folder FOLDER]
[--write].
One process; nothing is compiled yet, unless a folder is named that was compiled into. --upcast: as on a card that does
not multiply float8. Then: where the time of one step goes.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.documents import ENGINE, command_of, write_section
from benchmarks.full_size import make_ours, request_of
from benchmarks.measuring import (
    FAULTS,
    Clock,
    Gauge,
    again_as_the_engine,
    cap_card,
    check_picture,
    first_line,
    gib,
    machine_line,
    say,
    seconds,
    table,
    tidy,
)
from benchmarks.promises import Case, Ours, sizes
from benchmarks.rows import same_pictures
from darkroom.engine.compilation import Compilation, CompileWishes
from darkroom.engine.machine import look_at_machine
from darkroom.engine.process import compiler_folders
from darkroom.engine.tracing import Size
from darkroom.planner import Plan, make_plan
from darkroom.wishes import Wishes

# By what one knows them in the table: as DiffSynth's code; fused, or compiled for cards that do not multiply float8;
# and eager again, while a process beside it compiles.
WAYS = ("eager", "compiled", "meanwhile")
HEAD = ("blocks", "card", "size", "s/step", "first", "of eager", "compiled in", "picture", "reserved", "allocated", "")
# The last cards that do not multiply float8.
BEFORE_ADA = (8, 6)
TOP_KERNELS = 14
KERNEL_WIDTH = 90
NOTES = """
Seconds and GiB. s/step: the median of the steps after the first, of `first` the first, with the modulation table's
filling. Compiled: fused blocks, their activations scaled by the largest value of the step before; with --upcast what
torch's compiler makes. Meanwhile: uncompiled, while a process beside it compiles. Compiled in: what the first picture
of a size waits for with `engine.compile: on`. Picture: a whole one, its prompt known.
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of one way on one card at one size."""

    way: str
    case: Case
    fault: str = ""
    step: float | None = None
    first: float | None = None
    whole: float | None = None
    waited: float = 0.0
    reserved: int = 0
    allocated: int = 0
    pixels: str = ""

    def cells(self, eager: float | None) -> list[str]:
        case = self.case
        cells = [self.way, f"{case.cap:g} GB" if case.cap else "whole", f"{case.width}×{case.height}"]
        if self.step is None:
            return [*cells, *[""] * (len(HEAD) - len(cells) - 1), self.fault]
        share = f"{self.step / eager:.0%}" if eager else "–"
        times = [seconds(self.step), seconds(self.first), share, seconds(self.waited or None), seconds(self.whole)]
        return [*cells, *times, gib(self.reserved), gib(self.allocated), self.fault]


class Bench:
    """Our engine, its blocks compiled or not."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self.ours = Ours(options)
        self._compilations = {way: self._compilation(way) for way in WAYS}
        # One process compiles for both.
        self._compilations["meanwhile"] = self._compilations["compiled"]

    def measure(self, way: str, case: Case) -> Row:
        plan, gauge = self._prepare(way, case), Gauge(self.ours.device)
        waited = 0.0
        if way != "meanwhile":
            with Gauge(self.ours.device) as warming:
                compilation = self.ours.pipeline.compilation
                before = compilation.seconds
                self.ours.picture(warming, plan, replace(case, steps=3), "a lighthouse")
                waited = compilation.seconds - before
        with gauge:
            timing, pixels = self.ours.picture(gauge, plan, case, "a lighthouse")
        why = self.ours.pipeline.compilation.why_not
        row = Row(way=way, case=case, step=timing.step, first=timing.steps[0], whole=timing.whole, pixels=pixels)
        row = replace(row, waited=waited, reserved=gauge.peak.reserved, allocated=gauge.peak.allocated)
        # Of what was asked for, there is something to say only where it did not happen.
        return replace(row, fault="" if way == "eager" or why is None else f"uncompiled: {why}")

    def first_pictures(self, case: Case) -> tuple[float, float]:
        """Seconds of the first two of this process, their blocks compiled by an earlier one."""
        plan, found = self._prepare("compiled", case), []
        for prompt in ("a lighthouse", "a mill"):
            with Gauge(self.ours.device) as gauge:
                timing, _ = self.ours.picture(gauge, plan, case, prompt)
            found.append(timing.whole)
        return found[0], found[1]

    def profile(self, way: str, case: Case) -> list[list[str]]:
        """The kernels of one step that take longest, and the rest: name, how many, milliseconds, share."""
        plan = self._prepare(way, case)
        with Gauge(self.ours.device) as gauge:
            clock = _ProfilingClock(gauge, self.ours.device)
            request = request_of(self.ours.shape.entry, "a lighthouse", width=case.width, height=case.height, steps=3)
            _, pixels = make_ours(self.ours.pipeline, plan, clock, request)
        check_picture(pixels)
        return clock.kernels()

    def start_again(self, case: Case) -> float:
        """Seconds until a new engine has what an earlier one had compiled."""
        self._compilations["compiled"] = self._compilation("compiled")
        plan = self._prepare("compiled", case)
        compilation, began = self.ours.pipeline.compilation, time.perf_counter()
        compilation.begin(self.size(case), rows=plan.table_rows > 0, promised=0, waiting=lambda: None)
        spent = time.perf_counter() - began
        compilation.leave()
        if compilation.why_not:
            raise RuntimeError(compilation.why_not)
        return spent

    def size(self, case: Case) -> Size:
        return Size(text=self.ours.shape.entry.prompt_tokens, image=case.width // 16 * (case.height // 16))

    def stop(self) -> None:
        for compilation in self._compilations.values():
            compilation.stop()

    def _prepare(self, way: str, case: Case) -> Plan:
        plan = self._plan_before_ada(case) if self._options.upcast else self.ours.plan(case)
        cap_card(self.ours.device, case.cap_bytes)
        compilation = self.ours.pipeline.compilation = self._compilations[way]
        if way in ("compiled", "meanwhile"):
            mode: Any = "auto" if way == "meanwhile" else "on"
            compilation.wishes = replace(compilation.wishes, mode=mode)
        self.ours.settle_into(plan)
        return plan

    def _plan_before_ada(self, case: Case) -> Plan:
        machine = look_at_machine(self.ours.device, number_bytes=self.ours.pipeline.torch_dtype.itemsize)
        if machine.card is not None:
            machine = replace(machine, card=replace(machine.card, compute=BEFORE_ADA))
        wishes = Wishes(vram_limit=case.cap_bytes or 0)
        entry = self.ours.shape.entry
        return make_plan(entry, machine, wishes, width=case.width, height=case.height, passes=case.steps)

    def _compilation(self, way: str) -> Compilation:
        options, pipeline = self._options, self.ours.pipeline
        wishes = CompileWishes(
            mode="off" if way == "eager" else "on",
            folder=self._folder,
            any_image=options.any_size,
            chosen_attention=not options.no_cudnn,
            record=not options.unrecorded,
        )
        # Without a card there is nothing to gain, but all of it can be tried.
        missing: Callable[..., str] | None = None if self.ours.device.type == "cuda" else lambda *_device: ""
        return Compilation(pipeline.dit, self.ours.device, pipeline.torch_dtype, wishes=wishes, missing=missing)


class _ProfilingClock(Clock):
    """Looks into the second step of a picture."""

    def __init__(self, gauge: Gauge, device: torch.device) -> None:
        super().__init__(gauge, device)
        kind = torch.profiler.ProfilerActivity
        self._kind = kind.CUDA if device.type == "cuda" else kind.CPU
        self._on_card = device.type == "cuda"
        self._profiler = torch.profiler.profile(activities=[self._kind])

    def step(self, number: int, of: int, preview_jpeg: Callable[[], bytes]) -> None:
        super().step(number, of, preview_jpeg)
        if self._on_card and number < 3:
            torch.cuda.synchronize()
        if number == 1:
            self._profiler.start()
        elif number == 2:
            self._profiler.stop()

    def kernels(self) -> list[list[str]]:
        found = []
        for event in self._profiler.key_averages():
            spent = event.self_device_time_total if self._on_card else event.self_cpu_time_total
            if spent > 0:
                found.append((float(spent) / 1000, int(event.count), str(event.key)))
        found.sort(reverse=True)
        whole = sum(spent for spent, _, _ in found)
        top, rest = found[:TOP_KERNELS], found[TOP_KERNELS:]
        if rest:
            top.append((sum(spent for spent, _, _ in rest), sum(count for _, count, _ in rest), "all others"))
        top.append((whole, sum(count for _, count, _ in found), "together"))
        return [[name[:KERNEL_WIDTH], str(count), f"{spent:.2f}", f"{spent / whole:.1%}"] for spent, count, name in top]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if (ended := again_as_the_engine("benchmarks.compilation", arguments)) is not None:
        return ended
    with tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True) as made:
        folder = options.folder or Path(made)
        # torch looks for them when it compiles first.
        os.environ.update(compiler_folders(folder))
        text = _report(options, command_of("benchmarks.compilation", arguments), folder)
    print(text, flush=True)
    if options.write:
        write_section(options.write, "compilation", text)
    return 0


def _report(options: argparse.Namespace, command: str, folder: Path) -> str:
    deadline = time.monotonic() + options.limit
    bench = Bench(options, folder)
    say("built")
    rows: list[Row] = []
    begun: tuple[str, ...] = ()
    if options.first:
        first, second = bench.first_pictures(cases_of(options)[0])
        begun = (f"The first picture of a new process took {first:.2f} s, the second {second:.2f} s.", "")
        say(begun[0])
    for case in cases_of(options):
        # The first size, on the first card: it is there that nothing is compiled yet.
        for way in options.ways if case != cases_of(options)[0] else _with_meanwhile(options.ways):
            rows.append(_measured(bench, way, case, deadline))
            say("  ".join(cell for cell in rows[-1].cells(_eager(rows, case)) if cell))
    sections = [_section(bench, way, cases_of(options)[0], deadline) for way in options.ways]
    try:
        again = f"What is compiled is there again after a start in {bench.start_again(cases_of(options)[0]):.2f} s."
    except FAULTS as error:
        again = f"After a start: {first_line(error)}."
    bench.stop()
    where = machine_line(bench.ours.device)
    return "\n".join(
        (
            "## Compiled blocks",
            "",
            f"`{command}`, {where}. {options.steps} steps.",
            NOTES,
            *begun,
            table(HEAD, [row.cells(_eager(rows, row.case)) for row in rows]),
            *same_pictures((row.way, row.case, row.pixels) for row in rows if row.way != "meanwhile"),
            again,
            *sections,
        )
    )


def cases_of(options: argparse.Namespace) -> list[Case]:
    return [
        Case(engine="ours", cap=cap, width=width, height=height, steps=options.steps)
        for width, height in options.sizes
        for cap in options.caps
    ]


def _with_meanwhile(ways: Sequence[str]) -> list[str]:
    """Before it is waited for, if it is to be compiled."""
    at = [*ways].index("compiled") if "compiled" in ways else len(ways)
    return [*ways[:at], *(["meanwhile"] if at < len(ways) else []), *ways[at:]]


def _measured(bench: Bench, way: str, case: Case, deadline: float) -> Row:
    if time.monotonic() > deadline:
        return Row(way=way, case=case, fault="not reached in time")
    try:
        return bench.measure(way, case)
    except FAULTS as error:
        return Row(way=way, case=case, fault=first_line(error))
    finally:
        tidy()


def _eager(rows: Sequence[Row], case: Case) -> float | None:
    return next((row.step for row in rows if row.way == "eager" and row.case == case), None)


def _section(bench: Bench, way: str, case: Case, deadline: float) -> str:
    head = f"\n### One step, {way}, {case.width}×{case.height}\n\n"
    if time.monotonic() > deadline:
        return f"{head}Not reached in time."
    try:
        return head + table(("kernel", "calls", "ms", "share"), bench.profile(way, case))
    except FAULTS as error:
        return head + first_line(error)
    finally:
        tidy()


# --- words to values


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--caps", type=_caps, default="none,8,4", help="GB of the emulated cards; none: the whole")
    parser.add_argument("--sizes", type=sizes, default="1024x1024,512x512", help="pixels, with commas between")
    parser.add_argument("--ways", type=_ways, default="eager,compiled", help=", ".join(WAYS[:-1]))
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--any-size", action="store_true", help="graphs that serve pictures of all sizes")
    parser.add_argument("--unrecorded", action="store_true", help="what fused blocks do is not recorded and replayed")
    parser.add_argument("--no-cudnn", action="store_true", help="attention as torch chooses it")
    parser.add_argument("--upcast", action="store_true", help="as on cards that do not multiply float8")
    parser.add_argument("--model", choices=("flux1", "demo"), default="flux1")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--previews", action="store_true", help="a preview each step, as for a page")
    parser.add_argument("--folder", type=Path, help="where compiled code is kept; else a new one")
    parser.add_argument("--first", action="store_true", help="the first picture of this process too")
    parser.add_argument("--limit", type=float, default=210, help="seconds; rows not reached by then say so")
    parser.add_argument("--write", type=Path, nargs="?", const=ENGINE, help="put the tables into this document")
    return parser.parse_args(arguments)


def _caps(text: str) -> list[float]:
    return [0 if each == "none" else float(each) for each in text.split(",")]


def _ways(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in WAYS[:-1]:
            raise argparse.ArgumentTypeError(f"{name}: none of {', '.join(WAYS[:-1])}")
    return names


if __name__ == "__main__":
    sys.exit(main())
