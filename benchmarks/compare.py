"""Ours, stock DiffSynth and diffusers on one card: what a step takes, a picture, and the first one.

Run: python -m benchmarks.compare [--caps none,8] [--steps 20] [--engines ours,ours-compiled,…] [--write]. FLUX.1's
shapes with random weights, a fresh process for each engine; --model demo --device cpu --sizes 256x256 on any machine,
to see that it runs. With --kept FILE rows are written there as they come, and those that stand there already, from the
same machine and versions, are not measured again. Then: what other cards may expect (`expectations.py`).
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.apart import caps, cases_of, engines, measure_apart
from benchmarks.documents import ENGINE, command_of, write_section
from benchmarks.engines import ENGINES
from benchmarks.expectations import expectations
from benchmarks.measuring import OUT_OF_MEMORY, gib, machine_line, say, seconds, table
from benchmarks.promises import Case, sizes
from benchmarks.rows import Row

COMPARED = "ours,ours-compiled,stock,diffusers-bf16,diffusers-offload,diffusers-offload-float8,diffusers-torchao"
HEAD = ("engine", "card", "size", "s/step", "new prompt", "known prompt", "warm-up", "reserved", "RAM", "fault")
NOTES = """
Seconds and GiB. A card of N GB is emulated: the process may take N − 0.7 GiB. s/step: the median of the steps after the
first. New and known prompt: a whole picture; ≈ where fewer steps were made and it was lengthened by the median. Of
diffusers, prompts are random numbers: what it takes to read one was not measured. Warm-up: what the first picture
takes, of two steps (stock: of one, small), with all that is compiled for it. Reserved: the most on the card; RAM: the
process's own pages and pinned memory. Ours: `engine.compile` off, and on. Stock: DiffSynth's documented set-up for
small cards (float8 in RAM, `vram_limit`). diffusers: all in bf16 on the card; group offloading, a block at a time on a
stream, of bf16 and of float8 storage; torchao's float8 with a scale for each row, its blocks compiled.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    device = torch.device(options.device)
    machine = machine_line(device)
    deadline = time.monotonic() + options.limit
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True) as made:
        options.folder = str(options.folder or made)
        for row in _rows(options, machine, deadline):
            rows.append(row)
            say("  ".join(cell for cell in cells(row) if cell))
    words = [
        "## Ours, stock DiffSynth and diffusers on one card",
        "",
        f"`{command_of('benchmarks.compare', arguments)}`, {machine}. {options.steps} steps.",
        "",
        " ".join(NOTES.split()) + ("" if options.model == "flux1" else " The demo's shapes."),
        "",
        table(HEAD, [cells(row) for row in rows]),
        expectations(),
    ]
    text = "\n".join(words)
    print(text, flush=True)
    if options.write:
        write_section(options.write, "compare", text)
    return 0


def cells(row: Row) -> list[str]:
    case = row.case
    found = [case.engine, f"{case.cap:g} GB" if case.cap else "whole", f"{case.width}×{case.height}"]
    if row.step is None:
        return [*found, *[""] * (len(HEAD) - len(found) - 1), row.fault]
    about = "≈ " if row.measured_steps < case.steps else ""
    wholes = ["–" if each is None else about + seconds(each) for each in (row.new_prompt, row.same_prompt)]
    return [*found, seconds(row.step), *wholes, seconds(row.warm_up), gib(row.reserved), gib(row.ram), row.note]


def _rows(options: argparse.Namespace, machine: str, deadline: float) -> Iterator[Row]:
    """In the order of the engines, each case once."""
    kept = _kept(options.kept, machine)
    for engine in options.engines:
        cases = [case for case in cases_of(options) if case.engine == engine]
        fresh = measure_apart(
            [case for case in cases if case not in kept], options, deadline=deadline, row_limit=options.row_limit
        )
        for case in cases:
            if case in kept:
                yield kept[case]
                continue
            row = next(fresh)
            if options.kept and row.fault in ("", OUT_OF_MEMORY):
                with options.kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"machine": _without_date(machine), "row": asdict(row)}) + "\n")
            yield row


def _kept(file: Path | None, machine: str) -> dict[Case, Row]:
    if file is None or not file.exists():
        return {}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    rows = [Row.read(json.dumps(line["row"])) for line in lines if line["machine"] == _without_date(machine)]
    return {row.case: row for row in rows}


def _without_date(machine: str) -> str:
    return machine.rpartition(", ")[0]


# --- words to values


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--caps", type=caps, default="none,8", help="GB of the emulated cards; none: the whole")
    parser.add_argument("--sizes", type=sizes, default="1024x1024", help="pixels, with commas between")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--stock-steps", type=int, default=3, help="steps stock really makes; 0 for all")
    parser.add_argument("--engines", type=engines, default=COMPARED, help=", ".join(ENGINES))
    parser.add_argument("--model", choices=("flux1", "demo"), default="flux1")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--previews", action="store_true", help="ours makes a preview each step, as it does for a page")
    parser.add_argument("--folder", type=Path, help="where compiled code is kept; else a new one")
    parser.add_argument("--kept", type=Path, help="a file of rows: what it lacks is measured and added")
    parser.add_argument("--limit", type=float, default=1500, help="seconds; rows not reached by then say so")
    parser.add_argument("--row-limit", type=float, default=420, help="seconds; the first of an engine with building")
    parser.add_argument("--write", type=Path, nargs="?", const=ENGINE, help="put the tables into this document")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
