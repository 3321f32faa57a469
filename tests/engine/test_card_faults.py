"""What a card can do to an engine process: a real fault, a step without an end, another program that takes its memory.

`pytest -m gpu tests/engine/test_card_faults.py` takes a card and a minute.
"""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Literal

import pytest
import torch

from darkroom.engine.process import serve
from darkroom.engine.teller import Teller
from darkroom.errors import EngineLost
from darkroom.jobs.messages import Done, EngineOptions, Event, Failed, Step, Stop, Stopped
from darkroom.jobs.process_engine import ProcessEngine, Serve
from tests.engine.test_process import MODELS, events_until, run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card"),
]

Trouble = Literal["fault", "endless step"]

MIB = 1 << 20
# What a process takes of the card by being there: its context, and the libraries of its kernels.
CONTEXT = 1024 * MIB
# Of the demo's weights and latents, with room.
WORK = 1024 * MIB
# The least a program can leave: it takes memory in pieces.
CRUMBS = 64 * MIB
HANGS_FOR = 3.0
LONGEST_TO_FREE = 20.0


def serve_in_trouble(connection: "Connection[Event, Any]", options: EngineOptions, *, trouble: Trouble) -> None:
    """An engine like any other, to whose card this happens after the second step."""
    tell = Teller.step

    def step(self: Teller, number: int, *rest: Any) -> None:
        tell(self, number, *rest)
        if number != 2:
            return
        if trouble == "fault":
            torch.zeros(1, device="cuda")[torch.tensor([7], device="cuda")]
        else:
            torch.cuda._sleep(1 << 50)

    Teller.step = step  # type: ignore[method-assign]
    serve(connection, options)


@contextmanager
def engine(serve: Serve = serve) -> Iterator[ProcessEngine]:
    options = EngineOptions(models=MODELS, device="cuda", threads=2, expandable_segments=True, log_level="info")
    process = ProcessEngine(serve, options)
    try:
        yield process
    finally:
        process.close()


def picture(process: ProcessEngine, job: int = 1) -> Done:
    process.send(run(job, steps=4))
    done = events_until(process, Done, Failed)[-1]
    assert isinstance(done, Done), done
    return done


def free() -> int:
    return int(torch.cuda.mem_get_info()[0])


def eventually_free(wanted: int) -> None:
    deadline = time.monotonic() + LONGEST_TO_FREE
    while free() < wanted:
        assert time.monotonic() < deadline, f"{free() // MIB} MiB are free of {wanted // MIB}"
        time.sleep(0.1)


def hold(connection: "Connection[None, None]", leave: int) -> None:
    """Another program: takes all of the card but this, says so, and goes when it is told to."""
    torch.zeros(1, device="cuda")
    held = torch.empty(max(1, torch.cuda.mem_get_info()[0] - leave), dtype=torch.uint8, device="cuda")
    connection.send(None)
    connection.recv()
    del held


@contextmanager
def neighbour(*, leaves: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=hold, args=(theirs, leaves), daemon=True)
    process.start()
    try:
        ours.recv()
        yield
    finally:
        ours.send(None)
        process.join()


def test_a_fault_of_the_card_is_told_ends_the_engine_and_the_next_makes_the_same_picture() -> None:
    with engine() as process:
        wanted = picture(process).pixels
    before = free()
    with engine(partial(serve_in_trouble, trouble="fault")) as process:
        process.send(run(1, steps=4))
        failed = events_until(process, Done, Failed)[-1]
        assert isinstance(failed, Failed)
        assert failed.kind == "card_fault"
        with pytest.raises(EngineLost):
            events_until(process, Done)
    eventually_free(before - CRUMBS)
    with engine() as process:
        assert picture(process).pixels == wanted


def test_an_engine_in_a_step_without_an_end_can_be_ended_and_the_card_is_free_again() -> None:
    before = free()
    with engine(partial(serve_in_trouble, trouble="endless step")) as process:
        process.send(run(1, steps=4))
        # The first step has not met it yet, and can be stopped.
        for _ in range(2):
            events_until(process, Step)
        process.send(Stop(job=1))
        deadline = time.monotonic() + HANGS_FOR
        while time.monotonic() < deadline:
            assert not isinstance(process.receive(0.2), Stopped | Done)
        process.kill()
    eventually_free(before - CRUMBS)


def test_what_another_program_leaves_of_the_card_is_enough_for_a_small_picture() -> None:
    with neighbour(leaves=CONTEXT + WORK), engine() as process:
        assert int(picture(process).facts["peak_mib"]) * MIB <= CONTEXT + WORK


def test_another_program_may_come_between_two_pictures_and_go_again() -> None:
    with engine() as process:
        wanted = picture(process).pixels
        for job in (2, 4):
            with neighbour(leaves=WORK):
                assert picture(process, job).pixels == wanted
            assert picture(process, job + 1).pixels == wanted


def test_a_card_that_another_program_fills_in_the_middle_ends_in_a_picture_or_in_one_word() -> None:
    with engine() as process:
        wanted = picture(process).pixels
        process.send(run(2, steps=40))
        events_until(process, Step)
        with neighbour(leaves=CRUMBS):
            ended = events_until(process, Done, Failed)[-1]
        assert isinstance(ended, Done) or ended.kind == "out_of_memory"
        assert picture(process, 3).pixels == wanted
