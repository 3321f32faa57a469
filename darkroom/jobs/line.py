"""The order in which waiting jobs are run: clients take turns, and within one client positions count.

Every function works inside the caller's transaction. Must not know: what a job is for, or who runs it.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Select, func, select, tuple_, update
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
    """Rows of one client, in their order, behind all of its that wait or may come back."""
    last = session.scalar(select(func.max(JobRow.position)).where(*_places_of(client))) or 0
    for place, row in enumerate(rows, start=1):
        row.position = last + place * GAP


def place_first(session: Session, row: JobRow) -> None:
    first = session.scalar(select(func.min(JobRow.position)).where(*_places_of(row.client), JobRow.id != row.id))
    row.position = (GAP if first is None else first) - GAP


def place_before(session: Session, row: JobRow, before: JobRow) -> None:
    """In its client's own line, so that it runs before that job, or as soon after as others' turns allow.

    Before one that does not wait any more: where that one stood if it was taken out of the same line, else first.
    """
    line = _others_of(session, row)
    if before.state == "waiting":
        order = ids_in_line(session)
        behind = set(order[order.index(before.id) :])
        place = next((place for place, other in enumerate(line) if other.id in behind), len(line))
    elif before.state == "cancelled" and before.client == row.client:
        stood = (before.position, before.id)
        place = next((place for place, other in enumerate(line) if (other.position, other.id) > stood), len(line))
    else:
        place = 0
    _place(session, row, line, place)


def place_by(session: Session, row: JobRow, by: int) -> None:
    """So many places later in its client's own line, or earlier where `by` is less than 0, as far as the line goes."""
    line = _others_of(session, row)
    now = sum((other.position, other.id) < (row.position, row.id) for other in line)
    place = min(max(now + by, 0), len(line))
    if place != now:
        _place(session, row, line, place)


def _place(session: Session, row: JobRow, line: Sequence[JobRow], place: int) -> None:
    """Behind so many of the others in its line."""
    if not line:
        return
    if place == 0:
        place_first(session, row)
    elif place == len(line):
        place_last(session, [row], row.client)
    else:
        earlier, later = line[place - 1].position, line[place].position
        if later - earlier < 2:
            _make_room(session, line[place])
            later += GAP
        row.position = (earlier + later) // 2


def _make_room(session: Session, row: JobRow) -> None:
    """Before this row. All behind it keep their order, and nobody is told that they changed."""
    behind = tuple_(JobRow.position, JobRow.id) >= tuple_(row.position, row.id)
    moved = {"position": JobRow.position + GAP, "changed": JobRow.changed}
    session.execute(update(JobRow).where(*_places_of(row.client), behind).values(moved))


def _others_of(session: Session, row: JobRow) -> list[JobRow]:
    query = select(JobRow).where(WAITING, JobRow.client == row.client, JobRow.id != row.id)
    return list(session.scalars(query.order_by(JobRow.position, JobRow.id)))


def _places_of(client: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Of the client's jobs that wait, and of those that were taken out: they may come back to where they were."""
    return JobRow.state.in_(("waiting", "cancelled")), JobRow.client == client


def _set_turn(session: Session, client: str, taken: int) -> None:
    row = session.get(TurnRow, client)
    if row is None:
        session.add(TurnRow(client=client, taken=taken))
    else:
        row.taken = taken
