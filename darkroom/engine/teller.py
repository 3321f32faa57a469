"""Teller: the watcher of one job in the engine process. What happens becomes messages; wishes that came are obeyed.

Must not know: pipes, or how a picture is made.
"""

import time
from collections.abc import Callable
from typing import Protocol

from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.jobs.messages import Checkpoint, Entered, Event, Finish, Loading, Pause, Planned, Stage, Step, Stop

# A checkpoint is sent no more often than so many of its bytes a second make: the server writes each to the disk.
CHECKPOINT_BYTES_A_SECOND = 4 << 20


class Asked(Protocol):
    """What came from the server for the job in work."""

    def holds(self, wish: Stop | Pause | Finish) -> bool: ...


class Teller(Watcher):
    """Of one job. `checkpoint_seconds` lie between two checkpoints, at least."""

    def __init__(self, job: int, asked: Asked, send: Callable[[Event], None], checkpoint_seconds: float) -> None:
        self._job = job
        self._asked = asked
        self._send = send
        self._percent = -1
        self._told: tuple[Stage, int] | None = None
        self._seconds = checkpoint_seconds
        self._next_checkpoint = time.monotonic() + checkpoint_seconds
        self._latest: tuple[int, Callable[[], bytes]] | None = None
        self._stop, self._pause, self._finish = Stop(job=job), Pause(job=job), Finish(job=job)

    def loading(self, part: str, fraction: float) -> None:
        self.passing()
        if int(fraction * 100) != self._percent:
            self._percent = int(fraction * 100)
            self._send(Loading(job=self._job, part=part, fraction=fraction))

    def planned(self, seconds_per_step: float) -> None:
        self.passing()
        self._send(Planned(job=self._job, seconds_per_step=seconds_per_step))

    def entered(self, stage: Stage, fraction: float = 0.0) -> None:
        self.passing()
        # In tenths: a prompt is read in a fraction of a second on most cards.
        if (stage, int(fraction * 10)) != self._told:
            self._told = (stage, int(fraction * 10))
            self._send(Entered(job=self._job, stage=stage, fraction=fraction))

    def passing(self) -> None:
        if self._asked.holds(self._stop):
            raise StopAsked
        if self._asked.holds(self._pause):
            # Of the last whole step: what of the next one is done is made again.
            self._send_checkpoint()
            raise StopAsked

    def step(self, number: int, of: int, preview_jpeg: Callable[[], bytes]) -> None:
        self._send(Step(job=self._job, number=number, of=of, preview_jpeg=preview_jpeg()))

    def checkpoint(self, number: int, content: Callable[[], bytes]) -> None:
        self._latest = (number, content)
        if time.monotonic() >= self._next_checkpoint and not self._asked.holds(self._stop):
            self._send_checkpoint()
        self.passing()

    def finish_asked(self) -> bool:
        return self._asked.holds(self._finish)

    def _send_checkpoint(self) -> None:
        if self._latest is None:
            return
        (number, content), self._latest = self._latest, None
        packed = content()
        self._send(Checkpoint(job=self._job, number=number, content=packed))
        pause = max(self._seconds, len(packed) / CHECKPOINT_BYTES_A_SECOND)
        self._next_checkpoint = time.monotonic() + pause
