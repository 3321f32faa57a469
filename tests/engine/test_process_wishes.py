"""What a real engine process does when a job is to rest, to be finished as it is, or to go on from where it was."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from darkroom.engine.process import serve
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
    Step,
    Stop,
    Stopped,
)
from darkroom.jobs.process_engine import ProcessEngine
from tests.engine.test_process import MODELS, events_until, options, run

T = TypeVar("T")


@pytest.fixture(scope="module")
def engine() -> Iterator[ProcessEngine]:
    process = ProcessEngine(serve, options(MODELS, threads=2))
    yield process
    process.close()


def of_kind(events: Sequence[Event], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


def unbroken(engine: ProcessEngine, steps: int) -> bytes:
    engine.send(run(90, steps=steps))
    return of_kind(events_until(engine, Done), Done)[0].pixels


def test_a_paused_job_goes_on_in_another_process_and_ends_in_the_same_pixels(engine: ProcessEngine) -> None:
    whole = unbroken(engine, 12)
    engine.send(run(1, steps=12))
    seen = events_until(engine, Step)
    engine.send(Pause(job=1))
    seen += events_until(engine, Stopped, Done)
    (checkpoint,) = of_kind(seen, Checkpoint)
    assert isinstance(seen[-1], Stopped)
    assert checkpoint.number == of_kind(seen, Step)[-1].number < 12

    other = ProcessEngine(serve, options(MODELS, threads=2))
    try:
        other.send(replace(run(1, steps=12), checkpoint=checkpoint.content))
        seen = events_until(other, Done, Failed)
    finally:
        other.close()
    (done,) = of_kind(seen, Done)
    assert [step.number for step in of_kind(seen, Step)] == [*range(checkpoint.number + 1, 13)]
    assert done.pixels == whole
    assert done.facts["resumed_at_step"] == checkpoint.number


def test_the_same_job_runs_again_although_it_was_stopped_or_paused_before(engine: ProcessEngine) -> None:
    for wish in (Stop(job=2), Pause(job=2), Finish(job=2)):
        engine.send(run(2, steps=100))
        events_until(engine, Step)
        engine.send(wish)
        events_until(engine, Stopped, Done)
    engine.send(run(2))
    assert "steps_done" not in of_kind(events_until(engine, Done), Done)[0].facts


def test_finishing_now_makes_a_picture_of_the_steps_that_are_done(engine: ProcessEngine) -> None:
    engine.send(run(3, steps=100))
    seen = events_until(engine, Step)
    engine.send(Finish(job=3))
    seen += events_until(engine, Done)
    (done,) = of_kind(seen, Done)
    assert done.facts["steps_done"] == of_kind(seen, Step)[-1].number < 100
    assert "decoding" in [event.stage for event in of_kind(seen, Entered)]


def test_it_says_how_long_a_step_should_take_before_the_first(engine: ProcessEngine) -> None:
    engine.send(run(4))
    seen = events_until(engine, Done)
    (planned,) = of_kind(seen, Planned)
    assert planned.seconds_per_step > 0
    assert seen.index(planned) < seen.index(of_kind(seen, Step)[0])


def test_its_memory_is_told_each_second_while_it_works(engine: ProcessEngine) -> None:
    engine.send(run(5, steps=100))
    events_until(engine, Step)
    told = [events_until(engine, Memory) for _ in range(3)]
    assert all(memory.resident > 100 << 20 for seen in told for memory in of_kind(seen, Memory))
    assert any(of_kind(seen, Step) for seen in told)
    engine.send(Stop(job=5))
    events_until(engine, Stopped, Done)


def test_checkpoints_come_by_themselves_and_the_rung_is_among_the_facts() -> None:
    engine = ProcessEngine(serve, replace(options(MODELS, threads=2), checkpoint_seconds=0.0))
    try:
        engine.send(replace(run(1, steps=4), rung=2))
        seen = events_until(engine, Done, Failed)
    finally:
        engine.close()
    (done,) = of_kind(seen, Done)
    assert (done.facts["rung"], "resumed_at_step" in done.facts) == (2, False)
    assert [checkpoint.number for checkpoint in of_kind(seen, Checkpoint)] == [1, 2, 3, 4]
    assert Loading in [type(event) for event in seen]


def test_a_stop_is_obeyed_between_two_steps(engine: ProcessEngine) -> None:
    engine.send(run(6, steps=100))
    events_until(engine, Step)
    engine.send(Stop(job=6))
    seen = events_until(engine, Stopped, Done)
    assert isinstance(seen[-1], Stopped)
    assert len(of_kind(seen, Step)) < 50
