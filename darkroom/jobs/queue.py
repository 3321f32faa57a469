"""The queue: every accepted request as a row, in one state at a time. Each change is one transaction.

Must not know: engines, threads, or files.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from darkroom.errors import NotFound, NotPossibleNow
from darkroom.history.tables import LARGEST_ID, IllegalTransition, JobRow, QueueRow
from darkroom.jobs.job import Fault, Job, State, job_of
from darkroom.jobs.ledger import AT_ONCE, Change, Failure, JobLedger, QueueState
from darkroom.jobs.line import (
    WAITING,
    give_turn_back,
    ids_in_line,
    next_in_line,
    place_before,
    place_by,
    place_first,
    place_last,
    take_turn,
)
from darkroom.jobs.repeats import ordered_before
from darkroom.request import GenerationRequest

__all__ = ["Change", "Failure", "Fault", "Job", "JobQueue", "QueueState", "State"]


class JobQueue(JobLedger):
    """Safe to use from several threads and processes.

    Done is the library's word (`Library.add`). A change by the supervisor that a job's state does not allow raises
    IllegalTransition; one by a person raises NotPossibleNow. Every method with an id raises NotFound.
    """

    # --- asking

    def submit(self, request: GenerationRequest, *, client: str = "") -> Job:
        """When this returns, the job cannot be lost."""
        return self._submit([request], None, client)[0]

    def submit_many(
        self,
        requests: Sequence[GenerationRequest],
        group: str | None,
        *,
        client: str = "",
        key: str | None = None,
        digest: str | None = None,
    ) -> tuple[Job, ...]:
        """Several pictures asked for at once, in their order: all of them are jobs, or none is.

        With a `key` that this client used before, the jobs of that time; `digest` says whether the same was ordered.
        Raises InvalidRequest when it was not, OrderGone when none of those jobs is left.
        """
        return self._submit(requests, group, client, key, digest)

    # --- running, for the supervisor

    def claim(self, among: Collection[int] | None = None) -> Job | None:
        """The next waiting job (of these), now running; None when none waits, or none may begin."""
        with self._database.writing() as session:
            state = session.get(QueueRow, 1)
            if state is not None and state.paused:
                return None
            if state is not None and state.stop_after is not None and not _may_still_end(session, state.stop_after):
                state.paused, state.why_code, state.stop_after = True, None, None
                return None
            row = session.scalar(next_in_line(among).with_for_update(of=JobRow, skip_locked=True))
            if row is None:
                return None
            row.become("running")
            row.attempts += 1
            row.started_at = _now()
            take_turn(session, row.client)
            return job_of(row)

    def put_back(
        self,
        id: int,
        *,
        rung: int | None = None,
        fault: Fault | None = None,
        checkpoint: str | None = None,
    ) -> None:
        """A running job waits again, where it is the next. With a fault: because the attempt failed, and this is why.

        No rung: it stays on its own.
        """
        with self._changing(id) as (session, row):
            _must_be(row, "running", wanted="waiting")
            _wait_again(session, row)
            row.rung = row.rung if rung is None else rung
            row.checkpoint = checkpoint
            if fault is not None:
                row.faults = [*row.faults, fault.as_json()]
                row.error_code, row.error_detail = fault.kind, fault.detail

    def fail(self, id: int, code: str, detail: str, fault: Fault | None = None) -> None:
        with self._changing(id) as (_, row):
            row.become("failed")
            row.finished_at = _now()
            row.error_code, row.error_detail = code, detail
            row.checkpoint = None
            if fault is not None:
                row.faults = [*row.faults, fault.as_json()]

    def pause_job(self, id: int, checkpoint: str | None) -> None:
        """A running job rests until a person wants it to go on."""
        with self._changing(id) as (_, row):
            row.become("paused")
            row.checkpoint = checkpoint

    def keep_checkpoint(self, id: int, checkpoint: str | None) -> None:
        """From here a running job can go on, whatever happens."""
        with self._changing(id) as (_, row):
            _must_be(row, "running", wanted="running")
            row.checkpoint = checkpoint

    def recover(self) -> None:
        """At start, before any engine runs: what was running when the server ended waits again, with its checkpoint.

        A job that has its picture is done, whatever else its row says.
        """
        with self._database.writing(durable=True) as session:
            for row in session.scalars(select(JobRow).where(JobRow.state == "running").order_by(JobRow.id.desc())):
                if row.picture is None:
                    _wait_again(session, row)
                else:
                    row.become("done")
                    row.finished_at = row.picture.created_at
                    row.error_code = row.error_detail = row.checkpoint = None

    # --- one job, for a person or the supervisor

    def cancel(self, id: int) -> None:
        with self._changing(id) as (_, row):
            if row.state == "failed":
                raise IllegalTransition(row.id, row.state, "cancelled")
            _cancel(row)

    def cancel_waiting(self, id: int) -> bool:
        """Cancel it if no engine works on it; whether it did. So one claimed in this moment is not cancelled unseen."""
        with self._changing(id) as (_, row):
            if row.state not in ("waiting", "paused"):
                return False
            _cancel(row)
            return True

    def cancel_group(self, group: str) -> tuple[int, ...]:
        """Those of the jobs submitted together that wait or rest; which ones, in the order of the line.

        A running one is the supervisor's to stop.
        """
        return self._cancel_all(JobRow.group_id == group, JobRow.state.in_(("paused", "waiting")))

    def cancel_all_waiting(self) -> tuple[int, ...]:
        """Which ones, in the order in which they would have run. What a person has laid aside stays there."""
        return self._cancel_all(WAITING)

    def restore(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Cancelled jobs wait again, each where it was in its client's line, and begin anew on the first rung.

        Which ones, in that order. What is not cancelled is passed over.
        """
        wanted = sorted({id for id in ids if abs(id) <= LARGEST_ID})
        restored: set[int] = set()
        with self._database.writing(durable=True) as session:
            for start in range(0, len(wanted), AT_ONCE):
                here = JobRow.id.in_(wanted[start : start + AT_ONCE])
                query = select(JobRow).where(JobRow.state == "cancelled", here).with_for_update(of=JobRow)
                for row in session.scalars(query).all():
                    _begin_anew(row)
                    restored.add(row.id)
            session.flush()
            return tuple(id for id in ids_in_line(session) if id in restored)

    def retry(self, id: int) -> None:
        """A failed or cancelled job waits again, at the end of its client's line, and begins anew on the first rung.

        It is the same job: it keeps its number, its seed and the count of its attempts, and still ends once.
        """
        with self._changing(id) as (session, row):
            if row.state not in ("failed", "cancelled"):
                raise NotPossibleNow(id, row.state)
            place_last(session, [row], row.client)
            _begin_anew(row)

    def retry_failed(self) -> tuple[int, ...]:
        """Every failed job, the oldest first; which ones."""
        with self._changing_failed() as (session, rows):
            for row in rows:
                place_last(session, [row], row.client)
                _begin_anew(row)
            return tuple(row.id for row in rows)

    def dismiss(self, id: int) -> None:
        """A failed job is given up: it counts as cancelled, and still says why it had failed."""
        with self._changing(id) as (_, row):
            if row.state != "failed":
                raise NotPossibleNow(id, row.state)
            row.become("cancelled")

    def dismiss_failed(self) -> tuple[int, ...]:
        """Every failed job; which ones."""
        with self._changing_failed() as (_, rows):
            for row in rows:
                row.become("cancelled")
            return tuple(row.id for row in rows)

    def resume_job(self, id: int) -> None:
        """A paused job is the next."""
        with self._changing(id) as (session, row):
            if row.state != "paused":
                raise NotPossibleNow(id, row.state)
            _wait_again(session, row)

    # --- the line, for a person

    def move_to_front(self, ids: Sequence[int]) -> None:
        """Each to the front of its client's line, the first of them first. What does not wait is passed over."""
        wanted = [id for id in ids if abs(id) <= LARGEST_ID]
        with self._database.writing(durable=True) as session:
            for id in reversed(wanted):
                row = session.get(JobRow, id)
                if row is not None and row.state == "waiting":
                    place_first(session, row)
                    session.flush()

    def move(self, id: int, before: int | None) -> None:
        """Before that job, or to the end. Of another client's job it is a wish: clients take turns all the same."""
        with self._moving(id) as (session, row):
            if before is None:
                place_last(session, [row], row.client)
            elif before != id:
                place_before(session, row, _row_of(session, before))

    def move_by(self, id: int, by: int) -> None:
        """So many places later in its client's line, or earlier where `by` is less than 0, as far as the line goes."""
        with self._moving(id) as (session, row):
            place_by(session, row, by)

    # --- the whole queue

    def pause_queue(self, code: str | None = None, detail: str | None = None) -> None:
        """No job begins until the queue is resumed. The running one goes on. Without a code: a person wished it."""
        with self._changing_queue() as row:
            row.paused, row.why_code, row.why_detail, row.stop_after = True, code, detail, None

    def resume_queue(self) -> None:
        """The wish to stop after a job still holds, unless that job has ended meanwhile."""
        with self._database.writing(durable=True) as session:
            row = _queue_row(session)
            row.paused, row.why_code, row.why_detail = False, None, None
            row.resumed_at = _now()
            if row.stop_after is not None and not _may_still_end(session, row.stop_after):
                row.stop_after = None

    def stop_after(self, id: int | None) -> None:
        """The queue pauses when this job has ended, however it ends. None takes the wish back."""
        if id is not None and self.get(id).state not in ("waiting", "running"):
            raise NotPossibleNow(id, self.get(id).state)
        with self._changing_queue() as row:
            row.stop_after = id

    # --- inside

    def _submit(
        self,
        requests: Sequence[GenerationRequest],
        group: str | None,
        client: str,
        key: str | None = None,
        digest: str | None = None,
    ) -> tuple[Job, ...]:
        now = _now()
        rows = [
            JobRow(
                state="waiting",
                request=request.model_dump(mode="json"),
                created_at=now,
                group_id=group,
                client=client,
                idempotency_key=key if place == 0 else None,
                order_digest=digest if place == 0 and key is not None else None,
            )
            for place, request in enumerate(requests)
        ]
        with self._database.writing(durable=True) as session:
            if key is not None and (known := ordered_before(session, client, key, digest)):
                return known
            place_last(session, rows, client)
            session.add_all(rows)
            session.flush()
            return tuple(job_of(row) for row in rows)

    def _cancel_all(self, *which: ColumnElement[bool]) -> tuple[int, ...]:
        query = select(JobRow).where(*which).order_by(JobRow.id)
        with self._database.writing(durable=True) as session:
            line = ids_in_line(session)
            rows = session.scalars(query.with_for_update(of=JobRow)).all()
            for row in rows:
                _cancel(row)
            cancelled = {row.id for row in rows}
            in_line = [id for id in line if id in cancelled]
            return (*sorted(cancelled.difference(in_line)), *in_line)

    @contextmanager
    def _changing(self, id: int) -> Iterator[tuple[Session, JobRow]]:
        with self._database.writing(durable=True) as session:
            yield session, _row_of(session, id)

    @contextmanager
    def _moving(self, id: int) -> Iterator[tuple[Session, JobRow]]:
        with self._changing(id) as (session, row):
            if row.state != "waiting":
                raise NotPossibleNow(id, row.state)
            yield session, row

    @contextmanager
    def _changing_failed(self) -> Iterator[tuple[Session, Sequence[JobRow]]]:
        query = select(JobRow).where(JobRow.state == "failed").order_by(JobRow.id)
        with self._database.writing(durable=True) as session:
            yield session, session.scalars(query.with_for_update(of=JobRow)).all()

    @contextmanager
    def _changing_queue(self) -> Iterator[QueueRow]:
        with self._database.writing(durable=True) as session:
            yield _queue_row(session)


def _row_of(session: Session, id: int) -> JobRow:
    """To be changed. Raises NotFound."""
    row = session.get(JobRow, id, with_for_update={"of": JobRow}) if abs(id) <= LARGEST_ID else None
    if row is None:
        raise NotFound("job", id)
    return row


def _queue_row(session: Session) -> QueueRow:
    row = session.get(QueueRow, 1)
    if row is None:
        row = QueueRow(id=1, paused=False)
        session.add(row)
    return row


def _may_still_end(session: Session, id: int) -> bool:
    row = session.get(JobRow, id)
    return row is not None and row.state in ("waiting", "running")


def _must_be(row: JobRow, state: State, *, wanted: State) -> None:
    if row.state != state:
        raise IllegalTransition(row.id, row.state, wanted)


def _wait_again(session: Session, row: JobRow) -> None:
    """Where it is the next."""
    place_first(session, row)
    row.become("waiting")
    row.started_at = None
    give_turn_back(session, row.client)


def _begin_anew(row: JobRow) -> None:
    """On the first rung."""
    row.become("waiting")
    row.started_at = row.finished_at = row.error_code = row.error_detail = row.checkpoint = None
    row.rung, row.faults = 0, []


def _cancel(row: JobRow) -> None:
    row.become("cancelled")
    row.finished_at = _now()
    row.error_code = row.error_detail = row.checkpoint = None


def _now() -> datetime:
    return datetime.now(UTC)
