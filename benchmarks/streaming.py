"""Our engine and stock DiffSynth side by side under the same caps on a card's memory: FLUX.1's shapes, random weights.

Run: python -m benchmarks.streaming [--caps none,12,8,6,4] [--sizes 1024x1024] [--steps 20] [--engines ours,stock]
[--model flux1|demo] [--write]; or with --fifty: fifty pictures in a row at the first cap. Engines: see `ENGINES`.
Each engine runs in a process of its own, all its caps in that one unless --fresh asks for one process a row.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from benchmarks.full_size import (
    SHAPES,
    HookedSteps,
    build_stock,
    limit_stock,
    make_stock,
    request_of,
)
from benchmarks.measuring import (
    DOCUMENT,
    FAULTS,
    GIB,
    ROOT,
    Clock,
    Gauge,
    Peak,
    Timing,
    cap_card,
    check_picture,
    command_of,
    engine_environment,
    first_line,
    gib,
    machine_line,
    say,
    seconds,
    table,
    tidy,
    write_section,
)
from benchmarks.promises import MIXED, Case, Ours, fifty_pictures, sizes
from darkroom.engine.flux import computation_type

ROW = "ROW "
HEAD = ("engine", "card", "size", "steps", "s/step", "new prompt", "same prompt", "encode", "decode")
HEAD += ("reserved", "allocated", "RAM", "streamed a step")
ENGINES = ("ours", "stock", "stock-bf16", "diffusers", "cache-dit")
# GiB that stock's `vram_limit` stays below the card's size: its documentation's, then more.
HEADROOMS = (0.5, 1.5, 2.5, 3.5)
NOTES = """
Seconds and GiB. Card: `N GB` is emulated: the process may take N − 0.7 GiB. s/step: the median of the steps after the
first. New prompt, same prompt: a whole picture, warm; ≈ where it was measured with fewer steps, and lengthened by the
median step. Encode, decode: wall time before the first and after the last step. Reserved, allocated: the most on the
card; RAM: the process's own pages and pinned memory, at their most, with the weights. Stock: DiffSynth's documented
set-up for small cards (float8 in RAM, `vram_limit` as large as it could be without running out); stock-bf16: all of it
on the card. diffusers, cache-dit: our transformer's own float8 layers under their offloading hooks, steps only.
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of a case: figures, or `fault`. Seconds and bytes; `measured_steps` may be fewer than asked for."""

    case: Case
    fault: str = ""
    note: str = ""
    measured_steps: int = 0
    step: float | None = None
    new_prompt: float | None = None
    same_prompt: float | None = None
    encode: float | None = None
    decode: float | None = None
    reserved: int = 0
    allocated: int = 0
    ram: int = 0
    streamed: int = 0
    pixels: str = ""

    @classmethod
    def read(cls, text: str) -> "Row":
        values = json.loads(text)
        return cls(**{**values, "case": Case(**values["case"])})

    def cells(self) -> list[str]:
        case = self.case
        engine = f"{case.engine} ({self.note})" if self.note else case.engine
        cells = [engine, f"{case.cap:g} GB" if case.cap else "whole", f"{case.width}×{case.height}", str(case.steps)]
        if self.fault:
            return [*cells, self.fault, *[""] * (len(HEAD) - len(cells) - 1)]
        about = "≈ " if self.measured_steps < case.steps else ""
        wholes = ["–" if each is None else about + seconds(each) for each in (self.new_prompt, self.same_prompt)]
        memory = [gib(each) for each in (self.reserved, self.allocated, self.ram, self.streamed)]
        return [*cells, seconds(self.step), *wholes, seconds(self.encode), seconds(self.decode), *memory]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if options.worker:
        return _work(options)
    if options.fifty:
        return fifty_pictures(options, arguments)
    command = command_of("benchmarks.streaming", arguments)
    deadline = time.monotonic() + options.limit
    rows: list[Row] = []
    for cases in _processes(options):
        rows += _measure_apart(cases, options, deadline)
    text = "\n".join(
        (
            "## FLUX.1 under a cap",
            "",
            f"`{command}`, {machine_line(torch.device(options.device))}.",
            "One process a row." if options.fresh else "One process for each engine, its rows one after the other.",
            NOTES if options.model == "flux1" else f"{NOTES}The demo's shapes.\n",
            table(HEAD, [row.cells() for row in rows]),
            *same_pictures(rows),
        )
    )
    print(text, flush=True)
    if options.write:
        write_section(options.write, "streaming", text)
    return 0


def cases_of(options: argparse.Namespace) -> list[Case]:
    return [
        Case(engine=engine, cap=cap, width=width, height=height, steps=options.steps)
        for engine in options.engines
        for cap in options.caps
        for width, height in options.sizes
    ]


def same_pictures(rows: Sequence[Row]) -> list[str]:
    """A line for each size: on which of the cards our pictures are the same, bit for bit."""
    cards: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        if row.pixels:
            cap = f"{row.case.cap:g} GB" if row.case.cap else "whole"
            cards.setdefault(f"{row.case.width}×{row.case.height}", {}).setdefault(row.pixels, []).append(cap)
    return [
        f"Ours, {size}, the same pixels at: {'; at: '.join(', '.join(each) for each in found.values())}."
        for size, found in cards.items()
    ]


def _processes(options: argparse.Namespace) -> Iterator[list[Case]]:
    cases = cases_of(options)
    if options.fresh:
        yield from ([case] for case in cases)
    else:
        for engine in options.engines:
            yield [case for case in cases if case.engine == engine]


# --- the process that starts others


def _measure_apart(cases: list[Case], options: argparse.Namespace, deadline: float) -> list[Row]:
    """The rows of these cases, from a fresh process. It is ended at the deadline; what it has said by then counts."""
    left = deadline - time.monotonic()
    if left < 1:
        return [Row(case=case, fault="not reached in time") for case in cases]
    program = [sys.executable, "-m", "benchmarks.streaming", "--worker", json.dumps([asdict(case) for case in cases])]
    program += ["--model", options.model, "--device", options.device, "--stock-steps", str(options.stock_steps)]
    program += ["--previews"] if options.previews else []
    rows: dict[Case, Row] = {}
    with subprocess.Popen(
        program, cwd=ROOT, env=engine_environment(), stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        ending = threading.Timer(left, process.kill)
        ending.start()
        for line in process.stdout or ():
            if line.startswith(ROW):
                row = Row.read(line.removeprefix(ROW))
                rows[row.case] = row
                say("  ".join(cell for cell in row.cells() if cell))
            else:
                print(line, end="", flush=True)
        ending.cancel()
    why = "not reached in time" if time.monotonic() >= deadline else f"its process ended with {process.returncode}"
    return [rows.get(case, Row(case=case, fault=why)) for case in cases]


# --- the process that measures


def _work(options: argparse.Namespace) -> int:
    cases = [Case(**values) for values in json.loads(options.worker)]
    try:
        bench = build(cases[0].engine, options)
    except FAULTS as error:
        for case in cases:
            _tell(Row(case=case, fault=first_line(error)))
        return 0
    for case in cases:
        try:
            row = bench.measure(case)
        except FAULTS as error:
            row = Row(case=case, fault=first_line(error))
        _tell(row)
        tidy()
    return 0


def _tell(row: Row) -> None:
    print(ROW + json.dumps(asdict(row)), flush=True)


class OursUnderCaps:
    """Our engine. A plan for each case; the pictures of one case share it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._ours = Ours(options)

    def measure(self, case: Case) -> Row:
        ours, plan = self._ours, self._ours.plan(case)
        cap_card(ours.device, case.cap_bytes)
        ours.settle_into(plan)
        with Gauge(ours.device) as warming:
            ours.picture(warming, plan, replace(case, steps=2), "warm up")
        ours.pipeline.prompts.clear()
        with Gauge(ours.device) as gauge:
            new, pixels = ours.picture(gauge, plan, case, "a lighthouse")
            same, pixels_again = ours.picture(gauge, plan, case, "a lighthouse")
        if pixels_again != pixels:
            raise AssertionError("the same request gave two pictures")
        row = replace(_row(case, new, gauge.peak), same_prompt=same.whole, streamed=plan.streamed_bytes)
        return replace(row, pixels=pixels, note=f"tile {plan.decode_tile}" if plan.decode_tile else "")


class Stock:
    """DiffSynth as its documentation sets it up. What it may prepare on the card is lowered until a picture fits."""

    def __init__(self, options: argparse.Namespace, *, low_vram: bool) -> None:
        self._shape = SHAPES[options.model]
        self._device = torch.device(options.device)
        # Without a card, DiffSynth's management of its memory raises.
        self._low_vram = low_vram and self._device.type == "cuda"
        self._pipeline = build_stock(self._shape, self._device, low_vram=self._low_vram)
        self._steps = options.stock_steps
        self._headrooms = list(HEADROOMS)
        self._warm = False

    def measure(self, case: Case) -> Row:
        cap_card(self._device, case.cap_bytes)
        steps = min(self._steps or case.steps, case.steps)
        while True:
            try:
                limit = self._limit(case) if self._low_vram else None
                if not self._warm:
                    self._picture(Gauge(self._device), replace(case, width=256, height=256, steps=1))
                    self._warm = True
                with Gauge(self._device) as gauge:
                    timing = self._picture(gauge, replace(case, steps=steps))
                row = _row(case, timing, gauge.peak)
                # It keeps nothing of a prompt it has read.
                return replace(row, same_prompt=row.new_prompt, note="" if limit is None else f"limit {limit:.1f}")
            except torch.OutOfMemoryError:
                if len(self._headrooms) == 1 or not self._low_vram:
                    raise
                say(f"stock ran out of memory {self._headrooms.pop(0)} GiB below the card's size")
            tidy()

    def _limit(self, case: Case) -> float:
        whole = torch.cuda.mem_get_info(self._device)[1] / GIB
        limit = max(0.0, (case.cap or whole) - self._headrooms[0])
        limit_stock(self._pipeline, limit)
        tidy()
        return limit

    def _picture(self, gauge: Gauge, case: Case) -> Timing:
        request = request_of(self._shape.entry, "a lighthouse", width=case.width, height=case.height, steps=case.steps)
        timing, pixels = make_stock(self._pipeline, self._shape, Clock(gauge, self._device), request)
        check_picture(pixels)
        return timing


class Hooked:
    """Our transformer's steps under another package's hooks."""

    def __init__(self, options: argparse.Namespace, hooks: str) -> None:
        self._device = torch.device(options.device)
        self._steps = HookedSteps(SHAPES[options.model], hooks, self._device, computation_type(self._device))
        self._count = options.stock_steps

    def measure(self, case: Case) -> Row:
        plan = self._steps.plan(case.cap_bytes, width=case.width, height=case.height)
        cap_card(self._device, case.cap_bytes)
        self._steps.follow(plan)
        with Gauge(self._device) as gauge:
            clock = Clock(gauge, self._device)
            count = 1 + min(self._count or case.steps, case.steps)
            timing = self._steps.run(clock, width=case.width, height=case.height, steps=count)
        row = _row(case, timing, gauge.peak)
        return replace(row, new_prompt=None, encode=None, decode=None)


Bench = OursUnderCaps | Stock | Hooked


def build(engine: str, options: argparse.Namespace) -> Bench:
    began = time.monotonic()
    if engine == "ours":
        bench: Bench = OursUnderCaps(options)
    elif engine in ("stock", "stock-bf16"):
        bench = Stock(options, low_vram=engine == "stock")
    else:
        bench = Hooked(options, engine)
    say(f"{engine}: built in {time.monotonic() - began:.0f} s")
    return bench


def _row(case: Case, timing: Timing, peak: Peak) -> Row:
    return Row(
        case=case,
        measured_steps=len(timing.steps),
        step=timing.step,
        new_prompt=timing.with_steps(case.steps),
        encode=timing.encode,
        decode=timing.decode,
        reserved=peak.reserved,
        allocated=peak.allocated,
        ram=peak.ram,
    )


# --- words to values


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--caps", type=_caps, help="GB of the emulated cards; none: the whole")
    parser.add_argument("--sizes", type=sizes, help="pixels, with commas between")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--stock-steps", type=int, default=4, help="steps others than ours really make; 0 for all")
    parser.add_argument("--engines", type=_engines, default="ours,stock", help=", ".join(ENGINES))
    parser.add_argument("--model", choices=("flux1", "demo"), default="flux1")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="")
    parser.add_argument("--previews", action="store_true", help="ours makes a preview each step, as it does for a page")
    parser.add_argument("--fresh", action="store_true", help="a process for each row")
    parser.add_argument("--limit", type=float, default=540, help="seconds; rows not reached by then say so")
    parser.add_argument("--write", type=Path, nargs="?", const=DOCUMENT, help="put the table into this document")
    parser.add_argument("--fifty", action="store_true", help="fifty pictures in a row of mixed sizes, at the first cap")
    parser.add_argument("--pictures", type=int, default=50, help="with --fifty: how many")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.caps = options.caps or _caps("8" if options.fifty else "none,12,8,6,4")
    options.sizes = options.sizes or sizes(MIXED if options.fifty else "1024x1024")
    if not options.device:
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    return options


def _caps(text: str) -> list[float]:
    return [0 if each == "none" else float(each) for each in text.split(",")]


def _engines(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in ENGINES:
            raise argparse.ArgumentTypeError(f"{name}: none of {', '.join(ENGINES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
