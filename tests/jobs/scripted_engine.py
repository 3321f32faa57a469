"""An engine that follows a script: it makes grey pictures, or dies, fails, hangs and dawdles where the script says."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from darkroom.errors import EngineLost
from darkroom.jobs.messages import (
    Checkpoint,
    Command,
    Done,
    Entered,
    Event,
    Failed,
    FailureKind,
    Finish,
    Loading,
    Memory,
    Pause,
    Planned,
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
Stage = Literal["starting", "loading", "encoding", "denoising", "decoding"]


@dataclass(frozen=True, kw_only=True)
class Script:
    """What one engine does in each of its jobs. Steps count from 1; step 0 is before the engine is ready.

    `dies_in`, `fails_in` and `hangs_in` are stages; of the denoising, after its second step. With `once` that is so in
    its first job only. `card` is what it says of the card's memory: free, and in all.
    """

    dies_at: int | None = None
    dies_in: Stage | None = None
    cause: str = "signal 11"
    fails_at: int | None = None
    fails_in: Stage | None = None
    failure: FailureKind = "out_of_memory"
    hangs_in: Stage | None = None
    once: bool = False
    waits_at: int | None = None
    waits_in_loading: bool = False
    deaf: bool = False
    stops_unasked: bool = False
    short_pixels: bool = False
    checkpoints: bool = False
    card: tuple[int, int] = (0, 0)
    go_on: threading.Event = field(default_factory=threading.Event)
    """Ends all waiting."""


class ScriptedEngine:
    """Follows the Engine protocol. What it was told and what became of it can be looked at."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.commands: list[Command] = []
        self.closed = False
        self.killed = False
        self.dead = False
        self._ready = False
        self._asked: set[Command] = set()
        self._events: Iterator[Event | EngineLost | None] = iter(())

    def send(self, command: Command) -> None:
        self._must_live()
        self.commands.append(command)
        match command:
            case Run():
                self._asked -= {Stop(job=command.job), Pause(job=command.job), Finish(job=command.job)}
                self._events = self._play(command)
            case Stop() | Pause() | Finish():
                self._asked.add(command)
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

    def kill(self) -> None:
        self.killed = True

    def die(self) -> None:
        """As if the kernel had killed it: noticed at the next word."""
        self.dead = True

    @property
    def runs(self) -> list[int]:
        return [command.job for command in self.commands if isinstance(command, Run)]

    @property
    def rungs(self) -> list[int]:
        return [command.rung for command in self.commands if isinstance(command, Run)]

    @property
    def stops(self) -> list[int]:
        return [command.job for command in self.commands if isinstance(command, Stop)]

    @property
    def pauses(self) -> list[int]:
        return [command.job for command in self.commands if isinstance(command, Pause)]

    def _must_live(self) -> None:
        if self.dead or self.closed:
            raise EngineLost(self.script.cause)

    def _play(self, run: Run) -> Iterator[Event | EngineLost | None]:
        script, job, steps = self.script, run.job, run.request.steps
        if script.dies_at == 0:
            yield EngineLost("exit code 1")
        free, total = script.card
        yield from self._fate(run, "starting")
        if not self._ready:
            self._ready = True
            yield Ready(device="cpu", torch_version="2.11.0")
        yield Memory(resident=5 << 30, card=total - free, card_free=free, card_total=total)
        yield Loading(job=job, part="transformer", fraction=0.5)
        yield from self._fate(run, "loading")
        while script.waits_in_loading and not script.go_on.is_set():
            yield NOTHING_YET
        yield Planned(job=job, seconds_per_step=0.001)
        yield Entered(job=job, stage="encoding")
        yield from self._fate(run, "encoding")
        yield Entered(job=job, stage="denoising")
        for number in range(1 + int(run.checkpoint or b"0"), steps + 1):
            while script.waits_at == number and not script.go_on.is_set() and not self._is_to_end(job):
                yield NOTHING_YET
            if self._is_asked(Pause(job=job)) and number > 1:
                yield Checkpoint(job=job, number=number - 1, content=b"%d" % (number - 1))
            if self._is_to_end(job) or (script.stops_unasked and number == 2):
                yield Stopped(job=job)
                return
            if script.dies_at == number:
                yield EngineLost(script.cause)
            if script.fails_at == number:
                yield Failed(job=job, kind=script.failure, detail=f"at step {number}")
                return
            yield Step(job=job, number=number, of=steps, preview_jpeg=preview_of(job, number))
            if script.checkpoints:
                yield Checkpoint(job=job, number=number, content=b"%d" % number)
            if number == 2:
                yield from self._fate(run, "denoising")
            if self._is_asked(Finish(job=job)):
                steps = number
                break
        yield Entered(job=job, stage="decoding")
        yield from self._fate(run, "decoding")
        pixels = grey(run.request)[: -1 if script.short_pixels else None]
        facts: dict[str, str | int | float] = {"steps_run": steps}
        if run.rung:
            facts["rung"] = run.rung
        yield Done(job=job, width=run.request.width, height=run.request.height, pixels=pixels, facts=facts)

    def _fate(self, run: Run, stage: Stage) -> Iterator[Event | EngineLost | None]:
        script = self.script
        if script.once and len(self.runs) > 1:
            return
        if script.dies_in == stage:
            yield EngineLost(script.cause)
        if script.fails_in == stage:
            yield Failed(job=run.job, kind=script.failure, detail=f"while {stage}")
            while True:
                yield NOTHING_YET
        while script.hangs_in == stage:
            # Its memory is told all the same.
            yield Memory(resident=5 << 30, card=0)
            yield NOTHING_YET

    def _is_to_end(self, job: int) -> bool:
        return self._is_asked(Stop(job=job)) or self._is_asked(Pause(job=job))

    def _is_asked(self, command: Command) -> bool:
        return command in self._asked and not self.script.deaf


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
