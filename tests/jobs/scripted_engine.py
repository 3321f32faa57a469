"""An engine that follows a script: it makes grey pictures, or dies, fails, hangs and dawdles where the script says."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from darkroom.errors import EngineLost
from darkroom.jobs.messages import (
    Command,
    Done,
    Entered,
    Event,
    Failed,
    FailureKind,
    Loading,
    Quit,
    Ready,
    Run,
    Step,
    Stop,
    Stopped,
    Unload,
)
from darkroom.request import GenerationRequest

NOTHING_YET = None


@dataclass(frozen=True, kw_only=True)
class Script:
    """What one engine does in each of its jobs. Steps count from 1; step 0 is before the engine is ready."""

    dies_at: int | None = None
    fails_at: int | None = None
    failure: FailureKind = "out_of_memory"
    waits_at: int | None = None
    waits_in_loading: bool = False
    deaf: bool = False
    stops_unasked: bool = False
    short_pixels: bool = False
    go_on: threading.Event = field(default_factory=threading.Event)
    """Ends all waiting."""


class ScriptedEngine:
    """Follows the Engine protocol. What it was told and what became of it can be looked at."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.commands: list[Command] = []
        self.closed = False
        self.dead = False
        self._ready = False
        self._stop_asked: int | None = None
        self._events: Iterator[Event | EngineLost | None] = iter(())

    def send(self, command: Command) -> None:
        self._must_live()
        self.commands.append(command)
        match command:
            case Run():
                self._events = self._play(command)
            case Stop():
                self._stop_asked = command.job
            case Unload() | Quit():
                pass

    def receive(self, timeout: float) -> Event | None:
        self._must_live()
        event = next(self._events, NOTHING_YET)
        if isinstance(event, EngineLost):
            self.dead = True
            raise event
        if event is NOTHING_YET and timeout:
            threading.Event().wait(min(timeout, 0.005))
        return event

    def close(self) -> None:
        self.closed = True

    def die(self) -> None:
        """As if the kernel had killed it: noticed at the next word."""
        self.dead = True

    @property
    def runs(self) -> list[int]:
        return [command.job for command in self.commands if isinstance(command, Run)]

    @property
    def stops(self) -> list[int]:
        return [command.job for command in self.commands if isinstance(command, Stop)]

    def _must_live(self) -> None:
        if self.dead or self.closed:
            raise EngineLost("signal 9")

    def _play(self, run: Run) -> Iterator[Event | EngineLost | None]:
        script, job, steps = self.script, run.job, run.request.steps
        if script.dies_at == 0:
            yield EngineLost("exit code 1")
        if not self._ready:
            self._ready = True
            yield Ready(device="cpu", torch_version="2.11.0")
        yield Loading(job=job, part="transformer", fraction=0.5)
        while script.waits_in_loading and not script.go_on.is_set():
            yield NOTHING_YET
        yield Entered(job=job, stage="encoding")
        yield Entered(job=job, stage="denoising")
        for number in range(1, steps + 1):
            while script.waits_at == number and not script.go_on.is_set() and not self._is_stopped(job):
                yield NOTHING_YET
            if self._is_stopped(job) or (script.stops_unasked and number == 2):
                yield Stopped(job=job)
                return
            if script.dies_at == number:
                yield EngineLost("signal 9")
            if script.fails_at == number:
                yield Failed(job=job, kind=script.failure, detail=f"at step {number}")
                return
            yield Step(job=job, number=number, of=steps, preview_jpeg=preview_of(job, number))
        yield Entered(job=job, stage="decoding")
        pixels = grey(run.request)[: -1 if script.short_pixels else None]
        yield Done(
            job=job, width=run.request.width, height=run.request.height, pixels=pixels, facts={"steps_run": steps}
        )

    def _is_stopped(self, job: int) -> bool:
        return self._stop_asked == job and not self.script.deaf


class ScriptedEngines:
    """An EngineFactory: one engine for each script, in order, and good ones after that."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = iter(scripts)
        self.made: list[ScriptedEngine] = []

    def __call__(self) -> ScriptedEngine:
        engine = ScriptedEngine(next(self._scripts, Script()))
        self.made.append(engine)
        return engine


def preview_of(job: int, step: int) -> bytes:
    return f"preview {step} of job {job}".encode()


def grey(request: GenerationRequest) -> bytes:
    return b"\x80" * (request.width * request.height * 3)
