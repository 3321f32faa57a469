"""When an engine that says nothing hangs and when it does not, by a clock that the test turns."""

from collections.abc import Callable, Sequence

import pytest

from darkroom.jobs import attempt as room
from darkroom.jobs.attempt import Attempt, EngineHangs, Listeners, Patience, StopIgnored
from darkroom.jobs.memory import SystemMemory
from darkroom.jobs.messages import (
    Checkpoint,
    Command,
    Done,
    Entered,
    Event,
    Loading,
    Memory,
    Planned,
    Ready,
    Step,
)
from darkroom.jobs.postmortem import Samples
from darkroom.jobs.progress import ProgressBoard
from darkroom.jobs.wishes import JobWishes, Wish
from tests.jobs.test_postmortem import job

PATIENCE = Patience(stop=2, step=10, silence=100, steps=10, first_step=300, loading=200)
DONE = Done(job=1, width=64, height=64, pixels=b"", facts={})
BEGUN: tuple[Event, ...] = (
    Ready(device="cpu", torch_version="2"),
    Planned(job=1, seconds_per_step=20),
    Entered(job=1, stage="denoising"),
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class SlowEngine:
    """Says what it is given, each after so many seconds; nothing in between but, each second, its memory."""

    def __init__(self, clock: Clock, script: Sequence[tuple[float, Event]], *, nap: float = 0.0) -> None:
        self._clock, self._script, self._nap = clock, [*script], nap
        self.commands: list[Command] = []

    def send(self, command: Command) -> None:
        self.commands.append(command)

    def receive(self, timeout: float) -> Event | None:  # noqa: ARG002
        if not self._script:
            self._clock.now += 1
            return Memory(resident=1, card=0)
        after, event = self._script[0]
        if self._nap and after > self._nap:
            self._clock.now += self._nap
            self._script[0] = (after - self._nap, event)
            return None
        if after > 1:
            self._clock.now += 1
            self._script[0] = (after - 1, event)
            return Memory(resident=1, card=0)
        self._clock.now += after
        del self._script[0]
        return event

    def close(self) -> None: ...

    def kill(self) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(room, "time", clock)
    return clock


def attempt_with(wish: Callable[[], Wish | None] = lambda: None, kept: list[Checkpoint] | None = None) -> Attempt:
    board = ProgressBoard()
    board.begin(1, "starting")
    plenty = SystemMemory(total=1, free=1, swap=0, swap_free=0, kills=0)
    listeners = Listeners(wish=wish, ready=lambda _device: None, checkpoint=(kept if kept is not None else []).append)
    return Attempt(job(), board, Samples(lambda: plenty), PATIENCE, listeners, closing=lambda: False)


def step(number: int) -> Step:
    return Step(job=1, number=number, of=9, preview_jpeg=b"")


@pytest.mark.parametrize(("silent", "hangs"), [(190, False), (210, True)])
def test_loading_has_a_patience_of_its_own(silent: float, hangs: bool, clock: Clock) -> None:
    script: list[tuple[float, Event]] = [
        (1, Ready(device="cpu", torch_version="2")),
        (1, Loading(job=1, part="vae", fraction=0.1)),
        (silent, DONE),
    ]
    outcome(SlowEngine(clock, script), hangs=hangs)


@pytest.mark.parametrize(("silent", "hangs"), [(290, False), (310, True)])
def test_the_first_step_is_waited_for_longer(silent: float, hangs: bool, clock: Clock) -> None:
    outcome(SlowEngine(clock, [*((1.0, event) for event in BEGUN), (silent, DONE)]), hangs=hangs)


@pytest.mark.parametrize(
    ("pace", "silent", "hangs"), [(2, 95, False), (2, 105, True), (30, 290, False), (30, 310, True)]
)
def test_later_ones_by_how_long_steps_have_taken(pace: float, silent: float, hangs: bool, clock: Clock) -> None:
    steps: list[tuple[float, Event]] = [(pace, step(1)), (pace, step(2)), (silent, DONE)]
    outcome(SlowEngine(clock, [*((1.0, event) for event in BEGUN), *steps]), hangs=hangs)


def test_a_machine_that_slept_blames_no_engine(clock: Clock) -> None:
    script = [*((1.0, event) for event in BEGUN), (1.0, step(1)), (1.0, step(2)), (3600.0, DONE)]
    outcome(SlowEngine(clock, script, nap=3590), hangs=False)


def outcome(engine: SlowEngine, *, hangs: bool) -> None:
    if hangs:
        with pytest.raises(EngineHangs):
            attempt_with().follow(engine)
    else:
        assert attempt_with().follow(engine) == DONE


def test_a_stop_waits_for_a_step_that_takes_long_but_nowhere_else(clock: Clock) -> None:
    asked: list[float] = []

    def wish() -> Wish | None:
        return "stop" if asked and clock.now >= asked[0] else None

    for in_step, longest in ((True, 7.0), (False, 3.0)):
        clock.now = 1000.0
        steps = [(6.0, step(1)), (6.0, step(2))] if in_step else []
        script = [*((1.0, event) for event in BEGUN[: None if in_step else 1]), *steps, (500.0, DONE)]
        asked[:] = [clock.now + sum(after for after, _ in script[:-1]) + 1]
        engine = SlowEngine(clock, script)
        with pytest.raises(StopIgnored):
            attempt_with(wish).follow(engine)
        assert asked[0] + 2 <= clock.now <= asked[0] + longest + 1
        assert len(engine.commands) == 1


def test_checkpoints_of_this_job_are_handed_on(clock: Clock) -> None:
    kept: list[Checkpoint] = []
    mine, other = Checkpoint(job=1, number=2, content=b"x"), Checkpoint(job=2, number=2, content=b"y")
    attempt_with(kept=kept).follow(SlowEngine(clock, [(1, mine), (1, other), (1, DONE)]))
    assert kept == [mine]


def test_a_wish_is_for_one_attempt_and_the_strongest_counts() -> None:
    wishes = JobWishes()
    wishes.ask(1, 1, "finish")
    assert (wishes.of(1, 1), wishes.of(1, 2), wishes.of(2, 1)) == ("finish", None, None)
    wishes.ask(1, 1, "stop")
    wishes.ask(1, 1, "pause")
    assert wishes.of(1, 1) == "stop"
    wishes.forget(1, 1)
    wishes.forget(1, 1)
    assert wishes.of(1, 1) is None
