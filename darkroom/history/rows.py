"""Rows of pictures and of the jobs that made them, many at once. Must not know: files, or why they are asked for."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, false, func, select, update
from sqlalchemy.orm import Session

from darkroom.history.tables import LARGEST_ID, JobRow, PictureRow, SpentKeyRow

AT_ONCE = 5000
"""How many values one query is given: databases have a limit."""

KEY_KEPT = timedelta(days=1)
"""For so long nobody sends an order again in good faith."""


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
    """The key of an order goes on to the next job of it: while one is there, the order is not taken a second time.

    Nor is it for a while after that. Of what was ordered nothing is kept.
    """
    now = datetime.now(UTC)
    gone = JobRow.id.in_(ids)
    keyed = session.scalars(select(JobRow).where(gone, JobRow.idempotency_key.is_not(None)))
    keys = [(row.client, row.group_id, row.idempotency_key, row.order_digest) for row in keyed]
    session.execute(delete(JobRow).where(gone))
    session.execute(delete(SpentKeyRow).where(SpentKeyRow.spent_at <= now - KEY_KEPT))
    for client, group, key, digest in keys:
        same_order = JobRow.group_id == group if group is not None else false()
        heir = session.scalar(select(func.min(JobRow.id)).where(same_order))
        if heir is None:
            session.merge(SpentKeyRow(client=client, key=key, spent_at=now))
            continue
        key_on = update(JobRow).where(JobRow.id == heir)
        session.execute(key_on.values(idempotency_key=key, order_digest=digest, changed=JobRow.changed))


def is_spent(session: Session, client: str, key: str) -> bool:
    """Whether this was the key of an order of which no job is left."""
    row = session.get(SpentKeyRow, (client, key))
    return row is not None and row.spent_at > datetime.now(UTC) - KEY_KEPT
