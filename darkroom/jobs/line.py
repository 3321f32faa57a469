"""The order in which waiting jobs are run: clients take turns, and within one client positions count.

Every function works inside the caller's transaction. Must not know: what a job is for, or who runs it.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from darkroom.history.tables import JobRow, TurnRow

GAP = 1024
"""Between two neighbours, so that one can be put between them without touching others."""

_TAKEN = func.coalesce(TurnRow.taken, 0)
WAITING = JobRow.state == "waiting"


def next_in_line(among: Collection[int] | None = None) -> Select[JobRow]:
    """The job whose turn it is: the first of the client who had its last turn longest ago. `among`: only of these."""
    query = select(JobRow).outerjoin(TurnRow, TurnRow.client == JobRow.client).where(WAITING)
    query = query if among is None else query.where(JobRow.id.in_(among))
    return query.order_by(_TAKEN, JobRow.client, JobRow.position, JobRow.id).limit(1)


def ids_in_line(session: Session) -> list[int]:
    """Every waiting job in the order in which they will run, if nothing changes."""
    round_ = func.row_number().over(partition_by=JobRow.client, order_by=(JobRow.position, JobRow.id))
    query = select(JobRow.id).outerjoin(TurnRow, TurnRow.client == JobRow.client).where(WAITING)
    return list(session.scalars(query.order_by(round_, _TAKEN, JobRow.client)))


def take_turn(session: Session, client: str) -> None:
    """The client's job is run now, so all others come before its next."""
    _set_turn(session, client, (session.scalar(select(func.max(TurnRow.taken))) or 0) + 1)


def give_turn_back(session: Session, client: str) -> None:
    """Its job was not made, so the client is the next again."""
    _set_turn(session, client, min(session.scalar(select(func.min(TurnRow.taken))) or 0, 0) - 1)


def place_last(session: Session, rows: Sequence[JobRow], client: str) -> None:
    """Rows of one client, in their order, behind all of its that wait."""
    last = session.scalar(select(func.max(JobRow.position)).where(*_line_of(client))) or 0
    for place, row in enumerate(rows, start=1):
        row.position = last + place * GAP


def place_first(session: Session, row: JobRow) -> None:
    first = session.scalar(select(func.min(JobRow.position)).where(*_line_of(row.client), JobRow.id != row.id))
    row.position = (GAP if first is None else first) - GAP


def place_before(session: Session, row: JobRow, before: int) -> None:
    """In its client's own line, so that it runs before job `before`, or as soon after as others' turns allow."""
    order = ids_in_line(session)
    behind = set(order[order.index(before) :]) if before in order else set()
    line = list(session.scalars(select(JobRow).where(*_line_of(row.client), JobRow.id != row.id).order_by(*_ORDER)))
    place = next((place for place, other in enumerate(line) if other.id in behind), len(line))
    earlier = line[place - 1].position if place else None
    later = line[place].position if place < len(line) else None
    if earlier is None or later is None:
        row.position = (later - GAP) if later is not None else (earlier + GAP) if earlier is not None else GAP
    elif later - earlier > 1:
        row.position = (earlier + later) // 2
    else:
        for number, each in enumerate([*line[:place], row, *line[place:]], start=1):
            each.position = number * GAP


_ORDER = (JobRow.position, JobRow.id)


def _line_of(client: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return WAITING, JobRow.client == client


def _set_turn(session: Session, client: str, taken: int) -> None:
    row = session.get(TurnRow, client)
    if row is None:
        session.add(TurnRow(client=client, taken=taken))
    else:
        row.taken = taken
