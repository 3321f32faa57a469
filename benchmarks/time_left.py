"""How well it is known beforehand how long a picture takes: kinds that take turns, each told before it is made.

Run: python -m benchmarks.time_left [--each 12] [--write]. A real engine in a process of its own, the demo model.
Must not know: tensors.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

from benchmarks.documents import QUEUE, command_of, write_section
from benchmarks.stopping import WIDTH, engine_of_the_demo
from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.jobs.experience import LEARNED_FROM
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.request import parse_request

KINDS: tuple[dict[str, Any], ...] = (
    {"width": 256, "height": 256, "steps": 8},
    {"width": 512, "height": 384, "steps": 12},
    {"width": 512, "height": 512, "steps": 20},
    {"width": 384, "height": 384, "steps": 8, "cfg_scale": 3.0},
)
MOST_WRONG = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--each", type=int, default=12, help="pictures of each kind")
    parser.add_argument("--write", type=Path, nargs="?", const=QUEUE, help="put the table into this document")
    options = parser.parse_args(arguments)
    wrong: list[list[float]] = [[] for _ in KINDS]
    with tempfile.TemporaryDirectory() as folder:
        database = Database(sqlite_url(Path(folder)))
        database.open()
        queue = JobQueue(database)
        supervisor = Supervisor(queue, Library(database, Path(folder)), engine_of_the_demo, 0)
        supervisor.start()
        order = [kind for kind in range(len(KINDS)) for _ in range(options.each)]
        random.Random(1).shuffle(order)
        for number, kind in enumerate(order):
            values = {"prompt": f"pond {number}", "guidance": 3.5, "seed": number, "model": "demo", **KINDS[kind]}
            request = parse_request(values)
            expected = supervisor.expected(request)
            took = _make(queue, supervisor, values)
            if expected is not None and expected.lessons >= LEARNED_FROM:
                wrong[kind].append(abs(expected.whole(request.steps) - took) / took)
        supervisor.close()
        database.close()
    rows = [_row(kind, each) for kind, each in zip(KINDS, wrong, strict=True)]
    command = command_of("benchmarks.time_left", arguments)
    about = (
        f"`{command}`, the demo model, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}. How far off what was "
        f"said before a picture was, as a share of what it took; only where {LEARNED_FROM} of its kind were known."
    )
    head = "| kind | pictures | median | 9 of 10 | most |\n|---|---|---|---|---|"
    text = "\n".join([fill(about, WIDTH), "", head, *rows])
    sys.stdout.write(text + "\n")
    if options.write:
        write_section(options.write, "time-left", text)
    return 1 if any(median(each) > MOST_WRONG for each in wrong if each) else 0


def _make(queue: JobQueue, supervisor: Supervisor, values: dict[str, Any]) -> float:
    """Seconds, as whoever waits for it counts them."""
    began = time.perf_counter()
    job = queue.submit(parse_request(values)).id
    supervisor.wake()
    while queue.get(job).state in ("waiting", "running"):
        time.sleep(0.005)
    took = time.perf_counter() - began
    if queue.get(job).state != "done":
        raise RuntimeError(f"job {job}: {queue.get(job).error_detail}")
    return took


def _row(kind: dict[str, Any], wrong: list[float]) -> str:
    size = f"{kind['width']}×{kind['height']}, {kind['steps']} steps" + (", true CFG" if "cfg_scale" in kind else "")
    if not wrong:
        return f"| {size} | 0 | – | – | – |"
    nine_of_ten = sorted(wrong)[max(0, ceil(0.9 * len(wrong)) - 1)]
    return f"| {size} | {len(wrong)} | {median(wrong):.0%} | {nine_of_ten:.0%} | {max(wrong):.0%} |"


if __name__ == "__main__":
    sys.exit(main())
