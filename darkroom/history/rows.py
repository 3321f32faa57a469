"""Rows of pictures and of the jobs that made them, many at once. Must not know: files, or why they are asked for."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from darkroom.history.tables import LARGEST_ID, JobRow, PictureRow

AT_ONCE = 5000
"""How many values one query is given: databases have a limit."""


def rows_of(session: Session, ids: Sequence[int], *, for_change: bool = False) -> list[PictureRow]:
    """Newest first."""
    wanted = sorted({id for id in ids if abs(id) <= LARGEST_ID}, reverse=True)
    rows: list[PictureRow] = []
    for start in range(0, len(wanted), AT_ONCE):
        query = select(PictureRow).where(PictureRow.id.in_(wanted[start : start + AT_ONCE]))
        query = query.order_by(PictureRow.id.desc())
        rows += session.scalars(query.with_for_update() if for_change else query)
    return rows


def remove_jobs(session: Session, ids: Sequence[int]) -> None:
    """The key of an order goes on to the next job of it: while one is there, the order is not taken a second time."""
    gone = JobRow.id.in_(ids)
    keyed = session.scalars(
        select(JobRow).where(gone, JobRow.idempotency_key.is_not(None), JobRow.group_id.is_not(None))
    )
    keys = [(row.group_id, row.idempotency_key, row.order_digest) for row in keyed]
    session.execute(delete(JobRow).where(gone))
    for group, key, digest in keys:
        heir = select(func.min(JobRow.id)).where(JobRow.group_id == group).scalar_subquery()
        key_on = update(JobRow).where(JobRow.id == heir)
        session.execute(key_on.values(idempotency_key=key, order_digest=digest, changed=JobRow.changed))
