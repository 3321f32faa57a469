"""The order of waiting jobs: fair between clients, changed by hand, and paused."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from darkroom.errors import InvalidRequest, NotPossibleNow
from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library
from darkroom.jobs.queue import Fault, JobQueue
from tests.history.examples import request
from tests.jobs.test_queue import finish


def ask(queue: JobQueue, client: str, count: int) -> list[int]:
    return [queue.submit(request(), client=client).id for _ in range(count)]


def run_all(queue: JobQueue, library: Library) -> list[int]:
    """Every job that may run, in the order they ran."""
    order = []
    while (job := queue.claim()) is not None:
        order.append(job.id)
        finish(library, job.id)
    return order


def in_line(queue: JobQueue) -> list[int]:
    return queue.unfinished_ids()


def test_clients_take_turns_and_each_ones_jobs_stay_in_order(queue: JobQueue, library: Library) -> None:
    desk, phone, program = ask(queue, "desk", 4), ask(queue, "phone", 2), ask(queue, "", 1)
    announced = in_line(queue)
    ran = run_all(queue, library)
    assert ran == announced
    assert [job for job in ran if job in desk] == desk
    assert [job for job in ran if job in phone] == phone
    assert sorted(ran[:3]) == sorted([desk[0], phone[0], program[0]])
    assert ran[-2:] == desk[2:]


def test_who_comes_late_is_served_after_at_most_one_job_of_another(queue: JobQueue) -> None:
    desk = ask(queue, "desk", 50)
    assert [getattr(queue.claim(), "id", None) for _ in range(2)] == desk[:2]
    (phone,) = ask(queue, "phone", 1)
    job = queue.claim()
    assert job is not None
    assert job.id == phone


def test_the_announced_order_and_what_is_ahead_agree(queue: JobQueue) -> None:
    ask(queue, "desk", 3)
    ask(queue, "phone", 3)
    queue.claim()
    announced = [job.id for job in queue.unfinished()]
    assert announced == queue.unfinished_ids()
    assert [queue.ahead(job) for job in announced] == [0, 1, 2, 3, 4, 5]
    assert [job.id for job in queue.unfinished(limit=2)] == announced[:2]


def test_a_job_put_back_keeps_its_turn_before_other_clients(queue: JobQueue) -> None:
    desk, _phone = ask(queue, "desk", 2), ask(queue, "phone", 2)
    queue.claim()
    fault = Fault(kind="out_of_memory", stage="denoising", rung=0, at=datetime.now(UTC), detail="at step 2")
    queue.put_back(desk[0], rung=1, fault=fault, checkpoint="1.safetensors")
    job = queue.claim()
    assert job is not None
    assert (job.id, job.rung, job.checkpoint, job.faults) == (desk[0], 1, "1.safetensors", (fault,))
    assert (job.attempts, job.error_code, job.error_detail) == (2, "out_of_memory", "at step 2")


def test_a_job_put_back_without_a_rung_stays_on_its_own(queue: JobQueue) -> None:
    (job,) = ask(queue, "desk", 1)
    for rung, expected in ((2, 2), (None, 2), (0, 0)):
        queue.claim()
        queue.put_back(job, rung=rung)
        assert queue.get(job).rung == expected


def test_moved_to_the_front_is_the_next_of_its_client(queue: JobQueue, library: Library) -> None:
    desk = ask(queue, "desk", 5)
    queue.move_to_front([desk[4], desk[2], 99])
    assert run_all(queue, library) == [desk[4], desk[2], desk[0], desk[1], desk[3]]
    queue.move_to_front([desk[0]])
    assert in_line(queue) == []


def test_a_job_is_moved_before_another_or_to_the_end(queue: JobQueue) -> None:
    a, b, c, d = ask(queue, "desk", 4)
    queue.move(d, before=b)
    assert in_line(queue) == [a, d, b, c]
    queue.move(a, before=None)
    assert in_line(queue) == [d, b, c, a]
    queue.move(a, before=d)
    assert in_line(queue) == [a, d, b, c]
    queue.move(a, before=a)
    assert in_line(queue) == [a, d, b, c]


def test_moving_to_the_same_place_again_and_again_never_runs_out_of_room(queue: JobQueue) -> None:
    first, *others = ask(queue, "desk", 40)
    for round_ in range(3):
        for job in others:
            queue.move(job, before=others[(round_ + 1) % len(others)])
            assert in_line(queue)[0] == first
    assert sorted(in_line(queue)) == [first, *others]


def test_before_a_job_of_another_client_comes_as_near_as_turns_allow(queue: JobQueue) -> None:
    desk, phone = ask(queue, "desk", 3), ask(queue, "phone", 3)
    assert in_line(queue) == [desk[0], phone[0], desk[1], phone[1], desk[2], phone[2]]
    queue.move(desk[2], before=phone[0])
    assert in_line(queue) == [desk[0], phone[0], desk[2], phone[1], desk[1], phone[2]]


def test_what_does_not_wait_cannot_be_moved(queue: JobQueue) -> None:
    (job,) = ask(queue, "desk", 1)
    queue.claim()
    with pytest.raises(NotPossibleNow, match="running"):
        queue.move(job, before=None)


def test_a_paused_queue_begins_nothing_and_says_why_until_it_is_resumed(queue: JobQueue, library: Library) -> None:
    jobs = ask(queue, "desk", 2)
    assert queue.state().paused is False
    queue.pause_queue("out_of_memory", "two in a row")
    assert queue.claim() is None
    state = queue.state()
    assert (state.paused, state.code, state.detail) == (True, "out_of_memory", "two in a row")
    queue.pause_queue()
    assert queue.state().code is None
    queue.resume_queue()
    assert run_all(queue, library) == jobs


def test_the_queue_stops_after_the_job_a_person_named(queue: JobQueue, library: Library) -> None:
    first, second, third = ask(queue, "desk", 3)
    queue.claim()
    queue.stop_after(second)
    finish(library, first)
    assert run_all(queue, library) == [second]
    assert (queue.state().paused, queue.state().stop_after) == (True, None)
    queue.resume_queue()
    queue.stop_after(third)
    queue.stop_after(None)
    assert run_all(queue, library) == [third]
    assert queue.state().paused is False
    with pytest.raises(NotPossibleNow):
        queue.stop_after(first)


def test_the_last_job_is_tried_again_before_the_queue_stops(queue: JobQueue) -> None:
    first, _second = ask(queue, "desk", 2)
    queue.claim()
    queue.stop_after(first)
    queue.put_back(first, rung=1)
    again = queue.claim()
    assert again is not None
    assert again.id == first
    queue.fail(first, "out_of_memory", "x")
    assert queue.claim() is None
    assert queue.state().paused


def test_a_paused_job_goes_on_before_all_others_when_a_person_wants_it(queue: JobQueue) -> None:
    desk, phone = ask(queue, "desk", 2), ask(queue, "phone", 1)
    queue.claim()
    queue.pause_job(desk[0], "1.safetensors")
    assert (queue.get(desk[0]).state, queue.get(desk[0]).checkpoint) == ("paused", "1.safetensors")
    job = queue.claim()
    assert job is not None
    assert job.id == phone[0]
    queue.resume_job(desk[0])
    resumed = queue.claim()
    assert resumed is not None
    assert (resumed.id, resumed.checkpoint) == (desk[0], "1.safetensors")
    with pytest.raises(NotPossibleNow, match="running"):
        queue.resume_job(desk[0])


def test_after_a_restart_the_running_job_keeps_its_checkpoint_and_is_the_next(queue: JobQueue) -> None:
    desk, _phone = ask(queue, "desk", 2), ask(queue, "phone", 2)
    queue.claim()
    queue.keep_checkpoint(desk[0], "1.safetensors")
    queue.recover()
    job = queue.claim()
    assert job is not None
    assert (job.id, job.checkpoint) == (desk[0], "1.safetensors")


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_what_failed_or_was_cancelled_can_be_tried_again_at_the_end(ending: str, queue: JobQueue) -> None:
    first, second = ask(queue, "desk", 2)
    queue.claim()
    fault = Fault(kind="out_of_memory", stage="loading", rung=2, at=datetime.now(UTC))
    queue.put_back(first, rung=2, fault=fault, checkpoint="x")
    queue.claim()
    queue.fail(first, "out_of_memory", "x", fault) if ending == "failed" else queue.cancel(first)
    queue.retry(first)
    job = queue.get(first)
    assert (job.state, job.rung, job.faults, job.checkpoint, job.error_code) == ("waiting", 0, (), None, None)
    assert (job.attempts, job.finished_at) == (2, None)
    assert in_line(queue) == [second, first]
    with pytest.raises(NotPossibleNow, match="waiting"):
        queue.retry(first)


def test_a_group_and_all_that_waits_can_be_cancelled(queue: JobQueue) -> None:
    group = [job.id for job in queue.submit_many([request()] * 3, "batch", client="desk")]
    others = ask(queue, "phone", 2)
    queue.claim()
    assert queue.cancel_group("batch") == tuple(group[1:])
    assert queue.get(group[0]).state == "running"
    assert queue.cancel_all_waiting() == tuple(others)
    assert in_line(queue) == [group[0]]


def test_the_failures_that_count_are_the_last_ones_in_a_row_since_the_queue_went_on(
    queue: JobQueue, library: Library
) -> None:
    def fail(code: str) -> int:
        job = queue.submit(request()).id
        queue.claim()
        queue.fail(job, code, "x")
        return job

    assert queue.last_faults() == ()
    fail("does_not_fit")
    done = queue.submit(request()).id
    queue.claim()
    finish(library, done)
    assert queue.last_faults() == ()
    first, second = fail("out_of_memory"), fail("out_of_memory")
    assert [(each.job, each.code) for each in queue.last_faults()] == [
        (second, "out_of_memory"),
        (first, "out_of_memory"),
    ]
    queue.resume_queue()
    assert queue.last_faults() == ()
    third = fail("engine_lost")
    assert [each.job for each in queue.last_faults()] == [third]


# --- orders that are sent twice


def test_an_order_sent_twice_with_its_key_is_one_order(queue: JobQueue) -> None:
    first = queue.submit_many([request(), request(seed=1)], "batch", client="desk", key="k", digest="d")
    assert queue.submit_many([request()], "other", client="desk", key="k", digest="d") == first
    alone = queue.submit_many([request()], None, client="phone", key="k", digest="d")
    assert queue.submit_many([request()], None, client="phone", key="k", digest="d") == alone
    assert len(queue.unfinished()) == 3
    with pytest.raises(InvalidRequest, match="a key of its own for each order"):
        queue.submit_many([request()], None, client="desk", key="k", digest="another")


@pytest.mark.usefixtures("database")
def test_an_order_sent_from_many_threads_at_once_is_one_order(tmp_path: Path) -> None:
    found: list[int] = []

    def send() -> None:
        database = Database(sqlite_url(tmp_path))
        jobs = JobQueue(database).submit_many([request()], None, client="desk", key="k", digest="d")
        found.extend(job.id for job in jobs)
        database.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 8


# --- looking


def test_pages_of_jobs_come_newest_first_and_can_be_of_one_state_or_client(queue: JobQueue) -> None:
    desk, phone = ask(queue, "desk", 3), ask(queue, "phone", 3)
    queue.claim()
    everything = [*phone[::-1], *desk[::-1]]
    assert [job.id for job in queue.page()] == everything
    first = queue.page(limit=4)
    assert [job.id for job in queue.page(cursor=first[-1].id)] == everything[4:]
    assert [job.id for job in queue.page(states=["running"])] == [desk[0]]
    assert [job.id for job in queue.page(client="phone")] == phone[::-1]


def test_changes_tell_of_each_job_once_and_in_order(queue: JobQueue, library: Library) -> None:
    first, second = ask(queue, "desk", 2)
    begin = queue.last_change()
    assert [change.job.id for change in queue.changes()] == [first, second]
    assert queue.changes(after=begin, after_job=second) == ()
    queue.claim()
    queue.cancel(second)
    finish(library, first)
    changes = queue.changes(after=begin, after_job=second)
    assert [(change.job.id, change.job.state) for change in changes] == [(second, "cancelled"), (first, "done")]
    assert changes[-1].number == queue.last_change()


def test_whoever_follows_changes_misses_none_after_jobs_are_gone(queue: JobQueue, library: Library) -> None:
    for _ in range(2):  # the second time, what is remembered of the first is larger than what is there
        jobs = ask(queue, "desk", 3)
        for job in jobs:
            queue.claim()
            finish(library, job)
        begin = queue.last_change()
        assert queue.overview().ids == ()
        for picture in library.page():
            library.delete(picture.id)
            library.purge(picture.id)
        assert queue.last_change() >= begin
        (new,) = ask(queue, "desk", 1)
        assert [change.job.id for change in queue.changes(after=begin, after_job=2**62)] == [new]
        assert queue.overview().ids == (new,)
        queue.cancel(new)


def test_whoever_asks_for_few_jobs_or_for_all_sees_the_same_line(queue: JobQueue) -> None:
    jobs = ask(queue, "desk", 5)
    for limit in (1, 3, 0, None, 2):
        seen = queue.overview(limit)
        assert [job.id for job in seen.jobs] == jobs[:limit]
        assert (seen.ids, seen.waiting) == (tuple(jobs), tuple(jobs))
    queue.claim()
    queue.pause_queue()
    for limit in (2, None, 1):
        seen = queue.overview(limit)
        assert [job.state for job in seen.jobs] == ["running", *["waiting"] * 4][:limit]
        assert (seen.ids, seen.waiting, seen.state.paused) == (tuple(jobs), tuple(jobs[1:]), True)


def test_changes_made_together_are_told_page_by_page_without_a_gap(queue: JobQueue) -> None:
    jobs = [job.id for job in queue.submit_many([request()] * 25, "batch")]
    queue.cancel_all_waiting()
    told: list[int] = []
    number = job = 0
    while page := queue.changes(after=number, after_job=job, limit=4):
        told += [change.job.id for change in page]
        number, job = page[-1].number, page[-1].job.id
    assert told == jobs


# --- several at once


def test_threads_that_claim_cancel_move_and_submit_lose_and_double_nothing(
    queue: JobQueue, tmp_path: Path, library: Library
) -> None:
    ask(queue, "desk", 30)
    claimed: list[int] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        database = Database(sqlite_url(tmp_path))
        own = JobQueue(database)
        for round_ in range(12):
            match (number + round_) % 4:
                case 0:
                    job = own.claim()
                    if job is not None:
                        with lock:
                            claimed.append(job.id)
                        Library(database, tmp_path).add(
                            job=job.id, request=request(), width=64, height=64, pixels=bytes(64 * 64 * 3), facts={}
                        )
                case 1:
                    own.move_to_front([number * 3 + round_ + 1])
                case 2:
                    own.submit(request(), client=f"client {number}")
                case _:
                    own.cancel_waiting(number * 7 % 30 + 1)
        database.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = {job.id: job.state for job in queue.page(limit=200)}
    assert len(states) == 30 + 12
    assert len(claimed) == len(set(claimed)) == 12
    assert {states[job] for job in claimed} == {"done"}
    assert sorted(in_line(queue)) == sorted(job for job, state in states.items() if state == "waiting")
    assert len(library.page()) == 12
