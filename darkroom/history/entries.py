"""What the library speaks of: a picture, what stands beside it, and the trash. Must not know: files, or queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from darkroom.history.tables import PictureRow
from darkroom.request import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Picture:
    """`file` is relative to the history folder; `facts` is what making it took. Times are in UTC.

    `deleted_at` is when it was put in the trash, None while it is not there.
    """

    id: int
    job: int
    request: GenerationRequest
    created_at: datetime
    file: str
    width: int
    height: int
    facts: Mapping[str, str | int | float]
    starred: bool
    deleted_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The ids of the pictures made just after and just before one, None at the ends."""

    newer: int | None
    older: int | None


@dataclass(frozen=True, kw_only=True)
class Trash:
    """What lay in the trash at the moment `seen_at`, and the room its files take."""

    pictures: int
    bytes: int
    seen_at: datetime


def picture_of(row: PictureRow) -> Picture:
    return Picture(
        id=row.id,
        job=row.job_id,
        request=GenerationRequest.model_validate(row.request),
        created_at=row.created_at,
        file=row.file,
        width=row.width,
        height=row.height,
        facts=row.facts,
        starred=row.starred,
        deleted_at=row.deleted_at,
    )
