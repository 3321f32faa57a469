"""What the page is told of a running job, event by event."""

from darkroom.jobs.messages import Entered, Loading, Memory, Ready, Step
from darkroom.jobs.progress import JOBS_REMEMBERED, Progress, ProgressBoard

STARTING = Progress(activity="starting")


def step(number: int, preview: bytes = b"jpeg") -> Step:
    return Step(job=1, number=number, of=5, preview_jpeg=preview)


def test_each_event_shows_what_the_engine_does() -> None:
    ready = STARTING.after(Ready(device="cpu", torch_version="2.11.0"), 0)
    assert (ready.activity, ready.part, ready.fraction) == ("loading", None, None)
    loading = ready.after(Loading(job=1, part="vae", fraction=0.25), 1)
    assert (loading.activity, loading.part, loading.fraction) == ("loading", "vae", 0.25)
    encoding = loading.after(Entered(job=1, stage="encoding"), 2)
    assert (encoding.activity, encoding.part, encoding.fraction) == ("encoding", None, None)
    assert encoding.after(Memory(resident=1, card=1), 3) == encoding


def test_time_left_comes_from_the_pace_of_this_jobs_own_steps() -> None:
    first = STARTING.after(step(1), 100.0)
    assert (first.activity, first.step, first.seconds_left) == ("denoising", 1, None)
    second = first.after(step(2), 102.0)
    assert second.seconds_left == 2.0 * 3
    fourth = second.after(step(3), 103.0).after(step(4), 109.0)
    assert fourth.seconds_left == 3.0 * 1
    decoding = fourth.after(step(5), 112.0).after(Entered(job=1, stage="decoding"), 112.0)
    assert (decoding.step, decoding.seconds_left) == (5, None)


def test_a_step_without_a_preview_keeps_the_last_one() -> None:
    after = STARTING.after(step(1, b"one"), 0).after(step(2, b""), 1)
    assert (after.preview, after.preview_number) == (b"one", 1)


def test_a_second_attempt_starts_over_but_counts_previews_on() -> None:
    board = ProgressBoard()
    board.begin(1, "starting")
    board.put(1, STARTING.after(step(1, b"old"), 0).after(step(2, b"older"), 1))
    board.begin(1, "loading")
    progress = board.get(1)
    assert progress == Progress(activity="loading", preview=b"older", preview_number=2)
    assert progress is not None
    again = progress.after(step(1, b"new"), 50)
    assert (again.preview, again.preview_number, again.seconds_left) == (b"new", 3, None)


def test_only_the_last_few_jobs_are_remembered() -> None:
    board = ProgressBoard()
    for job in range(10):
        board.begin(job, "starting")
    remembered = [job for job in range(10) if board.get(job) is not None]
    assert remembered == list(range(10 - JOBS_REMEMBERED, 10))
