"""Our engine and stock DiffSynth side by side under the same caps on a card's memory: FLUX.1's shapes, random weights.

Run: python -m benchmarks.streaming [--caps none,12,8,6,4] [--sizes 1024x1024] [--steps 20] [--engines ours,stock]
[--model flux1|demo] [--write]; or with --fifty: fifty pictures in a row at the first cap. Engines: `engines.py`.
Each engine runs in a process of its own, all its caps in that one unless --fresh asks for one process a row.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.apart import caps, cases_of, engines, measure_apart
from benchmarks.documents import ENGINE, command_of, write_section
from benchmarks.engines import ENGINES
from benchmarks.measuring import machine_line, say, table
from benchmarks.promises import MIXED, Case, fifty_pictures, sizes
from benchmarks.rows import HEAD, NOTES, Row, same_pictures


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if options.fifty:
        return fifty_pictures(options, arguments)
    command = command_of("benchmarks.streaming", arguments)
    deadline = time.monotonic() + options.limit
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True) as options.folder:
        for cases in _processes(options):
            for row in measure_apart(cases, options, deadline=deadline):
                rows.append(row)
                say("  ".join(cell for cell in row.cells() if cell))
    text = "\n".join(
        (
            "## FLUX.1 under a cap",
            "",
            f"`{command}`, {machine_line(torch.device(options.device))}.",
            "One process a row." if options.fresh else "One process for each engine, its rows one after the other.",
            NOTES if options.model == "flux1" else f"{NOTES}The demo's shapes.\n",
            table(HEAD, [row.cells() for row in rows]),
            *same_pictures(("Ours", row.case, row.pixels) for row in rows),
        )
    )
    print(text, flush=True)
    if options.write:
        write_section(options.write, "streaming", text)
    return 0


def _processes(options: argparse.Namespace) -> Iterator[list[Case]]:
    cases = cases_of(options)
    if options.fresh:
        yield from ([case] for case in cases)
    else:
        for engine in options.engines:
            yield [case for case in cases if case.engine == engine]


# --- words to values


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--caps", type=caps, help="GB of the emulated cards; none: the whole")
    parser.add_argument("--sizes", type=sizes, help="pixels, with commas between")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--stock-steps", type=int, default=4, help="steps others than ours really make; 0 for all")
    parser.add_argument("--engines", type=engines, default="ours,stock", help=", ".join(ENGINES))
    parser.add_argument("--model", choices=("flux1", "demo"), default="flux1")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="")
    parser.add_argument("--previews", action="store_true", help="ours makes a preview each step, as it does for a page")
    parser.add_argument("--fresh", action="store_true", help="a process for each row")
    parser.add_argument("--limit", type=float, default=540, help="seconds; rows not reached by then say so")
    parser.add_argument("--write", type=Path, nargs="?", const=ENGINE, help="put the table into this document")
    parser.add_argument("--fifty", action="store_true", help="fifty pictures in a row of mixed sizes, at the first cap")
    parser.add_argument("--pictures", type=int, default=50, help="with --fifty: how many")
    options = parser.parse_args(arguments)
    options.caps = options.caps or caps("8" if options.fifty else "none,12,8,6,4")
    options.sizes = options.sizes or sizes(MIXED if options.fifty else "1024x1024")
    if not options.device:
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    return options


if __name__ == "__main__":
    sys.exit(main())
