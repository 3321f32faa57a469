"""The ledger: looking at jobs and at the queue as a whole. Nothing here changes anything.

Must not know: engines, threads, or who asks.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from darkroom.errors import NotFound
from darkroom.history.database import Database
from darkroom.history.tables import LARGEST_ID, JobRow, PictureRow, QueueRow
from darkroom.jobs.experience import Made
from darkroom.jobs.job import Job, State, job_of
from darkroom.jobs.line import ids_in_line
from darkroom.request import GenerationRequest

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
class Overview:
    """The queue at one moment: the running job, those that rest, then `waiting` in the order in which they will run.

    `ids` are all of them, `jobs` the first few. `running` are the numbers of those that are being made.
    """

    jobs: tuple[Job, ...]
    ids: tuple[int, ...]
    running: tuple[int, ...]
    waiting: tuple[int, ...]
    state: QueueState

    def ahead(self) -> Mapping[int, int]:
        """Of each that waits: how many are made before it. Those that rest are not."""
        return {id: len(self.running) + place for place, id in enumerate(self.waiting)}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a job asks for, and on which rung."""

    request: GenerationRequest
    rung: int


@dataclass(frozen=True, kw_only=True)
class Change:
    """A job as it is since the change of this number. Later changes of the same job take its place."""

    number: int
    job: Job


@dataclass(frozen=True, kw_only=True)
class _Line:
    """All unfinished jobs in their order, as they are since the change of this number. `jobs` are the first of them."""

    change: int
    running: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()
    ids: tuple[int, ...] = ()
    jobs: tuple[Job, ...] = ()

    def reaches(self, limit: int | None) -> bool:
        return len(self.jobs) >= len(self.ids[:limit])


class JobLedger:
    """Safe to use from several threads and processes. Every method with an id raises NotFound unless it says more."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._line = _Line(change=-1)
        # After a change everybody asks at once: one thread looks, the others wait for what it sees.
        self._looking = threading.Lock()

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

    def overview(self, limit: int | None = None) -> Overview:
        """All that every page asks several times a second. What did not change since is not looked up again."""
        with self._database.reading() as session:
            change, state = _last_change(session), _state_of(session)
        line = self._line
        if line.change != change or not line.reaches(limit):
            with self._looking, self._database.reading() as session:
                line, state = self._look(session, limit), _state_of(session)
        return Overview(jobs=line.jobs[:limit], ids=line.ids, running=line.running, waiting=line.waiting, state=state)

    def _look(self, session: Session, limit: int | None) -> _Line:
        line, change = self._line, _last_change(session)
        if line.change != change:
            running, resting = _ids_in(session, "running"), _ids_in(session, "paused")
            waiting = tuple(ids_in_line(session))
            line = _Line(change=change, ids=(*running, *resting, *waiting), running=running, waiting=waiting)
        if not line.reaches(limit):
            line = replace(line, jobs=line.jobs + _jobs_of(session, line.ids[len(line.jobs) : limit]))
        self._line = line
        return line

    def unfinished(self, limit: int | None = None) -> tuple[Job, ...]:
        """The running job, those that were paused, then those that wait, in the order in which they will run."""
        return self.overview(limit).jobs

    def unfinished_ids(self) -> list[int]:
        """The same jobs, all of them, by their numbers."""
        return list(self.overview(0).ids)

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
            return _last_change(session)

    def ahead(self, id: int) -> int:
        """How many jobs come before this one, the running one included. 0 unless it waits."""
        return self.overview(0).ahead().get(id, 0)

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

    def orders(self, ids: Sequence[int]) -> dict[int, Order]:
        """Of those that there are."""
        found: dict[int, Order] = {}
        with self._database.reading() as session:
            for start in range(0, len(ids), AT_ONCE):
                part = ids[start : start + AT_ONCE]
                query = select(JobRow.id, JobRow.request, JobRow.rung).where(JobRow.id.in_(part))
                for id, request, rung in session.execute(query):
                    found[id] = Order(request=GenerationRequest.model_validate(request), rung=rung)
        return found

    def made(self, after: int | None = None, limit: int = AT_ONCE) -> tuple[Made, ...]:
        """The pictures that were made after this one, the oldest first. None: the last of all."""
        columns = (PictureRow.id, PictureRow.request, PictureRow.facts, JobRow.started_at, JobRow.finished_at)
        query = select(*columns).join(JobRow, JobRow.id == PictureRow.job_id).limit(limit)
        if after is None:
            query = query.order_by(PictureRow.id.desc())
        else:
            query = query.where(PictureRow.id > after).order_by(PictureRow.id)
        with self._database.reading() as session:
            found = [
                Made(
                    picture=id,
                    request=GenerationRequest.model_validate(request),
                    facts=facts,
                    started_at=started_at,
                    finished_at=finished_at,
                )
                for id, request, facts, started_at, finished_at in session.execute(query)
            ]
        return tuple(sorted(found, key=lambda each: each.picture))

    def state(self) -> QueueState:
        with self._database.reading() as session:
            return _state_of(session)


def _last_change(session: Session) -> int:
    """Of jobs that are gone too."""
    forgotten = session.scalar(select(func.max(QueueRow.forgotten))) or 0
    return max(forgotten, session.scalar(select(func.max(JobRow.changed))) or 0)


def _state_of(session: Session) -> QueueState:
    row = session.get(QueueRow, 1) or QueueRow(id=1, paused=False)
    return QueueState(paused=row.paused, code=row.why_code, detail=row.why_detail, stop_after=row.stop_after)


def _ids_in(session: Session, state: State) -> tuple[int, ...]:
    return tuple(session.scalars(select(JobRow.id).where(JobRow.state == state).order_by(JobRow.id)))


def _jobs_of(session: Session, ids: Sequence[int]) -> tuple[Job, ...]:
    rows: dict[int, JobRow] = {}
    for start in range(0, len(ids), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        rows |= {row.id: row for row in session.scalars(select(JobRow).where(JobRow.id.in_(part)))}
    return tuple(job_of(rows[id]) for id in ids)
