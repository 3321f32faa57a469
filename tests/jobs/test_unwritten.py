"""A disk that takes nothing for a while: no job is lost, nothing is made twice, and a person is told and heard."""

import logging
from pathlib import Path

import pytest

from darkroom.history.database import Database
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from tests.history.examples import request
from tests.history.protected import Protection
from tests.jobs.conftest import StartSupervisor
from tests.jobs.scripted_engine import Script, ScriptedEngines
from tests.jobs.waiting import eventually


@pytest.fixture
def protection(database: Database) -> Protection:
    return Protection(database)


def pictures(folder: Path) -> list[Path]:
    return list((folder / "pictures").rglob("*.png"))


def test_a_picture_that_is_done_is_kept_until_it_can_be_saved(
    protection: Protection,
    queue: JobQueue,
    library: Library,
    supervise: StartSupervisor,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(waits_at=2)
    engines = ScriptedEngines(script)
    first, second = queue.submit(request()).id, queue.submit(request()).id
    with caplog.at_level(logging.INFO):
        supervisor = supervise(engines)
        eventually(lambda: supervisor.status(first).step == 1)
        with protection.on():
            script.go_on.set()
            eventually(lambda: supervisor.status(first).notice)
            status = supervisor.status(first)
            assert (status.job.state, status.activity, status.notice) == ("running", "saving", "not_written_refused")
            assert supervisor.unwritten() == "not_written_refused"
        eventually(lambda: not queue.unfinished())
    assert [(queue.get(job).state, queue.get(job).error_detail) for job in (first, second)] == [("done", None)] * 2
    assert [engine.runs for engine in engines.made] == [[first, second]]
    assert {picture.job for picture in library.page()} == {first, second}
    assert len(pictures(tmp_path)) == 2
    assert supervisor.unwritten() is None
    said = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.exc_info for record in said] == [None]


def test_a_stop_that_is_asked_for_while_nothing_can_be_written_holds(
    protection: Protection, queue: JobQueue, supervise: StartSupervisor, tmp_path: Path
) -> None:
    script = Script(waits_at=2)
    engines = ScriptedEngines(script)
    job = queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: supervisor.status(job).step == 1)
    with protection.on():
        script.go_on.set()
        eventually(lambda: supervisor.status(job).notice)
        supervisor.stop(job)
    eventually(lambda: queue.get(job).state == "cancelled")
    assert [engine.runs for engine in engines.made] == [[job]]
    assert pictures(tmp_path) == []


def test_an_engine_that_dies_while_nothing_can_be_written_costs_the_job_one_more_attempt(
    protection: Protection, queue: JobQueue, supervise: StartSupervisor
) -> None:
    script = Script(waits_at=1, dies_at=2)
    engines = ScriptedEngines(script)
    job = queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: queue.get(job).state == "running" and engines.made)
    with protection.on():
        script.go_on.set()
        eventually(lambda: supervisor.status(job).notice)
    eventually(lambda: queue.get(job).state == "done")
    assert queue.get(job).attempts == 2


def test_nothing_is_begun_while_nothing_can_be_written_and_all_of_it_afterwards(
    protection: Protection, queue: JobQueue, supervise: StartSupervisor
) -> None:
    jobs = [queue.submit(request()).id for _ in range(2)]
    engines = ScriptedEngines()
    with protection.on():
        supervisor = supervise(engines)
        eventually(supervisor.unwritten)
        assert (engines.made, queue.unfinished_ids()) == ([], jobs)
    eventually(lambda: not queue.unfinished())
    assert [engine.runs for engine in engines.made] == [jobs]


def test_a_server_that_ends_while_nothing_can_be_written_makes_the_job_at_its_next_start(
    protection: Protection, queue: JobQueue, supervise: StartSupervisor
) -> None:
    script = Script(waits_at=2)
    job = queue.submit(request()).id
    supervisor = supervise(ScriptedEngines(script))
    eventually(lambda: supervisor.status(job).step == 1)
    with protection.on():
        script.go_on.set()
        eventually(lambda: supervisor.status(job).notice)
        supervisor.close()
    supervise(ScriptedEngines())
    eventually(lambda: queue.get(job).state == "done")
