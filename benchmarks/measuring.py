"""What the benchmarks share: peaks of memory by stage, times of stages and steps, tables, and their place in documents.

Must not know: which engine is measured, or what a figure should be.
"""

import gc
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from benchmarks.documents import ROOT
from darkroom.engine.process import ENVIRONMENT, EXPANDABLE_SEGMENTS
from darkroom.engine.watcher import Watcher
from darkroom.errors import DarkroomError
from darkroom.jobs.messages import Stage

GIB = 2**30
# What a desktop and CUDA itself take of a card before the first tensor.
TAKEN = int(0.7 * GIB)
# Calls that a short one is timed over.
REPEAT = 20
SAMPLING_SECONDS = 0.02
OUT_OF_MEMORY = "out of memory"
# What may end one row of a table without ending the others.
FAULTS = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    ImportError,
    OSError,
    MemoryError,
    DarkroomError,
)


def again_as_the_engine(module: str, arguments: Sequence[str] | None) -> int | None:
    """Run the program once more with the variables of the engine's process, which torch reads when it is loaded.

    None where they are set already.
    """
    if all(name in os.environ for name in ENVIRONMENT | EXPANDABLE_SEGMENTS):
        return None
    program = [sys.executable, "-m", module, *(sys.argv[1:] if arguments is None else arguments)]
    return subprocess.run(program, cwd=ROOT, env=engine_environment(), check=False).returncode


def engine_environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return ENVIRONMENT | EXPANDABLE_SEGMENTS | os.environ | {"PYTHONPATH": path}


# --- memory


@dataclass(frozen=True, kw_only=True)
class Peak:
    """Highest bytes seen: `reserved` and `allocated` on the card, `ram` of this process (its own pages and pinned)."""

    reserved: int = 0
    allocated: int = 0
    ram: int = 0

    def __or__(self, other: "Peak") -> "Peak":
        return Peak(
            reserved=max(self.reserved, other.reserved),
            allocated=max(self.allocated, other.allocated),
            ram=max(self.ram, other.ram),
        )


class Gauge:
    """Watches this process's memory while it is open. `stage` ends one stage and begins the next."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stage = ""
        self._ram = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="gauge", daemon=True)
        self.peaks: dict[str, Peak] = {}

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            # What was before, and what the row before left on the card, is not this row's.
            torch.cuda.reset_peak_memory_stats(self._device)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()
        self.stage("")

    @property
    def peak(self) -> Peak:
        """Over all stages so far."""
        highest = Peak()
        for peak in self.peaks.values():
            highest |= peak
        return highest

    def stage(self, name: str) -> None:
        """Stages of the same name add up to one."""
        with self._lock:
            ram, self._ram = max(self._ram, ram_bytes()), 0
        seen = Peak(ram=ram)
        if self._device.type == "cuda":
            seen |= Peak(
                reserved=torch.cuda.max_memory_reserved(self._device),
                allocated=torch.cuda.max_memory_allocated(self._device),
            )
            torch.cuda.reset_peak_memory_stats(self._device)
        self.peaks[self._stage] = self.peaks.get(self._stage, Peak()) | seen
        self._stage = name

    def _sample(self) -> None:
        while not self._closed.wait(SAMPLING_SECONDS):
            ram = ram_bytes()
            with self._lock:
                self._ram = max(self._ram, ram)


def ram_bytes() -> int:
    """This process's anonymous pages, and what CUDA has pinned for it beside them. 0 where the system does not say."""
    pinned = int(torch.cuda.host_memory_stats().get("allocated_bytes.current", 0))
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return pinned
    return pinned + sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def tidy() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def cap_card(device: torch.device, cap: int | None) -> None:
    """From now on this process sees a card of `cap` bytes, `TAKEN` of which are gone already. None: the whole card."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(device).total_memory
        place = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.set_per_process_memory_fraction(1.0 if cap is None else min(1.0, (cap - TAKEN) / total), place)


# --- time


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds. `decode` begins with the last step's end and ends with the pixels in RAM and the card tidied."""

    encode: float
    steps: tuple[float, ...]
    decode: float
    whole: float

    @property
    def step(self) -> float:
        """The median of the steps after the first."""
        return statistics.median(self.steps[1:] or self.steps)

    def with_steps(self, count: int) -> float:
        """What the whole picture takes in `count` steps; measured where it had as many."""
        return self.whole + (count - len(self.steps)) * self.step


class Clock(Watcher):
    """Times one picture, and tells a gauge of its stages. Our engine calls it; others' run their steps through `bar`.

    Of others' steps, the ends are events on the card, so that nothing waits for them: copies go on across the border.
    Our engine tells of a step when the card has made it, while the next one is under way.
    """

    def __init__(self, gauge: Gauge, device: torch.device, *, previews: bool = False) -> None:
        self._gauge = gauge
        self._device = device
        self._previews = previews
        self._marks: list[torch.cuda.Event | float] = []
        self._borders: list[float] = []

    def begin(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._border("encoding")

    def entered(self, stage: Stage, fraction: float = 0.0) -> None:  # noqa: ARG002
        if stage == "denoising" and len(self._borders) == 1:
            self._border(stage)
            self._marks = [self._borders[-1]]
        elif stage == "decoding" and len(self._borders) == 2:
            self._border(stage)

    def step(self, number: int, of: int, preview_jpeg: Callable[[], bytes]) -> None:  # noqa: ARG002
        self._marks.append(time.perf_counter())
        if self._previews:
            preview_jpeg()

    def bar(self, timesteps: Iterable[Tensor]) -> Iterator[Tensor]:
        """DiffSynth's progress bar."""
        self.steps_begin()
        for timestep in timesteps:
            yield timestep
            self.step_ended()
        self.entered("decoding")

    def steps_begin(self) -> None:
        """Of a loop that calls `step_ended` after each of its steps, and says itself when it enters decoding."""
        self.entered("denoising")
        self._marks = []
        self.step_ended()

    def step_ended(self) -> None:
        if self._device.type == "cuda":
            event = _moment()
            event.record(torch.cuda.current_stream(self._device))
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def end(self) -> Timing:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._border("")
        began, encoded, denoised, ended = self._borders
        steps = tuple(_seconds(before, after) for before, after in zip(self._marks, self._marks[1:], strict=False))
        return Timing(encode=encoded - began, steps=steps, decode=ended - denoised, whole=ended - began)

    def _border(self, stage: str) -> None:
        if self._device.type == "cuda":
            # Not the whole device: copies of weights for the next stage may be under way.
            torch.cuda.current_stream(self._device).synchronize()
        self._borders.append(time.perf_counter())
        self._gauge.stage(stage)


def milliseconds(run: Callable[[], Tensor], device: torch.device) -> float:
    """Of one call, the mean of many, warm."""
    for _ in range(3):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(REPEAT):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / REPEAT * 1000


def _moment() -> torch.cuda.Event:
    moment: Any = torch.cuda.Event
    event: torch.cuda.Event = moment(enable_timing=True)
    return event


def _seconds(before: "torch.cuda.Event | float", after: "torch.cuda.Event | float") -> float:
    if isinstance(before, float) or isinstance(after, float):
        return float(after) - float(before)  # type: ignore[arg-type]
    return float(before.elapsed_time(after)) / 1000


# --- words


def say(words: str) -> None:
    """A line of progress, seen at once: what runs elsewhere may be cut off at any moment."""
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


def first_line(error: BaseException) -> str:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return OUT_OF_MEMORY
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def gib(count: int) -> str:
    return f"{count / GIB:.2f}" if count else "–"


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def check_picture(pixels: bytes) -> None:
    """What is not a number becomes one colour."""
    if len(set(pixels)) < 8:
        raise ArithmeticError("the picture is blank")


def machine_line(device: torch.device) -> str:
    """Card, versions, processor cores and date, as a table should carry them."""
    try:
        diffsynth = version("diffsynth")
    except PackageNotFoundError:
        diffsynth = "?"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} cores, no card"
    return (
        f"{name}, torch {torch.__version__}, DiffSynth {diffsynth}, "
        f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    )
