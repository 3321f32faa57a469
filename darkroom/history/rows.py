"""Rows of pictures and of the jobs that made them, many at once. Must not know: files, or why they are asked for."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert, or_, select, tuple_, update
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
    kept = (JobRow.client, JobRow.group_id, JobRow.idempotency_key, JobRow.order_digest)
    keyed = session.execute(select(*kept).where(gone, JobRow.idempotency_key.is_not(None))).all()
    session.execute(delete(JobRow).where(gone))
    orders = [row.group_id for row in keyed if row.group_id is not None]
    first_left = select(JobRow.group_id, func.min(JobRow.id)).where(JobRow.group_id.in_(orders))
    heirs = {found[0]: found[1] for found in session.execute(first_left.group_by(JobRow.group_id))}
    spent = []
    for client, group, key, digest in keyed:
        if group in heirs:
            key_on = update(JobRow).where(JobRow.id == heirs[group])
            session.execute(key_on.values(idempotency_key=key, order_digest=digest, changed=JobRow.changed))
        else:
            spent.append({"client": client, "key": key, "spent_at": now})
    names = [(row["client"], row["key"]) for row in spent]
    old = SpentKeyRow.spent_at <= now - KEY_KEPT
    session.execute(delete(SpentKeyRow).where(or_(old, tuple_(SpentKeyRow.client, SpentKeyRow.key).in_(names))))
    if spent:
        session.execute(insert(SpentKeyRow), spent)


def is_spent(session: Session, client: str, key: str) -> bool:
    """Whether this was the key of an order of which no job is left."""
    row = session.get(SpentKeyRow, (client, key))
    return row is not None and row.spent_at > datetime.now(UTC) - KEY_KEPT
