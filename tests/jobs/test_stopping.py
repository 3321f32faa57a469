"""Real engines that do not get on: a stop ends them, and the next job is made."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from darkroom.engine.process import serve
from darkroom.history.library import Library
from darkroom.jobs.messages import EngineOptions
from darkroom.jobs.process_engine import ProcessEngine
from darkroom.jobs.progress import Activity
from darkroom.jobs.queue import JobQueue
from darkroom.jobs.supervisor import Supervisor
from tests.history.examples import request
from tests.jobs.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="holds processes as POSIX systems do"),
]

MODELS = Path(__file__).parents[2] / "models"
LONGEST_PICTURE = 240.0


class Engines:
    """Real ones, which can be held in the middle of what they do."""

    def __init__(self) -> None:
        self.made: list[ProcessEngine] = []

    def __call__(self) -> ProcessEngine:
        options = EngineOptions(
            models=MODELS, device="cpu", threads=2, expandable_segments=False, log_level="info", checkpoint_seconds=0
        )
        self.made.append(ProcessEngine(serve, options))
        return self.made[-1]

    def hold(self) -> None:
        os.kill(self.made[-1].process_id or 0, signal.SIGSTOP)


@pytest.fixture
def engines(queue: JobQueue, library: Library) -> Iterator[tuple[Engines, Supervisor]]:
    engines = Engines()
    supervisor = Supervisor(queue, library, engines, 0)
    supervisor.start()
    yield engines, supervisor
    supervisor.close()


@pytest.mark.parametrize("activity", ["starting", "denoising"])
def test_an_engine_that_hears_nothing_is_ended_by_a_stop(
    activity: Activity, queue: JobQueue, engines: tuple[Engines, Supervisor]
) -> None:
    made, supervisor = engines
    job = queue.submit(request(steps=100, width=512, height=512)).id
    supervisor.wake()
    eventually(lambda: made.made and supervisor.status(job).activity == activity, seconds=LONGEST_PICTURE)
    made.hold()
    supervisor.stop(job)
    eventually(lambda: queue.get(job).state == "cancelled")
    later = queue.submit(request(steps=1)).id
    supervisor.wake()
    eventually(lambda: queue.get(later).state == "done", seconds=LONGEST_PICTURE)
    assert len(made.made) == 2


def test_a_held_engine_is_paused_with_its_last_checkpoint_and_another_goes_on(
    queue: JobQueue, library: Library, engines: tuple[Engines, Supervisor]
) -> None:
    made, supervisor = engines
    job = queue.submit(request(steps=30, width=256, height=256)).id
    supervisor.wake()
    eventually(lambda: queue.get(job).checkpoint is not None, seconds=LONGEST_PICTURE)
    made.hold()
    supervisor.pause(job)
    eventually(lambda: queue.get(job).state == "paused")
    queue.resume_job(job)
    supervisor.wake()
    eventually(lambda: queue.get(job).state == "done", seconds=LONGEST_PICTURE)
    (picture,) = library.page()
    assert int(picture.facts["resumed_at_step"]) > 0
    eventually(lambda: library.checkpoints.of(job) is None)


def test_an_engine_killed_in_the_middle_costs_nothing_and_the_picture_is_the_same(
    queue: JobQueue, library: Library, engines: tuple[Engines, Supervisor]
) -> None:
    made, supervisor = engines
    asked = request(steps=30, width=256, height=256)
    job = queue.submit(asked).id
    supervisor.wake()
    eventually(lambda: queue.get(job).checkpoint is not None, seconds=LONGEST_PICTURE)
    os.kill(made.made[-1].process_id or 0, signal.SIGKILL)
    eventually(lambda: queue.get(job).state == "done", seconds=LONGEST_PICTURE)
    unbroken = queue.submit(asked).id
    supervisor.wake()
    eventually(lambda: queue.get(unbroken).state == "done", seconds=LONGEST_PICTURE)
    whole, resumed = library.page()
    assert "rung" not in resumed.facts
    assert int(resumed.facts["resumed_at_step"]) > 0
    with Image.open(library.picture_path(resumed.id)) as first, Image.open(library.picture_path(whole.id)) as second:
        assert first.tobytes() == second.tobytes()
