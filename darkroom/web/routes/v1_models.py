"""What programs are told by /api/v1: stable names, checked on the way out, and described by OpenAPI.

A name here is never changed or removed, only added. Must not know: routes.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from darkroom.history.library import Picture
from darkroom.jobs.progress import Activity
from darkroom.jobs.queue import Job, State
from darkroom.jobs.supervisor import JobStatus, Supervisor
from darkroom.web.views import resting

RowNumber = Annotated[int, Field(ge=1, le=2**63 - 1)]


class ProgressView(BaseModel):
    activity: Activity
    step: int
    of: int
    fraction: float | None = Field(description="Of the activity, 0 to 1, where it is known")
    seconds_left: float | None = Field(description="Of a running job, as far as anybody can know")
    seconds_per_step: float | None = Field(description="Of its own steps")
    expected_seconds: float | None = Field(
        description="Of a job that waits: what it will take on an engine that is ready. null: its model is new here"
    )
    counted: int = Field(description="How many pictures of its kind the two figures come from; 5 are as good as more")
    ahead: int = Field(description="How many jobs come before this one")
    preview_number: int = Field(description="Grows with each new preview; 0: there is none")


class ErrorView(BaseModel):
    code: str
    detail: str


class FaultView(BaseModel):
    kind: str
    stage: str
    rung: int
    at: datetime


class JobView(BaseModel):
    id: int
    state: State
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    client: str
    group: str | None
    request: dict[str, Any] = Field(description="The picture's values. Sent again, they make the same picture")
    progress: ProgressView
    error: ErrorView | None = Field(description="Why it failed, or why it is tried again")
    rung: int = Field(description="By how many steps its memory plan is cheaper than the first one")
    faults: list[FaultView]
    picture: int | None = Field(description="The number of its picture, once it is done")


class JobList(BaseModel):
    jobs: list[JobView]
    next: int | None = Field(description="The cursor of the following page; null: there is none")


class OrderView(BaseModel):
    jobs: list[JobView] = Field(description="One for each picture")
    group: str | None = Field(description="Of an order of several pictures")


class QueueView(BaseModel):
    paused: bool
    code: str | None = Field(description="Why it is paused; null: a person wished it so")
    stop_after: int | None
    waiting: int
    running: int
    paused_jobs: int
    seconds_left: float | None = Field(description="Until all that wait are made; null: nothing of their kind was")
    unknown: int = Field(description="How many of those that wait are not in it: their model is new here")


class EventList(BaseModel):
    events: list[JobView] = Field(description="Jobs as they are since their latest change, the oldest change first")
    after: str = Field(description="What to ask for the next time")


class PictureView(BaseModel):
    id: int
    job: int
    created_at: datetime
    width: int
    height: int
    starred: bool
    in_trash: bool
    request: dict[str, Any]
    facts: dict[str, Any] = Field(description="What it took: seconds, memory, device and more")
    file: str = Field(description="The address of the PNG")
    thumbnail: str


class PictureList(BaseModel):
    pictures: list[PictureView]
    next: int | None


class ProblemView(BaseModel):
    field: str
    value: str = Field(description="As it was sent, shortened")
    allowed: str = Field(description="What is allowed, in English")
    words: str = Field(description="A sentence for people, in the language asked for")


class Refusal(BaseModel):
    error: str = Field(description="A code for programs")
    words: str = Field(description="A sentence for people, in the language asked for")
    problems: list[ProblemView] = Field(default=[], description="Each value that is not allowed; only of 422")


def view_of(status: JobStatus) -> JobView:
    job, left = status.job, status.left
    return JobView(
        id=job.id,
        state=job.state,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        attempts=job.attempts,
        client=job.client,
        group=job.group,
        request=job.request.model_dump(mode="json"),
        progress=ProgressView(
            activity=status.activity,
            step=status.step,
            of=status.of,
            fraction=status.fraction,
            seconds_left=left.seconds if left and job.state == "running" else None,
            seconds_per_step=status.pace,
            expected_seconds=left.seconds if left and job.state == "waiting" else None,
            counted=left.lessons if left else 0,
            ahead=status.ahead,
            preview_number=status.preview_number,
        ),
        error=None if job.error_code is None else ErrorView(code=job.error_code, detail=job.error_detail or ""),
        rung=job.rung,
        faults=[FaultView(kind=each.kind, stage=each.stage, rung=each.rung, at=each.at) for each in job.faults],
        picture=job.picture,
    )


def views_of(jobs: Iterable[Job], supervisor: Supervisor, ahead: Mapping[int, int]) -> list[JobView]:
    """`ahead`: of each job that waits, how many come before it. Only one that is being made is looked at closely."""
    return [
        view_of(supervisor.status(job.id) if job.state == "running" else _resting(job, supervisor, ahead))
        for job in jobs
    ]


def _resting(job: Job, supervisor: Supervisor, ahead: Mapping[int, int]) -> JobStatus:
    if job.state != "waiting":
        return resting(job)
    return resting(job, ahead.get(job.id, 0), supervisor.whole(job))


def one_view(job: int, supervisor: Supervisor) -> JobView:
    """Raises NotFound."""
    return view_of(supervisor.status(job))


def picture_view_of(picture: Picture) -> PictureView:
    return PictureView(
        id=picture.id,
        job=picture.job,
        created_at=picture.created_at,
        width=picture.width,
        height=picture.height,
        starred=picture.starred,
        in_trash=picture.deleted_at is not None,
        request=picture.request.model_dump(mode="json"),
        facts=dict(picture.facts),
        file=f"/api/v1/pictures/{picture.id}/file",
        thumbnail=f"/thumbs/{picture.id}",
    )
