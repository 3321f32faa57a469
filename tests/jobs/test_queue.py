"""Rows and the states they go through."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import NotFound
from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.history.tables import NEXT_STATES, IllegalTransition, JobRow, State
from darkroom.jobs.queue import Fault, JobQueue
from darkroom.request import GenerationRequest
from tests.history.examples import ODD_REQUESTS, PIXELS, request

LOST = Fault(kind="engine_lost", stage="denoising", rung=0, at=datetime(2026, 2, 3, tzinfo=UTC), detail="signal 9")


def finish(library: Library, job: int) -> None:
    library.add(job=job, request=request(), width=64, height=64, pixels=PIXELS, facts={})


def job_in(state: State, queue: JobQueue, library: Library) -> int:
    job = queue.submit(request()).id
    if state != "waiting":
        queue.claim()
    if state == "paused":
        queue.pause_job(job, None)
    if state == "done":
        finish(library, job)
    if state == "failed":
        queue.fail(job, "out_of_memory", "x")
    if state == "cancelled":
        queue.cancel(job)
    assert queue.get(job).state == state
    return job


@pytest.mark.parametrize("asked", ODD_REQUESTS)
def test_a_submitted_request_comes_back_equal(asked: GenerationRequest, queue: JobQueue) -> None:
    job = queue.submit(asked)
    assert job.request == asked
    assert queue.get(job.id) == job


def test_a_new_job_waits(queue: JobQueue) -> None:
    before = datetime.now(UTC)
    job = queue.submit(request())
    assert before <= job.created_at <= datetime.now(UTC)
    assert (job.state, job.attempts, job.started_at, job.finished_at) == ("waiting", 0, None, None)
    assert (job.error_code, job.error_detail, job.picture) == (None, None, None)


def test_jobs_submitted_together_know_each_other_and_keep_their_order(queue: JobQueue) -> None:
    alone = queue.submit(request())
    jobs = queue.submit_many([request(seed=seed) for seed in (7, 8, 9)], "batch 1")
    queue.submit_many([request()], "batch 2")
    assert [job.request.seed for job in jobs] == [7, 8, 9]
    assert [(job.group, job.state) for job in jobs] == [("batch 1", "waiting")] * 3
    assert queue.of_group("batch 1") == jobs == tuple(queue.get(job.id) for job in jobs)
    assert (alone.group, queue.of_group("batch 3"), queue.submit_many([], "batch 3")) == (None, (), ())
    assert [job.id for job in queue.unfinished()] == [1, 2, 3, 4, 5]


def test_of_jobs_submitted_together_all_are_jobs_or_none(queue: JobQueue) -> None:
    broken: Any = None
    with pytest.raises(AttributeError):
        queue.submit_many([request(), broken], "batch")
    assert queue.unfinished() == ()


def test_the_oldest_waiting_job_is_claimed_first(queue: JobQueue) -> None:
    ids = [queue.submit(request(seed=seed)).id for seed in range(3)]
    queue.cancel(ids[0])
    job = queue.claim()
    assert job is not None
    assert (job.id, job.state, job.attempts) == (ids[1], "running", 1)
    assert job.started_at is not None
    assert job == queue.get(ids[1])


def test_nothing_is_claimed_from_an_empty_queue(queue: JobQueue) -> None:
    assert queue.claim() is None
    assert queue.latest() is None
    assert queue.unfinished() == ()


def test_a_job_is_claimed_once_however_many_ask(queue: JobQueue, tmp_path: Path) -> None:
    ids = [queue.submit(request()).id for _ in range(20)]
    claimed: list[int] = []

    def claim_all() -> None:
        database = Database(sqlite_url(tmp_path))  # as another process would
        while (job := JobQueue(database).claim()) is not None:
            claimed.append(job.id)
        database.close()

    threads = [threading.Thread(target=claim_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == ids


def test_a_job_put_back_is_first_again_and_keeps_the_reason(queue: JobQueue) -> None:
    first, second = queue.submit(request()).id, queue.submit(request()).id
    queue.claim()
    queue.put_back(first, fault=LOST)
    job = queue.get(first)
    assert (job.state, job.error_code, job.error_detail) == ("waiting", "engine_lost", "signal 9")
    assert (job.started_at, job.attempts) == (None, 1)
    assert [job.id for job in queue.unfinished()] == [first, second]
    again = queue.claim()
    assert again is not None
    assert (again.id, again.attempts, again.error_code) == (first, 2, "engine_lost")


def test_a_job_put_back_without_a_reason_keeps_the_one_it_had(queue: JobQueue) -> None:
    job = queue.submit(request()).id
    queue.claim()
    queue.put_back(job, fault=LOST)
    queue.claim()
    queue.put_back(job)
    assert queue.get(job).error_code == "engine_lost"


@pytest.mark.parametrize("ending", ["done", "cancelled"])
def test_a_job_that_ended_well_shows_no_reason_of_an_earlier_attempt(
    ending: str, queue: JobQueue, library: Library
) -> None:
    job = queue.submit(request()).id
    queue.claim()
    queue.put_back(job, fault=LOST)
    queue.claim()
    finish(library, job) if ending == "done" else queue.cancel(job)
    assert (queue.get(job).state, queue.get(job).error_code, queue.get(job).error_detail) == (ending, None, None)


def test_a_failed_job_says_why_and_when(queue: JobQueue) -> None:
    job = queue.submit(request()).id
    queue.claim()
    queue.fail(job, "model_unusable", "missing: 模型.safetensors")
    failed = queue.get(job)
    assert (failed.error_code, failed.error_detail) == ("model_unusable", "missing: 模型.safetensors")
    assert failed.finished_at is not None


def change_to(wanted: State, job: int, queue: JobQueue, library: Library) -> None:
    match wanted:
        case "waiting":
            queue.put_back(job)
        case "paused":
            queue.pause_job(job, None)
        case "done":
            finish(library, job)
        case "failed":
            queue.fail(job, "engine_fault", "x")
        case _:
            queue.cancel(job)


ONLY_BY_A_PERSON = {("paused", "waiting"), ("failed", "waiting"), ("failed", "cancelled"), ("cancelled", "waiting")}


@pytest.mark.parametrize("state", NEXT_STATES)
@pytest.mark.parametrize("wanted", ["waiting", "paused", "done", "failed", "cancelled"])
def test_only_legal_changes_happen(state: State, wanted: State, queue: JobQueue, library: Library) -> None:
    job = job_in(state, queue, library)
    if wanted in NEXT_STATES[state] and (state, wanted) not in ONLY_BY_A_PERSON:
        change_to(wanted, job, queue, library)
        assert queue.get(job).state == wanted
    elif (state, wanted) == ("done", "done"):
        change_to(wanted, job, queue, library)  # adding twice gives the picture there is
    else:
        before = queue.get(job)
        with pytest.raises(IllegalTransition, match=f"job {job} is {state} and cannot become {wanted}"):
            change_to(wanted, job, queue, library)
        assert queue.get(job) == before


@pytest.mark.parametrize("state", NEXT_STATES)
def test_cancelling_what_waits_touches_nothing_else(state: State, queue: JobQueue, library: Library) -> None:
    job = job_in(state, queue, library)
    assert queue.cancel_waiting(job) == (state in ("waiting", "paused"))
    assert queue.get(job).state == ("cancelled" if state in ("waiting", "paused") else state)


@pytest.mark.parametrize("id", [0, 99, -1, 2**63, 10**30])
def test_a_job_that_does_not_exist_is_not_found(id: int, queue: JobQueue) -> None:
    for change in (
        queue.get,
        queue.cancel,
        queue.cancel_waiting,
        queue.put_back,
        queue.retry,
        queue.dismiss,
        queue.resume_job,
    ):
        with pytest.raises(NotFound, match="job"):
            change(id)


def test_unfinished_jobs_come_running_first_then_in_order(queue: JobQueue, library: Library) -> None:
    job_in("done", queue, library)
    first, second, third = (queue.submit(request()).id for _ in range(3))
    queue.claim()
    queue.claim()
    queue.put_back(first)
    assert [(job.id, job.state) for job in queue.unfinished()] == [
        (second, "running"),
        (first, "waiting"),
        (third, "waiting"),
    ]
    latest = queue.latest()
    assert latest is not None
    assert latest.id == third


def test_ahead_counts_the_jobs_that_come_before(queue: JobQueue, library: Library) -> None:
    done = job_in("done", queue, library)
    first, second, third = (queue.submit(request()).id for _ in range(3))
    assert [queue.ahead(id) for id in (done, first, second, third)] == [0, 0, 1, 2]
    queue.claim()
    assert [queue.ahead(id) for id in (first, second, third)] == [0, 1, 2]
    queue.cancel(second)
    assert queue.ahead(third) == 1


def test_after_a_restart_what_was_running_waits_and_the_rest_is_as_it_was(queue: JobQueue, library: Library) -> None:
    ended: tuple[State, ...] = ("done", "failed", "cancelled")
    before = [queue.get(job_in(state, queue, library)) for state in ended]
    running = job_in("running", queue, library)
    waiting = queue.submit(request()).id
    queue.recover()
    assert [queue.get(job.id) for job in before] == before
    assert [(job.id, job.state) for job in queue.unfinished()] == [(running, "waiting"), (waiting, "waiting")]
    assert queue.get(running).started_at is None


def test_after_a_restart_a_job_with_its_picture_is_done(queue: JobQueue, library: Library, database: Database) -> None:
    job = job_in("done", queue, library)
    before = queue.get(job)
    with database.writing() as session:
        row = session.get_one(JobRow, job)
        row.state, row.finished_at = "running", None
    queue.recover()
    assert queue.get(job) == before
