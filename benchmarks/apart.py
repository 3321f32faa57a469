"""Rows of engines side by side, each engine measured in a fresh process: a row that fails or hangs ends no other.

The process is this module itself: python -m benchmarks.apart. Must not know: tables, or what a row is measured for.
"""

import argparse
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.documents import ROOT
from benchmarks.engines import ENGINES, build
from benchmarks.measuring import FAULTS, engine_environment, first_line, tidy
from benchmarks.promises import Case
from benchmarks.rows import Row
from darkroom.engine.process import compiler_folders

ROW = "ROW "
# Of the options, those an engine is built by.
SHARED = ("model", "device", "stock_steps", "previews", "folder")


# --- the process that starts others


def measure_apart(
    cases: Sequence[Case], options: argparse.Namespace, *, deadline: float = math.inf, row_limit: float = math.inf
) -> Iterator[Row]:
    """A row for each of an engine's cases, as they come. The process is ended at the deadline.

    Of a row that takes more than `row_limit` seconds, or ends its process, the fault is the row; another process goes
    on with the rest.
    """
    left = list(cases)
    while left:
        if time.monotonic() > deadline - 1:
            yield from (Row(case=case, fault="not reached in time") for case in left)
            return
        for row in _from_one_process(left, options, deadline, row_limit):
            left = left[1:]
            yield row


def _from_one_process(
    cases: list[Case], options: argparse.Namespace, deadline: float, row_limit: float
) -> Iterator[Row]:
    shared = {name: getattr(options, name) for name in SHARED}
    asked = json.dumps({"cases": [asdict(case) for case in cases], "options": shared})
    environment = engine_environment() | compiler_folders(Path(options.folder))
    made, why = 0, ""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.apart", asked],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            while made < len(cases):
                allowed = min(row_limit, deadline - time.monotonic())
                row = _next_row(process, allowed)
                if not isinstance(row, Row):
                    why = row
                    break
                made += 1
                yield row
        finally:
            process.kill()
    if made < len(cases):
        yield Row(case=cases[made], fault=why)


def _next_row(process: "subprocess.Popen[str]", seconds: float) -> Row | str:
    """What comes from it next; else why nothing comes. What it says meanwhile is shown."""
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    ending = threading.Timer(min(seconds, threading.TIMEOUT_MAX), end)
    ending.start()
    try:
        for line in process.stdout or ():
            if line.startswith(ROW):
                return Row.read(line.removeprefix(ROW))
            print(line, end="", flush=True)
    finally:
        ending.cancel()
    return f"not done in {seconds:.0f} s" if late.is_set() else f"its process ended with {process.wait()}"


# --- the process that measures


def main(arguments: Sequence[str]) -> int:
    asked = json.loads(arguments[0])
    cases, options = [Case(**values) for values in asked["cases"]], argparse.Namespace(**asked["options"])
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


def cases_of(options: argparse.Namespace) -> list[Case]:
    return [
        Case(engine=engine, cap=cap, width=width, height=height, steps=options.steps)
        for engine in options.engines
        for cap in options.caps
        for width, height in options.sizes
    ]


def caps(text: str) -> list[float]:
    return [0 if each == "none" else float(each) for each in text.split(",")]


def engines(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in ENGINES:
            raise argparse.ArgumentTypeError(f"{name}: none of {', '.join(ENGINES)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
