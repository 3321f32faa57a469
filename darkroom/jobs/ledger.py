"""The ledger: looking at jobs and at the queue as a whole. Nothing here changes anything.

Must not know: engines, threads, or who asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, select, tuple_
from sqlalchemy.orm import Session

from darkroom.errors import NotFound
from darkroom.history.database import Database
from darkroom.history.tables import LARGEST_ID, JobRow, QueueRow
from darkroom.jobs.job import Job, State, job_of
from darkroom.jobs.line import ids_in_line

UNFINISHED: tuple[State, ...] = ("running", "paused", "waiting")
AT_ONCE = 500
"""How many values one query is given: databases have a limit."""


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """Whether jobs are begun, and if not, why: `code` is None where a person wished it so.

    `stop_after` is the job after which the queue pauses.
    """

    paused: bool
    code: str | None
    detail: str | None
    stop_after: int | None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A job that ended as failed, and its error code."""

    job: int
    code: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """A job as it is since the change of this number. Later changes of the same job take its place."""

    number: int
    job: Job


class JobLedger:
    """Safe to use from several threads and processes. Every method with an id raises NotFound unless it says more."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_group(self, group: str) -> tuple[Job, ...]:
        """The jobs that were submitted together, in their order."""
        with self._database.reading() as session:
            query = select(JobRow).where(JobRow.group_id == group).order_by(JobRow.id)
            return tuple(job_of(row) for row in session.scalars(query))

    def get(self, id: int) -> Job:
        with self._database.reading() as session:
            row = session.get(JobRow, id) if abs(id) <= LARGEST_ID else None
            if row is None:
                raise NotFound("job", id)
            return job_of(row)

    def latest(self) -> Job | None:
        """The job that was submitted last."""
        with self._database.reading() as session:
            row = session.scalar(select(JobRow).order_by(JobRow.id.desc()).limit(1))
            return None if row is None else job_of(row)

    def unfinished(self, limit: int | None = None) -> tuple[Job, ...]:
        """The running job, those that were paused, then those that wait, in the order in which they will run."""
        with self._database.reading() as session:
            wanted = _unfinished_ids(session)[:limit]
            rows: dict[int, JobRow] = {}
            for start in range(0, len(wanted), AT_ONCE):
                part = wanted[start : start + AT_ONCE]
                rows |= {row.id: row for row in session.scalars(select(JobRow).where(JobRow.id.in_(part)))}
            return tuple(job_of(rows[id]) for id in wanted)

    def unfinished_ids(self) -> list[int]:
        """The same jobs, all of them, by their numbers."""
        with self._database.reading() as session:
            return _unfinished_ids(session)

    def counts(self) -> Mapping[State, int]:
        """How many unfinished jobs are in each state. States without any are left out."""
        query = select(JobRow.state, func.count()).where(JobRow.state.in_(UNFINISHED)).group_by(JobRow.state)
        with self._database.reading() as session:
            return dict(session.execute(query).all())

    def page(
        self,
        *,
        cursor: int | None = None,
        limit: int = 50,
        states: Sequence[State] = (),
        client: str | None = None,
        group: str | None = None,
    ) -> tuple[Job, ...]:
        """Newest first, or those that follow job `cursor`, which itself may be gone. No states means all."""
        query = select(JobRow).order_by(JobRow.id.desc()).limit(limit)
        query = query if cursor is None else query.where(JobRow.id < min(cursor, LARGEST_ID))
        query = query.where(JobRow.state.in_(states)) if states else query
        query = query if client is None else query.where(JobRow.client == client)
        query = query if group is None else query.where(JobRow.group_id == group)
        with self._database.reading() as session:
            return tuple(job_of(row) for row in session.scalars(query))

    def changes(self, *, after: int = 0, after_job: int = 0, limit: int = 100) -> tuple[Change, ...]:
        """What changed since, each job once, the latest change last. Jobs changed together share a number."""
        place = tuple_(JobRow.changed, JobRow.id)
        query = select(JobRow).where(place > tuple_(after, after_job)).order_by(JobRow.changed, JobRow.id).limit(limit)
        with self._database.reading() as session:
            return tuple(Change(number=row.changed, job=job_of(row)) for row in session.scalars(query))

    def last_change(self) -> int:
        with self._database.reading() as session:
            return session.scalar(select(func.max(JobRow.changed))) or 0

    def ahead(self, id: int) -> int:
        """How many jobs come before this one, the running one included. 0 unless it waits."""
        with self._database.reading() as session:
            line = ids_in_line(session)
            if id not in line:
                return 0
            running = select(func.count()).select_from(JobRow).where(JobRow.state == "running")
            return (session.scalar(running) or 0) + line.index(id)

    def last_faults(self, limit: int = 2) -> tuple[Failure, ...]:
        """The jobs that failed last, newest first: without one that was done between them, since the queue went on."""
        query = select(JobRow).where(JobRow.state.in_(("done", "failed"))).order_by(JobRow.finished_at.desc())
        with self._database.reading() as session:
            state = session.get(QueueRow, 1)
            since = state.resumed_at if state is not None else None
            found: list[Failure] = []
            for row in session.scalars(query.limit(limit)):
                too_old = since is not None and row.finished_at is not None and row.finished_at <= since
                if row.state == "done" or too_old:
                    break
                found.append(Failure(job=row.id, code=row.error_code or ""))
            return tuple(found)

    def state(self) -> QueueState:
        with self._database.reading() as session:
            row = session.get(QueueRow, 1) or QueueRow(id=1, paused=False)
            return QueueState(paused=row.paused, code=row.why_code, detail=row.why_detail, stop_after=row.stop_after)


def _unfinished_ids(session: Session) -> list[int]:
    running_first = case((JobRow.state == "running", 0), else_=1)
    begun = select(JobRow.id).where(JobRow.state.in_(("running", "paused"))).order_by(running_first, JobRow.id)
    return [*session.scalars(begun), *ids_in_line(session)]
