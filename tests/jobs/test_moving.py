"""Places in the line: earlier, later, taken out and brought back, while jobs begin; and where it stops."""

import pytest

from darkroom.errors import NotFound
from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from tests.jobs.test_line import ask, in_line, run_all


def waiting(queue: JobQueue) -> list[int]:
    return list(queue.overview(0).waiting)


def test_a_job_goes_so_many_places_earlier_or_later_as_far_as_its_line_goes(queue: JobQueue) -> None:
    a, b, c, d = ask(queue, "desk", 4)
    for by, expected in (
        (1, [b, a, c, d]),
        (2, [b, c, d, a]),
        (1, [b, c, d, a]),
        (-1, [b, c, a, d]),
        (-9, [a, b, c, d]),
    ):
        queue.move_by(a, by)
        assert in_line(queue) == expected
    queue.move_by(a, -1)
    queue.move_by(a, 0)
    assert in_line(queue) == [a, b, c, d]


def test_places_count_in_a_clients_own_line(queue: JobQueue) -> None:
    desk, phone = ask(queue, "desk", 3), ask(queue, "phone", 3)
    queue.move_by(desk[2], -1)
    assert [job for job in in_line(queue) if job in desk] == [desk[0], desk[2], desk[1]]
    assert [job for job in in_line(queue) if job in phone] == phone


def test_before_a_job_that_has_begun_or_ended_is_first_and_not_last(queue: JobQueue) -> None:
    first, second, third, fourth = ask(queue, "desk", 4)
    queue.claim()
    queue.move(third, before=first)
    assert waiting(queue) == [third, second, fourth]
    queue.cancel(first)
    queue.move(fourth, before=first)
    assert waiting(queue) == [fourth, third, second]


def test_before_a_cancelled_job_is_where_that_one_stood(queue: JobQueue) -> None:
    first, second, third, fourth = ask(queue, "desk", 4)
    queue.cancel(second)
    queue.move(fourth, before=second)
    assert waiting(queue) == [first, fourth, third]


def test_before_a_job_that_there_is_not_is_nowhere(queue: JobQueue) -> None:
    first, second = ask(queue, "desk", 2)
    for nobody in (99, 2**80):
        with pytest.raises(NotFound):
            queue.move(first, before=nobody)
    assert waiting(queue) == [first, second]


def test_what_was_cancelled_comes_back_to_its_place_though_the_one_behind_it_has_begun(queue: JobQueue) -> None:
    first, second, third = ask(queue, "desk", 3)
    queue.cancel(first)
    queue.claim()
    assert queue.restore([first]) == (first,)
    assert (in_line(queue), waiting(queue)) == ([second, first, third], [first, third])


def test_all_that_was_cancelled_comes_back_in_its_order_before_what_was_asked_for_since(queue: JobQueue) -> None:
    desk, phone = ask(queue, "desk", 4), ask(queue, "phone", 2)
    queue.move_to_front([desk[2]])
    order = waiting(queue)
    assert queue.cancel_all_waiting() == tuple(order)
    (new,) = ask(queue, "desk", 1)
    assert queue.restore([*desk, *phone, 99]) == tuple(order)
    assert waiting(queue) == [*order, new]
    assert queue.restore(order) == ()


def test_what_comes_back_begins_anew(queue: JobQueue) -> None:
    (job,) = ask(queue, "desk", 1)
    queue.claim()
    queue.put_back(job, rung=2, checkpoint="000001.checkpoint")
    queue.cancel_all_waiting()
    queue.restore([job])
    restored = queue.get(job)
    assert (restored.state, restored.rung, restored.checkpoint, restored.finished_at) == ("waiting", 0, None, None)


def test_an_order_that_was_cancelled_comes_back_between_the_others(queue: JobQueue) -> None:
    (before,) = ask(queue, "desk", 1)
    jobs = [job.id for job in queue.submit_many([queue.get(before).request] * 3, "order", client="desk")]
    (after,) = ask(queue, "desk", 1)
    queue.move(jobs[2], before=jobs[0])
    order = waiting(queue)
    assert queue.cancel_group("order") == (jobs[2], jobs[0], jobs[1])
    queue.restore(jobs)
    assert waiting(queue) == order == [before, jobs[2], jobs[0], jobs[1], after]


def test_what_a_person_has_laid_aside_is_none_of_those_that_wait(queue: JobQueue) -> None:
    first, second, third = ask(queue, "desk", 3)
    queue.claim()
    queue.pause_job(first, "000001.checkpoint")
    assert queue.cancel_all_waiting() == (second, third)
    assert (queue.get(first).state, queue.get(first).checkpoint) == ("paused", "000001.checkpoint")


def test_moving_many_times_into_one_gap_tells_of_nobody_else_and_keeps_the_places_of_the_cancelled(
    queue: JobQueue,
) -> None:
    first, second, third, away, *others = ask(queue, "desk", 24)
    queue.cancel(away)
    for job in others:
        begin = queue.last_change()
        queue.move(job, before=second)
        assert [change.job.id for change in queue.changes(after=begin, after_job=2**62)] == [job]
    assert waiting(queue) == [first, *others, second, third]
    queue.restore([away])
    assert waiting(queue) == [first, *others, second, third, away]


def test_the_wish_to_stop_after_a_job_holds_when_a_paused_queue_goes_on(queue: JobQueue, library: Library) -> None:
    first, second, _third = ask(queue, "desk", 3)
    queue.pause_queue()
    queue.stop_after(second)
    queue.resume_queue()
    assert queue.state().stop_after == second
    assert run_all(queue, library) == [first, second]
    assert queue.state().paused


def test_a_job_that_was_cancelled_while_the_queue_was_paused_does_not_stop_it_again(
    queue: JobQueue, library: Library
) -> None:
    first, second, third = ask(queue, "desk", 3)
    queue.pause_queue()
    queue.stop_after(second)
    queue.cancel(second)
    queue.resume_queue()
    assert run_all(queue, library) == [first, third]
    assert queue.state().paused is False
