"""Jobs on engines that fail, die, hang or lie, and on disks that are full: each job still has exactly one end."""

import logging
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from darkroom.history.database import Database
from darkroom.history.library import Library
from darkroom.jobs.messages import FailureKind, Run
from darkroom.jobs.queue import JobQueue
from tests.history.examples import request
from tests.jobs.conftest import StartSupervisor
from tests.jobs.scripted_engine import Script, ScriptedEngine, ScriptedEngines
from tests.jobs.waiting import eventually


def is_in(queue: JobQueue, job: int, state: str) -> bool:
    return queue.get(job).state == state


@pytest.mark.parametrize("step", [0, 1, 3])
def test_a_job_whose_engine_died_is_tried_again_on_a_fresh_one(
    step: int, queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    second = Script(waits_at=2)
    engines = ScriptedEngines(Script(dies_at=step), second)
    first, later = queue.submit(request()).id, queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: supervisor.status(first).notice and supervisor.status(first).step == 1)
    assert supervisor.status(first).notice == "engine_lost"
    second.go_on.set()
    eventually(lambda: not queue.unfinished())
    assert [engine.runs for engine in engines.made] == [[first], [first, later]]
    assert engines.made[0].closed
    job = queue.get(first)
    assert (job.state, job.attempts, job.error_code) == ("done", 2, None)
    assert supervisor.status(first).notice is None
    assert len(library.page()) == 2


def test_a_job_that_loses_its_engine_twice_fails_and_the_next_goes_on(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(Script(dies_at=2), Script(dies_at=3))
    first, later = queue.submit(request()).id, queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: not queue.unfinished())
    job = queue.get(first)
    assert (job.state, job.error_code, job.error_detail) == ("failed", "engine_lost", "signal 11")
    assert (supervisor.status(first).step, supervisor.status(first).notice) == (2, None)
    assert [engine.runs for engine in engines.made] == [[first], [first], [later]]
    assert is_in(queue, later, "done")


def test_losses_are_counted_across_a_restart_of_the_server(queue: JobQueue, supervise: StartSupervisor) -> None:
    job = queue.submit(request()).id
    supervisor = supervise(ScriptedEngines(Script(dies_at=2), Script(waits_at=1)))
    eventually(lambda: supervisor.status(job).notice and is_in(queue, job, "running"))
    supervisor.close()
    assert is_in(queue, job, "waiting")
    supervise(ScriptedEngines(Script(dies_at=2)))
    eventually(lambda: is_in(queue, job, "failed"))
    assert queue.get(job).error_code == "engine_lost"


def test_an_engine_that_died_between_jobs_costs_the_next_job_nothing(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines()
    supervisor = supervise(engines)
    first = queue.submit(request()).id
    supervisor.wake()
    eventually(lambda: is_in(queue, first, "done"))
    engines.made[0].die()
    second = queue.submit(request()).id
    supervisor.wake()
    eventually(lambda: is_in(queue, second, "done"))
    assert queue.get(second).attempts == 1
    assert [engine.runs for engine in engines.made] == [[first], [second]]


@pytest.mark.parametrize("failure", ["model_unusable", "does_not_fit", "lora_unusable"])
def test_a_job_that_cannot_be_made_says_why_at_once_and_the_engine_goes_on(
    failure: FailureKind, queue: JobQueue, supervise: StartSupervisor
) -> None:
    script = Script(fails_at=2, failure=failure)
    engines = ScriptedEngines(script)
    first, second = queue.submit(request()).id, queue.submit(request(steps=1)).id
    supervise(engines)
    eventually(lambda: not queue.unfinished())
    job = queue.get(first)
    assert (job.state, job.error_code, job.error_detail) == ("failed", failure, "at step 2")
    assert is_in(queue, second, "done")
    assert [engine.runs for engine in engines.made] == [[first, second]]


def test_a_job_that_fails_while_being_stopped_is_cancelled(queue: JobQueue, supervise: StartSupervisor) -> None:
    script = Script(waits_at=2, fails_at=2, deaf=True)
    engines = ScriptedEngines(script)
    job = queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: supervisor.status(job).step == 1)
    supervisor.stop(job)
    eventually(lambda: engines.made[0].stops)
    script.go_on.set()
    eventually(lambda: is_in(queue, job, "cancelled"))


def test_a_job_of_a_model_we_no_longer_know_fails_without_an_engine(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines()
    job = queue.submit(request(model="forgotten")).id
    supervise(engines)
    eventually(lambda: is_in(queue, job, "failed"))
    assert queue.get(job).error_code == "model_unusable"
    assert engines.made == []


def test_an_engine_that_dies_while_being_stopped_leaves_the_job_cancelled(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(Script(waits_at=2, deaf=True))
    job = queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: supervisor.status(job).step == 1)
    supervisor.stop(job)
    eventually(lambda: engines.made[0].stops)
    engines.made[0].die()
    eventually(lambda: is_in(queue, job, "cancelled"))


def test_an_engine_that_dies_while_the_server_closes_leaves_the_job_waiting(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(Script(waits_at=2, deaf=True))
    job = queue.submit(request()).id
    supervisor = supervise(engines, close=1000)
    eventually(lambda: supervisor.status(job).step == 1)
    closing = threading.Thread(target=supervisor.close)
    closing.start()
    eventually(lambda: engines.made[0].pauses == [job])
    engines.made[0].die()
    closing.join()
    assert (queue.get(job).state, queue.get(job).error_code) == ("waiting", None)


def test_a_job_the_engine_stops_unasked_fails(queue: JobQueue, supervise: StartSupervisor) -> None:
    job = queue.submit(request()).id
    supervise(ScriptedEngines(Script(stops_unasked=True)))
    eventually(lambda: is_in(queue, job, "failed"))
    assert queue.get(job).error_code == "engine_fault"


def test_a_job_that_begins_anew_takes_up_no_checkpoint_that_was_left_behind(
    queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    job = queue.submit(request()).id
    library.checkpoints.keep(job, b"2")
    engines = ScriptedEngines()
    supervise(engines)
    eventually(lambda: is_in(queue, job, "done"))
    (run,) = [command for command in engines.made[0].commands if isinstance(command, Run)]
    assert run.checkpoint is None


def test_a_picture_that_cannot_be_saved_fails_with_the_reason(
    queue: JobQueue, supervise: StartSupervisor, tmp_path: Path
) -> None:
    (tmp_path / "pictures").write_text("a file where the folder should be")
    job = queue.submit(request()).id
    supervisor = supervise(ScriptedEngines())
    eventually(lambda: is_in(queue, job, "failed"))
    failed = queue.get(job)
    assert failed.error_code == "not_saved"
    assert "pictures" in (failed.error_detail or "")

    (tmp_path / "pictures").unlink()
    second = queue.submit(request()).id
    supervisor.wake()
    eventually(lambda: is_in(queue, second, "done"))


def test_a_bug_fails_its_job_with_a_traceback_in_the_log_and_the_thread_goes_on(
    queue: JobQueue, supervise: StartSupervisor, caplog: pytest.LogCaptureFixture
) -> None:
    engines = ScriptedEngines(Script(short_pixels=True))
    first, second = queue.submit(request()).id, queue.submit(request()).id
    supervise(engines)
    with caplog.at_level(logging.ERROR):
        eventually(lambda: not queue.unfinished())
    job = queue.get(first)
    assert (job.state, job.error_code) == ("failed", "engine_fault")
    assert (job.error_detail or "").startswith("ValueError: ")
    assert "Traceback" in caplog.text
    assert is_in(queue, second, "done")
    assert engines.made[0].closed


def test_a_factory_that_raises_fails_the_job_and_not_the_thread(queue: JobQueue, supervise: StartSupervisor) -> None:
    good = ScriptedEngines()
    calls: list[int] = []

    def factory() -> ScriptedEngine:
        calls.append(1)
        if len(calls) == 1:
            raise PermissionError("may not start a process")
        return good()

    first, second = queue.submit(request()).id, queue.submit(request()).id
    supervise(factory)
    eventually(lambda: not queue.unfinished())
    assert queue.get(first).error_detail == "PermissionError: may not start a process"
    assert is_in(queue, second, "done")


def test_a_database_that_refuses_for_a_while_leaves_no_job_behind(
    queue: JobQueue, database: Database, supervise: StartSupervisor
) -> None:
    """As on a full disk: the job's end cannot be written down, so the job is made again once it can."""
    script = Script(waits_at=1)
    job = queue.submit(request()).id
    supervisor = supervise(ScriptedEngines(script))
    eventually(lambda: supervisor.status(job).activity == "denoising")
    refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    with database.writing() as session:
        session.execute(text(refuse))
    script.go_on.set()
    eventually(lambda: supervisor.status(job).activity == "saving")
    eventually(lambda: supervisor.engine_device() is None)
    with database.writing() as session:
        session.execute(text("DROP TRIGGER refuse"))
    eventually(lambda: is_in(queue, job, "done"))
    assert queue.get(job).attempts == 2
