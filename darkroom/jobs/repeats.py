"""An order that is sent again with its key: the jobs of that time. Must not know: how an order becomes jobs."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from darkroom.errors import InvalidRequest, OrderGone, Problem, shown
from darkroom.history.rows import is_spent
from darkroom.history.tables import JobRow
from darkroom.jobs.job import Job, job_of


def ordered_before(session: Session, client: str, key: str, digest: str | None) -> tuple[Job, ...]:
    """None at all where the key is new. Raises InvalidRequest where it stands for another order, OrderGone."""
    first = session.scalar(select(JobRow).where(JobRow.client == client, JobRow.idempotency_key == key))
    if first is None:
        if is_spent(session, client, key):
            raise OrderGone(key)
        return ()
    if first.order_digest != digest:
        raise InvalidRequest(
            Problem(field="Idempotency-Key", value=shown(key), allowed="a key of its own for each order")
        )
    if first.group_id is None:
        return (job_of(first),)
    query = select(JobRow).where(JobRow.group_id == first.group_id).order_by(JobRow.id)
    return tuple(job_of(row) for row in session.scalars(query))
