"""Jobs on engines that behave: the plain way, stopping, resting and closing."""

import pytest
from PIL import Image

from darkroom.errors import NotFound
from darkroom.history.database import Database
from darkroom.history.library import Library
from darkroom.jobs.messages import Run
from darkroom.jobs.queue import Job, JobQueue
from darkroom.jobs.supervisor import Supervisor
from tests.history.examples import request
from tests.jobs.conftest import StartSupervisor
from tests.jobs.scripted_engine import Script, ScriptedEngines, grey, preview_of
from tests.jobs.waiting import eventually


def is_in(queue: JobQueue, job: int, state: str) -> bool:
    return queue.get(job).state == state


def test_a_submitted_job_becomes_a_picture(queue: JobQueue, library: Library, supervise: StartSupervisor) -> None:
    engines = ScriptedEngines()
    supervisor = supervise(engines)
    assert engines.made == []
    assert supervisor.engine_device() is None
    asked = request(steps=3)
    job = queue.submit(asked).id
    supervisor.wake()
    eventually(lambda: is_in(queue, job, "done"))

    (picture,) = library.page()
    assert (picture.id, picture.request, picture.facts["steps_run"]) == (queue.get(job).picture, asked, 3)
    with Image.open(library.picture_path(picture.id)) as image:
        assert image.tobytes() == grey(asked)
    (run,) = engines.made[0].commands
    assert isinstance(run, Run)
    assert (run.job, run.request, run.model.name) == (job, asked, "demo")
    assert supervisor.engine_device() == "cpu"
    status = supervisor.status(job)
    assert (status.activity, status.step, status.of, status.ahead, status.notice) == ("done", 3, 3, 0, None)
    assert (status.preview_number, supervisor.preview(job)) == (3, preview_of(job, 3))


def test_jobs_run_one_after_the_other_in_order_on_one_engine(queue: JobQueue, supervise: StartSupervisor) -> None:
    engines = ScriptedEngines()
    jobs = [queue.submit(request(seed=seed)).id for seed in range(4)]
    supervise(engines)
    eventually(lambda: not queue.unfinished())
    assert [engine.runs for engine in engines.made] == [jobs]
    assert all(is_in(queue, job, "done") for job in jobs)


def test_the_page_sees_each_stage(queue: JobQueue, supervise: StartSupervisor) -> None:
    loading, second_step = Script(waits_in_loading=True), Script(waits_at=3)
    first, second = queue.submit(request()).id, queue.submit(request()).id
    supervisor = supervise(ScriptedEngines(loading, second_step), stop=0)
    eventually(lambda: supervisor.status(first).fraction is not None)
    status = supervisor.status(first)
    assert (status.activity, status.part, status.fraction, status.step, status.of) == (
        "loading",
        "transformer",
        0.5,
        0,
        4,
    )
    assert (status.preview_number, supervisor.preview(first)) == (0, None)
    waiting = supervisor.status(second)
    assert (waiting.activity, waiting.ahead, waiting.step, waiting.of) == ("waiting", 1, 0, 4)

    supervisor.stop(first)
    eventually(lambda: supervisor.status(second).step == 2)
    status = supervisor.status(second)
    assert (status.activity, status.part, status.fraction, status.ahead) == ("denoising", None, None, 0)
    assert (status.preview_number, supervisor.preview(second)) == (2, preview_of(second, 2))
    assert status.left is not None
    assert status.left.seconds >= 0
    second_step.go_on.set()
    eventually(lambda: is_in(queue, second, "done"))
    assert supervisor.status(second).left is None


def test_a_job_of_an_earlier_server_can_be_looked_at(queue: JobQueue, supervise: StartSupervisor) -> None:
    job = queue.submit(request()).id
    queue.claim()
    queue.fail(job, "out_of_memory", "x")
    supervisor = supervise(ScriptedEngines())
    status = supervisor.status(job)
    assert (status.activity, status.step, status.of, status.preview_number) == ("failed", 0, 4, 0)
    assert supervisor.preview(job) is None
    with pytest.raises(NotFound):
        supervisor.status(99)
    with pytest.raises(NotFound):
        supervisor.stop(99)


def test_what_was_running_when_the_server_ended_is_taken_up(queue: JobQueue, supervise: StartSupervisor) -> None:
    job = queue.submit(request()).id
    queue.claim()
    supervise(ScriptedEngines())
    eventually(lambda: is_in(queue, job, "done"))
    assert queue.get(job).attempts == 2


def test_stopping_a_waiting_job_cancels_it_at_once(queue: JobQueue, supervise: StartSupervisor) -> None:
    script = Script(waits_at=1)
    engines = ScriptedEngines(script)
    running, waiting = queue.submit(request()).id, queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: is_in(queue, running, "running"))
    supervisor.stop(waiting)
    assert supervisor.status(waiting).activity == "cancelled"
    script.go_on.set()
    eventually(lambda: is_in(queue, running, "done"))
    assert engines.made[0].runs == [running]


def test_stopping_the_running_job_keeps_the_engine_for_the_next(queue: JobQueue, supervise: StartSupervisor) -> None:
    engines = ScriptedEngines(Script(waits_at=2))
    first, second = queue.submit(request()).id, queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: supervisor.status(first).step == 1)
    supervisor.stop(first)
    eventually(lambda: is_in(queue, first, "cancelled"))
    assert engines.made[0].stops == [first]
    assert supervisor.status(first).step == 1
    engines.made[0].script.go_on.set()
    eventually(lambda: is_in(queue, second, "done"))
    assert [engine.runs for engine in engines.made] == [[first, second]]


def test_an_engine_that_does_not_stop_is_ended_and_the_next_job_runs(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines(Script(waits_in_loading=True))
    first, second = queue.submit(request()).id, queue.submit(request()).id
    supervisor = supervise(engines, stop=0.05)
    eventually(lambda: supervisor.status(first).activity == "loading")
    supervisor.stop(first)
    eventually(lambda: is_in(queue, second, "done"))
    assert is_in(queue, first, "cancelled")
    assert (engines.made[0].closed, engines.made[0].stops) == (True, [first])
    assert [engine.runs for engine in engines.made] == [[first], [second]]


def test_a_job_stopped_before_its_engine_started_starts_none(
    database: Database, queue: JobQueue, library: Library
) -> None:
    class HastyPerson(JobQueue):
        def claim(self) -> Job | None:
            job = super().claim()
            if job is not None:
                supervisor.stop(job.id)
            return job

    engines = ScriptedEngines()
    supervisor = Supervisor(HastyPerson(database), library, engines, 0)
    job = queue.submit(request()).id
    supervisor.start()
    eventually(lambda: is_in(queue, job, "cancelled"))
    supervisor.close()
    assert engines.made == []


def test_stopping_a_job_that_ended_changes_nothing(queue: JobQueue, supervise: StartSupervisor) -> None:
    job = queue.submit(request()).id
    supervisor = supervise(ScriptedEngines())
    eventually(lambda: is_in(queue, job, "done"))
    supervisor.stop(job)
    assert is_in(queue, job, "done")


def test_a_picture_that_is_finished_before_the_stop_arrives_is_kept(
    queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    script = Script(waits_at=2, deaf=True)
    engines = ScriptedEngines(script)
    job = queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: supervisor.status(job).step == 1)
    supervisor.stop(job)
    eventually(lambda: engines.made[0].stops == [job])
    script.go_on.set()
    eventually(lambda: is_in(queue, job, "done"))
    assert len(library.page()) == 1


def test_an_idle_engine_is_ended_and_work_starts_another(queue: JobQueue, supervise: StartSupervisor) -> None:
    engines = ScriptedEngines()
    supervisor = supervise(engines, idle_seconds=0.05)
    for number in (1, 2):
        queue.submit(request())
        supervisor.wake()
        eventually(lambda: len(engines.made) == number and engines.made[-1].closed)  # noqa: B023
        assert supervisor.engine_device() is None
    assert queue.unfinished() == ()


@pytest.mark.parametrize("idle_seconds", [0, 60])
def test_an_engine_is_kept_until_it_was_idle_for_long_enough(
    idle_seconds: float, queue: JobQueue, supervise: StartSupervisor
) -> None:
    engines = ScriptedEngines()
    supervisor = supervise(engines, idle_seconds=idle_seconds)
    for _ in range(2):
        job = queue.submit(request()).id
        supervisor.wake()
        eventually(lambda: is_in(queue, job, "done"))  # noqa: B023
    assert len(engines.made) == 1
    assert not engines.made[0].closed


def test_closing_puts_the_running_job_back_and_ends_the_engine(queue: JobQueue, supervise: StartSupervisor) -> None:
    engines = ScriptedEngines(Script(waits_at=2))
    running, waiting = queue.submit(request()).id, queue.submit(request()).id
    supervisor = supervise(engines)
    eventually(lambda: supervisor.status(running).step == 1)
    supervisor.close()
    assert [(job.id, job.state, job.error_code) for job in queue.unfinished()] == [
        (running, "waiting", None),
        (waiting, "waiting", None),
    ]
    assert (engines.made[0].pauses, engines.made[0].stops) == ([running], [])
    assert engines.made[0].closed
    supervisor.close()

    supervise(ScriptedEngines())
    eventually(lambda: not queue.unfinished())
    assert is_in(queue, running, "done")


def test_closing_does_not_wait_for_an_engine_that_does_not_stop(queue: JobQueue, supervise: StartSupervisor) -> None:
    engines = ScriptedEngines(Script(waits_in_loading=True))
    job = queue.submit(request()).id
    supervisor = supervise(engines, stop=1000, close=0.01)
    eventually(lambda: supervisor.status(job).activity == "loading")
    supervisor.close()
    assert is_in(queue, job, "waiting")
    assert engines.made[0].closed


def test_a_job_a_person_stopped_is_cancelled_although_the_server_closes(
    queue: JobQueue, supervise: StartSupervisor
) -> None:
    job = queue.submit(request()).id
    supervisor = supervise(ScriptedEngines(Script(waits_in_loading=True)), stop=1000, close=0.01)
    eventually(lambda: supervisor.status(job).activity == "loading")
    supervisor.stop(job)
    supervisor.close()
    assert is_in(queue, job, "cancelled")


def test_closing_an_idle_or_unstarted_supervisor_returns(
    queue: JobQueue, library: Library, supervise: StartSupervisor
) -> None:
    for _ in range(50):
        supervise(ScriptedEngines()).close()
    Supervisor(queue, library, ScriptedEngines(), 0).close()
