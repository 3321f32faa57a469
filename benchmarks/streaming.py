"""Our engine and stock DiffSynth side by side under the same caps on a card's memory: FLUX.1's shapes, random weights.

Run: python -m benchmarks.streaming [--caps none,12,8,6,4] [--sizes 1024x1024] [--steps 20] [--engines ours,stock]
[--model flux1|demo] [--write]; or with --fifty: fifty pictures in a row at the first cap. Engines: `engines.py`.
Each engine runs in a process of its own, all its caps in that one unless --fresh asks for one process a row.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.engines import ENGINES, build
from benchmarks.measuring import (
    DOCUMENT,
    FAULTS,
    ROOT,
    command_of,
    engine_environment,
    first_line,
    machine_line,
    say,
    table,
    tidy,
    write_section,
)
from benchmarks.promises import MIXED, Case, fifty_pictures, sizes
from benchmarks.rows import HEAD, NOTES, Row, same_pictures

ROW = "ROW "


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
