"""How long a stop takes, from the wish until the job is cancelled, in each stage of a picture.

Run: python -m benchmarks.stopping [--stops 10] [--side 1024] [--steps 20] [--write]. A real engine in a process of its
own, the demo model. Must not know: tensors.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from textwrap import fill

from benchmarks.documents import QUEUE, ROOT, command_of, write_section
from darkroom.engine.process import serve
from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.jobs.messages import EngineOptions
from darkroom.jobs.process_engine import ProcessEngine
from darkroom.jobs.progress import Activity
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.request import parse_request

STAGES: tuple[Activity, ...] = ("starting", "loading", "encoding", "denoising", "decoding")
LONGEST_PICTURE = 600.0
WIDTH = 120
MOST_SECONDS = 2.0
# How often it is looked whether a stage has begun.
LOOK_SECONDS = 0.001


class Bench:
    """A queue and its engine, as the server has them, in a folder of its own."""

    def __init__(self, folder: Path, *, side: int, steps: int) -> None:
        self._values = {"prompt": "a pond", "guidance": 3.5, "width": side, "height": side, "steps": steps}
        self.database = Database(sqlite_url(folder))
        self.database.open()
        self.queue = JobQueue(self.database)
        self.supervisor = Supervisor(self.queue, Library(self.database, folder), engine_of_the_demo, 0)
        self.supervisor.start()
        self._seed = 0

    def close(self) -> None:
        self.supervisor.close()
        self.database.close()

    def stop_in(self, stage: Activity, chance: random.Random) -> float | None:
        """Seconds. None: the stage was over too soon."""
        if stage in ("starting", "loading"):
            self.supervisor.release()
            self._until(lambda: self.supervisor.engine_device() is None)
        self._seed += 1
        # Each with words of its own, which have to be read.
        values = {**self._values, "prompt": f"pond {self._seed}", "seed": self._seed, "model": "demo"}
        job = self.queue.submit(parse_request(values)).id
        self.supervisor.wake()
        if not self._until(lambda: self.supervisor.status(job).activity == stage, job):
            return None
        time.sleep(chance.uniform(0, 0.5) if stage in ("starting", "denoising", "decoding") else 0)
        asked = time.perf_counter()
        if self.queue.get(job).state != "running":
            return None
        self.supervisor.stop(job)
        self._until(lambda: self.queue.get(job).state != "running")
        took = time.perf_counter() - asked
        return took if self.queue.get(job).state == "cancelled" else None

    def picture(self) -> float:
        """A whole one; seconds of its step, in the median."""
        job = self.queue.submit(parse_request({**self._values, "seed": 0, "model": "demo"})).id
        self.supervisor.wake()
        self._until(lambda: self.queue.get(job).state == "done")
        expected = self.supervisor.expected(self.queue.get(job).request)
        return expected.step if expected else 0.0

    def _until(self, condition: Callable[[], bool], job: int | None = None) -> bool:
        """Whether it came; with a job, before that ended."""
        deadline = time.monotonic() + LONGEST_PICTURE
        while not condition():
            if job is not None and self.queue.get(job).state not in ("waiting", "running"):
                return False
            if time.monotonic() > deadline:
                raise TimeoutError("it did not come")
            time.sleep(LOOK_SECONDS)
        return True


def engine_of_the_demo() -> ProcessEngine:
    options = EngineOptions(
        models=ROOT / "models", device="auto", threads=0, expandable_segments=False, log_level="warning"
    )
    return ProcessEngine(serve, options)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stops", type=int, default=10, help="in each stage")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--write", type=Path, nargs="?", const=QUEUE, help="put the table into this document")
    options = parser.parse_args(arguments)
    chance, found = random.Random(1), dict[Activity, list[float]]()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), side=options.side, steps=options.steps)
        try:
            step = bench.picture()
            for stage in STAGES:
                tried = (bench.stop_in(stage, chance) for _ in range(options.stops))
                found[stage] = [seconds for seconds in tried if seconds is not None]
        finally:
            bench.close()
    rows = "\n".join(_row(stage, seconds) for stage, seconds in found.items())
    command = command_of("benchmarks.stopping", arguments)
    about = (
        f"`{command}`, the demo model at {options.side}×{options.side}, a step takes {step:.2f} s, {os.cpu_count()} "
        f"cores, load {os.getloadavg()[0]:.1f}. Seconds from the wish until the job is cancelled; an engine that "
        "starts or loads may be ended for it."
    )
    text = f"{fill(about, WIDTH)}\n\n| while | stops | median | most |\n|---|---|---|---|\n{rows}"
    sys.stdout.write(text + "\n")
    if options.write:
        write_section(options.write, "stopping", text)
    too_long = [max(seconds) for seconds in found.values() if seconds and max(seconds) > MOST_SECONDS]
    return 1 if too_long else 0


def _row(stage: Activity, seconds: list[float]) -> str:
    if not seconds:
        return f"| {stage} | 0 | – | – |"
    return f"| {stage} | {len(seconds)} | {median(seconds):.2f} | {max(seconds):.2f} |"


if __name__ == "__main__":
    sys.exit(main())
