"""The tables: jobs, their queue, and the pictures they became. Together: "picture saved, job done" is one transaction.

A change here needs a migration in `migrations/versions`; a test compares the two. Must not know: files, or who asks.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, ForeignKey, Index, MetaData, Text, and_, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

State = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]

NEXT_STATES: Mapping[State, frozenset[State]] = {
    "waiting": frozenset({"running", "cancelled"}),
    "running": frozenset({"waiting", "paused", "done", "failed", "cancelled"}),
    "paused": frozenset({"waiting", "cancelled"}),
    "done": frozenset(),
    "failed": frozenset({"waiting", "cancelled"}),
    "cancelled": frozenset({"waiting"}),
}
"""From failed and cancelled only by a person's wish: to try it again, or to see it no more among what failed."""

NEXT_CHANGE = text(
    "(SELECT coalesce(max(number), 0) + 1 FROM"
    " (SELECT max(changed) AS number FROM jobs UNION ALL SELECT forgotten AS number FROM queue_state) AS numbers)"
)
"""Larger than that of any job, those included that are gone: whoever follows changes misses none."""

LARGEST_ID = 2**63 - 1
"""What an INTEGER column holds; a larger number is nobody's id."""


class IllegalTransition(RuntimeError):
    """A programming error: a job was to go where its state does not lead."""

    def __init__(self, job: int, state: State, wanted: State) -> None:
        super().__init__(f"job {job} is {state} and cannot become {wanted}")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in, UTC out. SQLite drops the zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, str: Text}  # noqa: RUF012


class JobRow(Base):
    """One accepted request. `error_code` says why the job failed, or why it is being tried again.

    `changed` grows with each change of any row: by it, programs ask for what happened since. The `idempotency_key` of
    an order stands in its first job, with a digest of what was ordered.
    """

    __tablename__ = "jobs"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (an id is never given twice)

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[State] = mapped_column(Text, index=True)
    request: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    group_id: Mapped[str | None] = mapped_column(index=True)
    client: Mapped[str] = mapped_column(server_default=text("''"), default="")
    position: Mapped[int] = mapped_column(BigInteger, server_default=text("0"), default=0)
    rung: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    faults: Mapped[list[dict[str, Any]]] = mapped_column(JSON, server_default=text("'[]'"), default=list)
    checkpoint: Mapped[str | None]
    idempotency_key: Mapped[str | None]
    order_digest: Mapped[str | None]
    changed: Mapped[int] = mapped_column(
        BigInteger, index=True, server_default=text("0"), default=NEXT_CHANGE, onupdate=NEXT_CHANGE
    )

    picture: Mapped["PictureRow | None"] = relationship(back_populates="job", lazy="joined")

    def become(self, state: State) -> None:
        """Raises IllegalTransition."""
        if state not in NEXT_STATES[self.state]:
            raise IllegalTransition(self.id, self.state, state)
        self.state = state


Index("uq_jobs_idempotency_key", JobRow.client, JobRow.idempotency_key, unique=True)


class SpentKeyRow(Base):
    """The key of an order of which no job is left since `spent_at`."""

    __tablename__ = "spent_keys"

    client: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    spent_at: Mapped[datetime]


class QueueRow(Base):
    """The one row that says whether jobs are begun. `why_code` says why not, None where a person wished it so.

    `stop_after` is the job after which the queue pauses. Failures before `resumed_at` no longer count against it.
    `forgotten` is the number of the latest change when jobs were last removed.
    """

    __tablename__ = "queue_state"

    id: Mapped[int] = mapped_column(primary_key=True)
    paused: Mapped[bool] = mapped_column(server_default=false(), default=False)
    why_code: Mapped[str | None]
    why_detail: Mapped[str | None]
    stop_after: Mapped[int | None]
    resumed_at: Mapped[datetime | None]
    forgotten: Mapped[int] = mapped_column(BigInteger, server_default=text("0"), default=0)


class TurnRow(Base):
    """When a client last had its turn: the smaller `taken`, the longer ago."""

    __tablename__ = "turns"

    client: Mapped[str] = mapped_column(primary_key=True)
    taken: Mapped[int] = mapped_column(BigInteger)


class PictureRow(Base):
    """One finished picture. `request` is the truth; the columns named like its fields are there to search and list."""

    __tablename__ = "pictures"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), unique=True)
    created_at: Mapped[datetime]
    file: Mapped[str] = mapped_column(unique=True)
    request: Mapped[dict[str, Any]]
    facts: Mapped[dict[str, Any]]
    prompt: Mapped[str]
    model: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)  # up to 2**32 - 1
    width: Mapped[int]
    height: Mapped[int]
    starred: Mapped[bool] = mapped_column(server_default=false(), default=False)
    deleted_at: Mapped[datetime | None]
    negative_prompt: Mapped[str] = mapped_column(server_default=text("''"))

    job: Mapped[JobRow] = relationship(back_populates="picture")


KEPT = PictureRow.deleted_at.is_(None)
STARRED = and_(PictureRow.starred.is_(True), KEPT)
TRASH = PictureRow.deleted_at.is_not(None)
"""The lists of pictures. A query that says one of them in these words finds its rows through the index of it."""

for name, condition in (("kept", KEPT), ("starred", STARRED), ("trash", TRASH)):
    Index(f"ix_pictures_{name}", PictureRow.id, sqlite_where=condition, postgresql_where=condition)
