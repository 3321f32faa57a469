"""The queue as a whole and the order of its jobs, by a person's hand or a program's: the same addresses for both.

Must not know: how a job runs, or how its state is kept.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from darkroom.errors import InvalidRequest, Problem, shown
from darkroom.history.checkpoints import Checkpoints
from darkroom.jobs.queue import JobQueue, QueueState
from darkroom.jobs.supervisor import Supervisor
from darkroom.web.routes.asking import RowId
from darkroom.web.routes.named import Named, described, read_as
from darkroom.web.routes.v1_models import JobList, JobView, QueueView, RowNumber, one_view, views_of

MOST_NUMBERS = 20_000

GroupName = Annotated[str, Field(min_length=1, max_length=64)]


class Numbers(Named):
    ids: Annotated[list[RowNumber], Field(min_length=1, max_length=MOST_NUMBERS)]


class Place(Named):
    before: RowNumber | None = Field(default=None, description="Another job; null: to the end")
    by: Annotated[int, Field(ge=-MOST_NUMBERS, le=MOST_NUMBERS)] = Field(
        default=0, description="So many places later in its client's line; less than 0: earlier. In place of before"
    )


class Last(Named):
    job: RowNumber | None = Field(description="The last job to be made; null: as if never said")


def queue_routes(queue: JobQueue, supervisor: Supervisor) -> APIRouter:
    router = APIRouter()

    def seen(state: QueueState) -> QueueView:
        counts, left = queue.counts(), supervisor.all_left(queue.overview(1))
        return QueueView(
            paused=state.paused,
            code=state.code,
            stop_after=state.stop_after,
            waiting=counts.get("waiting", 0),
            running=counts.get("running", 0),
            paused_jobs=counts.get("paused", 0),
            seconds_left=None if left.unknown and not left.seconds else left.seconds,
            unknown=left.unknown,
        )

    @router.get("/queue")
    def queue_state() -> QueueView:
        return seen(queue.state())

    @router.get("/queue/jobs")
    def queue_jobs(limit: Annotated[int, Field(ge=1, le=500)] = 100) -> JobList:
        seen_now = queue.overview(limit)
        return JobList(jobs=views_of(seen_now.jobs, supervisor, seen_now.ahead()), next=None)

    @router.post("/queue/pause")
    def pause_queue() -> QueueView:
        queue.pause_queue()
        return seen(queue.state())

    @router.post("/queue/resume")
    def resume_queue() -> QueueView:
        queue.resume_queue()
        supervisor.wake()
        return seen(queue.state())

    @router.post("/queue/stop-after", openapi_extra=described(Last))
    def stop_after(wish: Annotated[Last, Depends(read_as(Last))]) -> QueueView:
        queue.stop_after(wish.job)
        return seen(queue.state())

    @router.post("/queue/front", openapi_extra=described(Numbers))
    def move_to_front(numbers: Annotated[Numbers, Depends(read_as(Numbers))]) -> QueueView:
        queue.move_to_front(numbers.ids)
        return seen(queue.state())

    @router.post("/engine/release")
    def release_engine() -> dict[Literal["released"], bool]:
        """The engine leaves once it has no job in work; the next job starts another."""
        supervisor.release()
        return {"released": True}

    return router


def many_routes(queue: JobQueue, supervisor: Supervisor, checkpoints: Checkpoints) -> APIRouter:
    """What can be done with all jobs of a kind. What is cancelled does not go on from where it was."""
    router = APIRouter()

    @router.post("/queue/cancel")
    def cancel_waiting() -> dict[Literal["cancelled"], list[int]]:
        cancelled = list(queue.cancel_all_waiting())
        for job in cancelled:
            checkpoints.remove(job)
        return {"cancelled": cancelled}

    @router.post("/queue/restore", openapi_extra=described(Numbers))
    def restore_cancelled(
        numbers: Annotated[Numbers, Depends(read_as(Numbers))],
    ) -> dict[Literal["restored"], list[int]]:
        """Each waits again where it was in its client's line, and begins anew. What is not cancelled is passed over."""
        restored = list(queue.restore(numbers.ids))
        supervisor.wake()
        return {"restored": restored}

    @router.post("/queue/dismiss")
    def dismiss_failed() -> dict[Literal["dismissed"], list[int]]:
        return {"dismissed": list(queue.dismiss_failed())}

    @router.post("/queue/retry")
    def retry_failed() -> dict[Literal["retried"], list[int]]:
        retried = list(queue.retry_failed())
        supervisor.wake()
        return {"retried": retried}

    @router.post("/groups/{group}/cancel")
    def cancel_group(group: GroupName) -> dict[Literal["cancelled"], list[int]]:
        cancelled = queue.cancel_group(group)
        for job in cancelled:
            checkpoints.remove(job)
        stopped = [job.id for job in queue.of_group(group) if job.state == "running"]
        for job in stopped:
            supervisor.stop(job)
        return {"cancelled": [*stopped, *cancelled]}

    return router


def change_routes(queue: JobQueue, supervisor: Supervisor) -> APIRouter:
    """What can be done with one job."""
    router = APIRouter()

    @router.post("/jobs/{job}/move", openapi_extra=described(Place))
    def move_job(job: RowId, wish: Annotated[Place, Depends(read_as(Place))]) -> JobView:
        if len(wish.model_fields_set) != 1:
            value = shown(wish.model_dump(exclude_unset=True))
            raise InvalidRequest(Problem(field="body", value=value, allowed="either before or by"))
        if "by" in wish.model_fields_set:
            queue.move_by(job, wish.by)
        else:
            queue.move(job, wish.before)
        return one_view(job, supervisor)

    @router.post("/jobs/{job}/cancel")
    def cancel_job(job: RowId) -> JobView:
        supervisor.stop(job)
        return one_view(job, supervisor)

    @router.post("/jobs/{job}/retry")
    def retry_job(job: RowId) -> JobView:
        queue.retry(job)
        supervisor.wake()
        return one_view(job, supervisor)

    @router.post("/jobs/{job}/dismiss")
    def dismiss_job(job: RowId) -> JobView:
        """It counts as cancelled then, and still says why it had failed."""
        queue.dismiss(job)
        return one_view(job, supervisor)

    @router.post("/jobs/{job}/pause")
    def pause_job(job: RowId) -> JobView:
        """The one that is being made. It goes on later from where it was."""
        supervisor.pause(job)
        return one_view(job, supervisor)

    @router.post("/jobs/{job}/finish")
    def finish_job(job: RowId) -> JobView:
        """The picture is what the steps so far have made."""
        supervisor.finish(job)
        return one_view(job, supervisor)

    @router.post("/jobs/{job}/resume")
    def resume_job(job: RowId) -> JobView:
        queue.resume_job(job)
        supervisor.wake()
        return one_view(job, supervisor)

    return router
