"""What becomes of a job after a fault: each kind, at each stage, on engines that have it as their script says."""

import json
import logging

import pytest

from darkroom.errors import NotPossibleNow
from darkroom.history.library import Library
from darkroom.jobs.healing import MOST_KILLS
from darkroom.jobs.messages import FailureKind
from darkroom.jobs.queue import JobQueue
from darkroom.rungs import LAST_RUNG
from tests.history.examples import request
from tests.jobs.conftest import StartSupervisor
from tests.jobs.scripted_engine import Script, ScriptedEngines, Stage
from tests.jobs.waiting import eventually

STAGES: tuple[Stage, ...] = ("loading", "encoding", "denoising", "decoding")


def is_in(queue: JobQueue, job: int, state: str) -> bool:
    return queue.get(job).state == state


FAILURES: tuple[tuple[FailureKind, Stage, int], ...] = (
    *(("out_of_memory", stage, 1) for stage in STAGES if stage != "decoding"),  # a smaller resident set
    ("out_of_memory", "decoding", 2),  # tiles
    *(("out_of_ram", stage, 4) for stage in STAGES),  # from the disk
    *(("card_fault", stage, 3) for stage in STAGES),  # uncompiled
    *(("engine_fault", stage, 1) for stage in STAGES),
)


@pytest.mark.parametrize(("failure", "stage", "rung"), FAILURES)
def test_a_job_that_failed_is_made_on_the_rung_that_may_help_and_the_queue_goes_on(
    failure: FailureKind, stage: Stage, rung: int, queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(Script(fails_in=stage, failure=failure, once=True))
    job = queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: is_in(queue, job, "done"))
    later = queue.submit(request()).id
    supervisor.wake()
    eventually(lambda: is_in(queue, later, "done"))
    (fault,) = queue.get(job).faults
    assert (fault.kind, fault.stage, fault.rung) == (failure, stage, 0)
    (picture,) = [picture for picture in library.page() if picture.job == job]
    assert picture.request.seed == request().seed
    assert picture.facts["rung"] == rung
    # After these, an engine is not to be trusted.
    assert len(engines.made) == (2 if failure in ("card_fault", "engine_fault") else 1)
    assert queue.get(later).rung == 0
    assert not queue.state().paused


@pytest.mark.parametrize("stage", ["starting", *STAGES])
def test_a_dead_engine_costs_a_rung(stage: Stage, queue: JobQueue, supervise: StartSupervisor) -> None:
    engines = ScriptedEngines(Script(dies_in=stage, cause="signal 11"))
    job = queue.submit(request()).id
    supervise(engines)
    eventually(lambda: is_in(queue, job, "done"))
    assert [(fault.kind, fault.stage, fault.detail) for fault in queue.get(job).faults] == [
        ("engine_lost", stage, "signal 11")
    ]
    assert [engine.rungs for engine in engines.made] == [[0], [1]]


@pytest.mark.parametrize("stage", ["starting", *STAGES])
def test_an_engine_that_hangs_is_ended_and_the_job_made_uncompiled(
    stage: Stage, queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(Script(hangs_in=stage))
    job = queue.submit(request()).id
    supervise(engines, silence=0.2, loading=0.2, first_step=0.2)
    eventually(lambda: is_in(queue, job, "done"))
    (fault,) = queue.get(job).faults
    assert (fault.kind, fault.stage) == ("engine_hung", stage)
    assert json.loads(fault.detail)["doing"] == stage
    assert engines.made[0].killed
    assert [engine.rungs for engine in engines.made] == [[0], [3]]


def test_steps_that_take_long_are_no_hang(queue: JobQueue, supervise: StartSupervisor) -> None:
    script = Script(waits_at=3)
    job = queue.submit(request()).id
    supervisor = supervise(ScriptedEngines(script), silence=0.05, steps=1e9)
    eventually(lambda: supervisor.status(job).step == 2)
    script.go_on.wait(0.3)
    script.go_on.set()
    eventually(lambda: is_in(queue, job, "done"))
    assert queue.get(job).faults == ()


def test_a_fault_that_follows_a_job_twice_fails_it_with_its_reason_and_the_queue_goes_on(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(Script(dies_in="denoising"), Script(dies_in="denoising"))
    first, second = queue.submit(request()).id, queue.submit(request()).id
    supervise(engines)
    eventually(lambda: not queue.unfinished())
    job = queue.get(first)
    assert (job.state, job.error_code, len(job.faults)) == ("failed", "engine_lost", 2)
    assert is_in(queue, second, "done")
    assert not queue.state().paused


def test_different_faults_lead_down_the_rungs_and_end_at_the_last(queue: JobQueue, supervise: StartSupervisor) -> None:
    scripts = [Script(dies_in=stage, cause="signal 11") for stage in ("starting", *STAGES)]
    engines = ScriptedEngines(*scripts)
    job = queue.submit(request()).id
    supervise(engines)
    eventually(lambda: is_in(queue, job, "done"))
    assert [engine.rungs for engine in engines.made] == [[0], [1], [2], [3], [LAST_RUNG], [LAST_RUNG]]
    assert [fault.rung for fault in queue.get(job).faults] == [0, 1, 2, 3, LAST_RUNG]


def test_an_engine_that_is_ended_from_outside_costs_its_job_nothing_however_often(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    killed = [Script(dies_at=4, cause=cause, checkpoints=True) for cause in ("signal 9", "signal 15", "signal 9")]
    engines = ScriptedEngines(*killed)
    job = queue.submit(request()).id
    supervise(engines)
    eventually(lambda: is_in(queue, job, "done"))
    assert {(fault.kind, fault.stage) for fault in queue.get(job).faults} == {("engine_killed", "denoising")}
    assert [engine.rungs for engine in engines.made] == [[0]] * 4
    assert [getattr(engine.commands[0], "checkpoint", None) for engine in engines.made] == [None, b"3", b"3", b"3"]


def test_where_engines_are_ended_again_and_again_the_queue_pauses_and_no_job_fails(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(*[Script(dies_in="loading", cause="signal 9")] * MOST_KILLS)
    jobs = [queue.submit(request(seed=seed)).id for seed in range(2)]
    supervisor = supervise(engines)
    eventually(lambda: queue.state().paused)
    assert (queue.state().code, queue.state().detail) == ("engine_killed", "signal 9")
    assert [queue.get(job).state for job in jobs] == ["waiting", "waiting"]
    assert [engine.runs for engine in engines.made] == [[jobs[0]]] * MOST_KILLS
    queue.resume_queue()
    supervisor.wake()
    eventually(lambda: not queue.unfinished())
    assert [queue.get(job).state for job in jobs] == ["done", "done"]


def test_two_jobs_that_fail_the_same_way_pause_the_queue_which_a_person_opens(
    queue: JobQueue, supervise: StartSupervisor, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [Script(dies_in="decoding", cause="signal 11")] * 4
    engines = ScriptedEngines(*bad)
    jobs = [queue.submit(request(seed=seed)).id for seed in range(5)]
    with caplog.at_level(logging.WARNING):
        supervisor = supervise(engines)
        eventually(lambda: queue.state().paused)
    assert (queue.state().code, queue.state().detail) == ("engine_lost", "signal 11")
    assert "the queue pauses" in caplog.text
    assert [queue.get(job).state for job in jobs] == ["failed", "failed", "waiting", "waiting", "waiting"]
    queue.resume_queue()
    supervisor.wake()
    eventually(lambda: not queue.unfinished())
    assert [queue.get(job).state for job in jobs] == ["failed", "failed", "done", "done", "done"]
    assert not queue.state().paused


def test_a_good_job_between_two_bad_ones_keeps_the_queue_open(queue: JobQueue, supervise: StartSupervisor) -> None:
    bad, good = Script(dies_in="decoding"), Script()
    engines = ScriptedEngines(bad, bad, good)
    jobs = [queue.submit(request()).id for _ in range(2)]
    supervise(engines)
    eventually(lambda: not queue.unfinished())
    assert [queue.get(job).state for job in jobs] == ["failed", "done"]
    third = queue.submit(request()).id
    queue.claim()
    queue.fail(third, "engine_lost", "signal 9")
    assert len(queue.last_faults()) == 1
    assert not queue.state().paused


def test_a_job_paused_in_the_middle_goes_on_from_its_checkpoint(
    queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    script = Script(waits_at=3)
    engines = ScriptedEngines(script)
    job = queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: supervisor.status(job).step == 2)
    supervisor.pause(job)
    eventually(lambda: is_in(queue, job, "paused"))
    assert (library.checkpoints.of(job), queue.get(job).checkpoint) == (b"2", f"{job:06d}.checkpoint")
    assert supervisor.status(job).activity == "paused"
    with pytest.raises(NotPossibleNow):
        supervisor.pause(job)
    script.go_on.set()
    queue.resume_job(job)
    supervisor.wake()
    eventually(lambda: is_in(queue, job, "done"))
    (first, _pause, second) = engines.made[0].commands
    assert [getattr(run, "checkpoint", None) for run in (first, second)] == [None, b"2"]
    eventually(lambda: library.checkpoints.of(job) is None)


@pytest.mark.parametrize("deaf", [False, True])
def test_a_job_paused_while_it_loads_rests_and_begins_anew(
    deaf: bool, queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(Script(waits_in_loading=True, deaf=deaf))
    job = queue.submit(request()).id
    supervisor = supervise(engines, stop=0.05)
    eventually(lambda: supervisor.status(job).activity == "loading")
    supervisor.pause(job)
    eventually(lambda: is_in(queue, job, "paused"))
    assert engines.made[0].killed
    queue.resume_job(job)
    supervisor.wake()
    eventually(lambda: is_in(queue, job, "done"))


def test_a_paused_job_can_be_cancelled_and_its_checkpoint_goes(
    queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    job = queue.submit(request()).id
    supervisor = supervise(ScriptedEngines(Script(waits_at=3)))
    eventually(lambda: supervisor.status(job).step == 2)
    supervisor.pause(job)
    eventually(lambda: is_in(queue, job, "paused"))
    supervisor.stop(job)
    assert is_in(queue, job, "cancelled")
    assert library.checkpoints.of(job) is None


def test_a_job_whose_engine_died_goes_on_from_its_last_checkpoint(
    queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(Script(dies_at=4, checkpoints=True))
    job = queue.submit(request()).id
    supervise(engines)
    eventually(lambda: is_in(queue, job, "done"))
    assert [getattr(engine.commands[0], "checkpoint", None) for engine in engines.made] == [None, b"3"]
    # The row is written first: should the server end in between, the next one sweeps.
    eventually(lambda: library.checkpoints.of(job) is None)


def test_a_job_of_an_earlier_server_goes_on_and_what_nobody_needs_is_swept(
    queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    job, gone = queue.submit(request()).id, queue.submit(request()).id
    queue.claim()
    queue.cancel(gone)
    for each in (job, gone):
        name = library.checkpoints.keep(each, b"1")
        if each == job:
            queue.keep_checkpoint(job, name)
    engines = ScriptedEngines()
    supervise(engines)
    eventually(lambda: is_in(queue, job, "done"))
    assert getattr(engines.made[0].commands[0], "checkpoint", None) == b"1"
    assert library.checkpoints.of(gone) is None


def test_finishing_now_makes_a_picture_of_what_there_is(
    queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    script = Script(waits_at=3)
    engines = ScriptedEngines(script)
    job = queue.submit(request()).id
    supervisor = supervise(engines)
    with pytest.raises(NotPossibleNow):
        supervisor.finish(queue.submit(request()).id)
    eventually(lambda: supervisor.status(job).step == 2)
    supervisor.finish(job)
    eventually(lambda: len(engines.made[0].commands) == 2)
    script.go_on.set()
    eventually(lambda: is_in(queue, job, "done"))
    (picture,) = [picture for picture in library.page() if picture.job == job]
    assert picture.facts["steps_run"] == 3


def test_memory_is_given_back_at_once_and_the_next_job_starts_another_engine(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    script = Script(waits_at=2)
    engines = ScriptedEngines(script)
    first = queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: supervisor.status(first).step == 1)
    supervisor.release()
    assert not engines.made[0].closed
    script.go_on.set()
    eventually(lambda: engines.made[0].closed)
    assert is_in(queue, first, "done")
    assert supervisor.engine_device() is None
    second = queue.submit(request()).id
    supervisor.wake()
    eventually(lambda: is_in(queue, second, "done"))
    assert len(engines.made) == 2


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["starting", *STAGES])
def test_an_engine_that_does_not_heed_a_stop_is_ended_whatever_it_is_busy_with(
    stage: Stage, queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(Script(hangs_in=stage))
    job, later = queue.submit(request()).id, queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: engines.made and supervisor.status(job).activity == stage)
    supervisor.stop(job)
    eventually(lambda: is_in(queue, job, "cancelled"))
    assert engines.made[0].killed
    eventually(lambda: is_in(queue, later, "done"))
