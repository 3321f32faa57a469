"""Attempt: one job on one engine, from the moment it is handed over until the engine says how it ended, or does not.

Must not know: rows, or what becomes of the job afterwards.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from darkroom.jobs.engine import Engine
from darkroom.jobs.experience import ENGINE_RAM, LOADING, STARTING
from darkroom.jobs.job import Job
from darkroom.jobs.messages import (
    Checkpoint,
    Done,
    Entered,
    Event,
    Failed,
    Finish,
    Loading,
    Memory,
    Pause,
    Planned,
    Ready,
    Step,
    Stop,
    Stopped,
)
from darkroom.jobs.postmortem import Samples
from darkroom.jobs.progress import Activity, Progress, ProgressBoard
from darkroom.jobs.wishes import Wish

log = logging.getLogger(__name__)

MIB = 2**20

LISTEN_SECONDS = 0.1
"""How long the thread listens to the engine before it looks whether a person wants something."""

ASLEEP_SECONDS = 5.0
"""A look that took so much longer was the machine's sleep: no engine is blamed for it."""

COMMANDS: Mapping[Wish, type[Stop | Pause | Finish]] = {"stop": Stop, "pause": Pause, "finish": Finish}

Ending = Done | Stopped | Failed


@dataclass(frozen=True, kw_only=True)
class Patience:
    """In seconds, how long the supervisor waits for things that may never come.

    `stop`: for an engine to stop a job, before it is ended instead; in the middle of a step that takes longer, as long
    as that, but no longer than `step`. `close`: the same when the whole server is to end. `after_fault`: before it goes
    on after a fault of our own. An engine hangs that says nothing for `silence` or the time of `steps` steps, whichever
    is more; for `loading` while it starts or loads; for `first_step` where there is no step yet to compare with.
    """

    stop: float = 1.5
    step: float = 10.0
    close: float = 5.0
    after_fault: float = 1.0
    silence: float = 120.0
    steps: float = 10.0
    first_step: float = 300.0
    loading: float = 300.0


class StopIgnored(Exception):
    """The engine was asked to stop and did not."""


class EngineHangs(Exception):
    """No word came for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"no word from the engine for {seconds:.0f} s")


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who is told what. `wish` is asked all the time, `ready` is told the device, `checkpoint` keeps what came."""

    wish: Callable[[], Wish | None]
    ready: Callable[[str], None]
    checkpoint: Callable[[Checkpoint], None]


class Attempt:
    """Not for several threads. `closing` is whether the whole server is to end."""

    def __init__(
        self,
        job: Job,
        board: ProgressBoard,
        samples: Samples,
        patience: Patience,
        listeners: Listeners,
        closing: Callable[[], bool],
    ) -> None:
        self._job = job
        self._board = board
        self._samples = samples
        self._patience = patience
        self._listeners = listeners
        self._closing = closing
        self._step_seconds = 0.0
        self._step_at: float | None = None
        self._heard_at = self._looked_at = 0.0
        self._began = time.monotonic()
        self._ready_at: float | None = None
        self._work_at: float | None = None
        self._has_loaded = False
        self._told: Wish | None = None
        self._told_at = 0.0

    @property
    def progress(self) -> Progress:
        return self._board.get(self._job.id) or Progress(activity="starting")

    def follow(self, engine: Engine) -> Ending:
        """Listen until the job ends, and pass on wishes. Raises EngineLost, EngineHangs and StopIgnored."""
        self._samples.begin(fresh_engine=self.progress.activity == "starting")
        self._heard_at = self._looked_at = self._began = time.monotonic()
        while True:
            self._pass_on_wishes(engine)
            event = engine.receive(LISTEN_SECONDS)
            now = time.monotonic()
            self._samples.take(now)
            if now - self._looked_at > LISTEN_SECONDS + ASLEEP_SECONDS:
                self._heard_at = now
            self._looked_at = now
            if event is None or isinstance(event, Memory):
                self._must_get_on(now)
            if event is None:
                continue
            if isinstance(event, Ending) and event.job == self._job.id:
                return event
            self._hear(event, now)

    def _hear(self, event: Event, now: float) -> None:
        match event:
            case Memory():
                # Told by a thread of its own, which lives on while the work hangs.
                self._samples.hear(event)
                return
            case Ready():
                self._ready_at = now
                self._listeners.ready(event.device)
            case Checkpoint():
                if event.job == self._job.id:
                    self._listeners.checkpoint(event)
            case Planned():
                self._step_seconds = event.seconds_per_step
            case _:
                self._learn(event, now)
        self._heard_at = now
        self._board.put(self._job.id, self.progress.after(event, now))

    def facts(self) -> Mapping[str, int | float]:
        """What it took that the engine does not tell: the time before its work, and the most RAM, in MiB."""
        begun = self._began if self._ready_at is None else self._ready_at
        facts: dict[str, int | float] = {ENGINE_RAM: self._samples.most_resident // MIB}
        if self._ready_at is not None:
            facts[STARTING] = round(begun - self._began, 3)
        if self._has_loaded and self._work_at is not None:
            facts[LOADING] = round(self._work_at - begun, 3)
        return {name: figure for name, figure in facts.items() if figure > 0}

    def _learn(self, event: Event, now: float) -> None:
        """How long this job's own steps take."""
        self._has_loaded = self._has_loaded or isinstance(event, Loading)
        if self._work_at is None and isinstance(event, Entered | Step):
            self._work_at = now
        before, after = self.progress.step, self.progress.after(event, now).step
        if after > before:
            if self._step_at is not None:
                self._step_seconds = now - self._step_at
            self._step_at = now

    def _pass_on_wishes(self, engine: Engine) -> None:
        job = self._job.id
        wish = self._listeners.wish() or ("pause" if self._closing() else None)
        if wish is not None and wish != self._told and self._told != "stop":
            engine.send(COMMANDS[wish](job=job))
            self._told, self._told_at = wish, time.monotonic()
        if self._told in ("stop", "pause") and time.monotonic() - self._told_at >= self._longest_to_stop():
            raise StopIgnored

    def _longest_to_stop(self) -> float:
        """A card works to the end of what it was given, at most a step; that is less than to load everything anew."""
        patience = self._patience
        if self._closing():
            return patience.close
        is_in_step = self.progress.activity == "denoising"
        return max(patience.stop, min(self._step_seconds, patience.step)) if is_in_step else patience.stop

    def _must_get_on(self, now: float) -> None:
        silent = now - self._heard_at
        if silent >= self._longest_silence(self.progress.activity):
            raise EngineHangs(silent)

    def _longest_silence(self, activity: Activity) -> float:
        patience = self._patience
        if activity in ("starting", "loading"):
            return patience.loading
        expected = max(patience.silence, patience.steps * self._step_seconds)
        if activity == "denoising" and self._step_at is not None:
            return expected
        # The first step of a size may wait for what it needs; reading and decoding have no steps to compare with.
        return max(patience.first_step, expected)
