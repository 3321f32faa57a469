"""The queue: every accepted request as a row, in one state at a time. Each change is one transaction.

Must not know: engines, threads, or files.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import case, func, select

from darkroom.errors import NotFound
from darkroom.history.database import Database
from darkroom.history.tables import LARGEST_ID, JobRow, State
from darkroom.request import GenerationRequest

__all__ = ["Job", "JobQueue", "State"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One accepted request and how far it came. Times are in UTC. Jobs submitted together have the same `group`.

    `error_code` says why it failed or, while it is waiting or running, why an earlier attempt did.
    """

    id: int
    request: GenerationRequest
    state: State
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    error_code: str | None
    error_detail: str | None
    picture: int | None
    group: str | None


class JobQueue:
    """Safe to use from several threads and processes.

    Done is the library's word (`Library.add`). A change that a job's state does not allow raises IllegalTransition.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, request: GenerationRequest) -> Job:
        """When this returns, the job cannot be lost."""
        return self._submit([request], None)[0]

    def submit_many(self, requests: Sequence[GenerationRequest], group: str) -> tuple[Job, ...]:
        """Several pictures asked for at once, in their order: all of them are jobs, or none is."""
        return self._submit(requests, group)

    def of_group(self, group: str) -> tuple[Job, ...]:
        """The jobs that were submitted together, in their order."""
        with self._database.reading() as session:
            query = select(JobRow).where(JobRow.group_id == group).order_by(JobRow.id)
            return tuple(_job(row) for row in session.scalars(query))

    def get(self, id: int) -> Job:
        """Raises NotFound."""
        with self._database.reading() as session:
            row = session.get(JobRow, id) if abs(id) <= LARGEST_ID else None
            if row is None:
                raise NotFound("job", id)
            return _job(row)

    def latest(self) -> Job | None:
        """The job that was submitted last."""
        with self._database.reading() as session:
            row = session.scalar(select(JobRow).order_by(JobRow.id.desc()).limit(1))
            return None if row is None else _job(row)

    def unfinished(self) -> tuple[Job, ...]:
        """The running job, then those that wait, in order."""
        running_first = case((JobRow.state == "running", 0), else_=1)
        query = select(JobRow).where(JobRow.state.in_(("running", "waiting"))).order_by(running_first, JobRow.id)
        with self._database.reading() as session:
            return tuple(_job(row) for row in session.scalars(query))

    def ahead(self, id: int) -> int:
        """How many jobs come before this one, the running one included. 0 unless it waits."""
        with self._database.reading() as session:
            count = select(func.count()).select_from(JobRow)
            if session.scalar(select(JobRow.state).where(JobRow.id == id)) != "waiting":
                return 0
            running = session.scalar(count.where(JobRow.state == "running")) or 0
            waiting = session.scalar(count.where(JobRow.state == "waiting", JobRow.id < id)) or 0
            return running + waiting

    def claim(self) -> Job | None:
        """The oldest waiting job, now running; None when none waits."""
        oldest = select(JobRow).where(JobRow.state == "waiting").order_by(JobRow.id).limit(1)
        with self._database.writing() as session:
            row = session.scalar(oldest.with_for_update(of=JobRow, skip_locked=True))
            if row is None:
                return None
            row.become("running")
            row.attempts += 1
            row.started_at = _now()
            return _job(row)

    def requeue(self, id: int, code: str | None = None, detail: str | None = None) -> None:
        """Back to waiting, where it is first again. With a code: because the attempt failed, and this is why."""
        with self._changing(id) as row:
            row.become("waiting")
            row.started_at = None
            if code is not None:
                row.error_code, row.error_detail = code, detail

    def fail(self, id: int, code: str, detail: str) -> None:
        with self._changing(id) as row:
            row.become("failed")
            row.finished_at = _now()
            row.error_code, row.error_detail = code, detail

    def cancel(self, id: int) -> None:
        with self._changing(id) as row:
            _cancel(row)

    def cancel_waiting(self, id: int) -> bool:
        """Cancel it if it waits; whether it did. So a job claimed in the same moment is not cancelled unseen."""
        with self._changing(id) as row:
            if row.state != "waiting":
                return False
            _cancel(row)
            return True

    def recover(self) -> None:
        """At start, before any engine runs: what was running when the server ended waits again.

        A job that has its picture is done, whatever else its row says.
        """
        with self._database.writing(durable=True) as session:
            for row in session.scalars(select(JobRow).where(JobRow.state == "running")):
                if row.picture is None:
                    row.become("waiting")
                    row.started_at = None
                else:
                    row.become("done")
                    row.finished_at = row.picture.created_at
                    row.error_code = row.error_detail = None

    def _submit(self, requests: Sequence[GenerationRequest], group: str | None) -> tuple[Job, ...]:
        now = _now()
        rows = [
            JobRow(state="waiting", request=request.model_dump(mode="json"), created_at=now, group_id=group)
            for request in requests
        ]
        with self._database.writing(durable=True) as session:
            session.add_all(rows)
            session.flush()
            return tuple(_job(row) for row in rows)

    @contextmanager
    def _changing(self, id: int) -> Iterator[JobRow]:
        with self._database.writing(durable=True) as session:
            row = session.get(JobRow, id, with_for_update={"of": JobRow}) if abs(id) <= LARGEST_ID else None
            if row is None:
                raise NotFound("job", id)
            yield row


def _cancel(row: JobRow) -> None:
    row.become("cancelled")
    row.finished_at = _now()
    row.error_code = row.error_detail = None


def _now() -> datetime:
    return datetime.now(UTC)


def _job(row: JobRow) -> Job:
    return Job(
        id=row.id,
        request=GenerationRequest.model_validate(row.request),
        state=row.state,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        attempts=row.attempts,
        error_code=row.error_code,
        error_detail=row.error_detail,
        picture=None if row.picture is None else row.picture.id,
        group=row.group_id,
    )
