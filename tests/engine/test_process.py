"""A real engine process: what it answers, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import groupby
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from darkroom.catalog import DEMO
from darkroom.engine.flux import WatchedPipeline
from darkroom.engine.process import CARD_HAS_FAILED, environment_of, serve
from darkroom.engine.teller import Teller
from darkroom.errors import EngineLost
from darkroom.jobs.messages import (
    Done,
    EngineOptions,
    Entered,
    Event,
    Failed,
    Loading,
    Memory,
    Quit,
    Ready,
    Run,
    Step,
    Stop,
    Stopped,
    Unload,
)
from darkroom.jobs.process_engine import ProcessEngine
from darkroom.request import parse_request

MODELS = Path(__file__).parents[2] / "models"
SECONDS_TO_ANSWER = 60.0


def run(job: int, *, steps: int = 2, prompt: str = "a green tent") -> Run:
    values = {"prompt": prompt, "seed": 1, "guidance": 3.5, "width": 256, "height": 256, "model": "demo"}
    return Run(job=job, request=parse_request({**values, "steps": steps}), model=DEMO)


def options(models: Path, *, threads: int, expandable_segments: bool = True) -> EngineOptions:
    return EngineOptions(
        models=models,
        device="cpu",
        threads=threads,
        expandable_segments=expandable_segments,
        log_level="info",
    )


def events_until(engine: ProcessEngine, *last: type[Event]) -> list[Event]:
    seen: list[Event] = []
    deadline = time.monotonic() + SECONDS_TO_ANSWER
    while time.monotonic() < deadline:
        event = engine.receive(0.2)
        if event is not None:
            seen.append(event)
            if isinstance(event, last):
                return seen
    raise AssertionError(f"no {last} in {SECONDS_TO_ANSWER} s, but {seen}")


@pytest.fixture
def engine() -> Iterator[ProcessEngine]:
    process = ProcessEngine(serve, options(MODELS, threads=2))
    yield process
    process.close()


def test_a_job_is_answered_by_its_events_in_order_and_the_second_loads_nothing(engine: ProcessEngine) -> None:
    engine.send(run(1))
    first = [*events_until(engine, Done), *events_until(engine, Memory)]
    kinds = [type(event) for event in first]
    assert (kinds[0], kinds[-2:]) == (Ready, [Done, Memory])
    assert Loading in kinds
    steps = [event for event in first if isinstance(event, Entered | Step)]
    told = [event.stage if isinstance(event, Entered) else event.number for event in steps]
    assert [what for what, _ in groupby(told)] == ["encoding", "denoising", 1, 2, "decoding"]
    engine.send(run(2))
    second = events_until(engine, Done)
    assert Loading not in [type(event) for event in second]
    done = [event for event in (*first, *second) if isinstance(event, Done)]
    assert done[0].pixels == done[1].pixels


def test_stop_ends_the_job_at_a_step_and_the_next_job_runs(engine: ProcessEngine) -> None:
    engine.send(run(1, steps=100))
    events_until(engine, Step)
    engine.send(Stop(job=1))
    seen = events_until(engine, Stopped, Done)
    assert isinstance(seen[-1], Stopped)
    assert sum(isinstance(event, Step) for event in seen) < 20
    engine.send(run(2))
    assert isinstance(events_until(engine, Done, Stopped)[-1], Done)


def test_a_stop_for_another_job_is_ignored(engine: ProcessEngine) -> None:
    engine.send(Stop(job=5))
    engine.send(run(1))
    assert isinstance(events_until(engine, Done, Stopped)[-1], Done)


def test_a_missing_model_fails_the_job_in_words_and_the_process_lives(tmp_path: Path) -> None:
    engine = ProcessEngine(serve, options(tmp_path, threads=1))
    try:
        engine.send(run(1))
        failed = events_until(engine, Failed)[-1]
        assert isinstance(failed, Failed)
        assert failed.kind == "model_unusable"
        assert "demo/text_encoder.safetensors" in failed.detail
        engine.send(Unload())
        events_until(engine, Memory)
    finally:
        engine.close()


def test_a_killed_process_is_told_as_lost_with_its_signal(engine: ProcessEngine) -> None:
    engine.send(run(1, steps=100))
    events_until(engine, Step)
    assert engine.process_id is not None
    os.kill(engine.process_id, signal.SIGKILL)
    with pytest.raises(EngineLost) as lost:
        events_until(engine, Done)
    assert lost.value.cause == f"signal {signal.SIGKILL}"
    with pytest.raises(EngineLost):
        engine.send(Quit())


def serve_on_a_card_that_fails(connection: "Connection[Event, Any]", options: EngineOptions) -> None:
    """As torch says it. To free anything afterwards ends the process on a card, so nothing may be cleaned up."""

    def fail(_self: Teller, _number: int, *_rest: Any) -> None:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    Teller.step = fail  # type: ignore[method-assign]
    WatchedPipeline.leave = lambda _self: os.abort()  # type: ignore[method-assign]
    serve(connection, options)


def test_a_card_that_fails_is_told_before_anything_is_freed_and_ends_the_process() -> None:
    engine = ProcessEngine(serve_on_a_card_that_fails, options(MODELS, threads=1))
    try:
        engine.send(run(1))
        failed = events_until(engine, Failed)[-1]
        assert isinstance(failed, Failed)
        assert (failed.kind, failed.detail) == ("card_fault", "CUDA error: device-side assert triggered")
        with pytest.raises(EngineLost) as lost:
            events_until(engine, Done)
        assert lost.value.cause == f"exit code {CARD_HAS_FAILED}"
    finally:
        engine.close()


def test_an_engine_starts_without_the_compiler_of_torch_which_is_there_for_whoever_wants_it() -> None:
    program = (
        "import sys\n"
        "from darkroom.engine.process import _imported\n"
        "_imported()\n"
        "import torch\n"
        "print('torch._inductor.compile_fx' in sys.modules, torch.compile.__module__)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "torch"]


def test_closing_twice_is_safe_and_ends_the_process_in_the_middle_of_a_job(engine: ProcessEngine) -> None:
    engine.send(run(1, steps=100))
    events_until(engine, Step)
    engine.close()
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(engine.process_id or 0, 0)


def test_the_allocator_is_told_to_expand_its_segments_only_where_the_settings_say_so() -> None:
    told = environment_of(options(MODELS, threads=1))
    assert told["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"
    not_told = environment_of(options(MODELS, threads=1, expandable_segments=False))
    assert told.keys() - not_told.keys() == {"PYTORCH_ALLOC_CONF"}
