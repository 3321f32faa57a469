"""The library: finished pictures, each a file, a thumbnail and a row.

The files come first and go last: an orphan file is harmless, a row without its file is a broken gallery.
Must not know: how pictures are made, or who looks at them.
"""

import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from PIL import Image
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from darkroom.errors import InvalidRequest, NotFound, Problem, shown
from darkroom.files import temporaries, write_whole
from darkroom.history.database import Database
from darkroom.history.metadata.write import png_text
from darkroom.history.pictures import png_bytes, thumbnail_bytes
from darkroom.history.search import Search, split
from darkroom.history.tables import KEPT, LARGEST_ID, JobRow, PictureRow
from darkroom.request import GenerationRequest

log = logging.getLogger(__name__)

PICTURES = "pictures"
THUMBNAILS = "thumbnails"

Order = Literal["newest", "oldest"]


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


class Library:
    """Safe to use from several threads."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def add(
        self,
        *,
        job: int,
        request: GenerationRequest,
        width: int,
        height: int,
        pixels: bytes,
        facts: Mapping[str, str | int | float],
    ) -> Picture:
        """Keep a running job's picture and mark the job done. `pixels` are RGB, row by row.

        A job has one picture: when it has one already, that one is returned and nothing changes.
        Raises OSError when the files cannot be written.
        """
        existing = self._picture_of(job)
        if existing is not None:
            return existing
        now = datetime.now(UTC)
        file = f"{PICTURES}/{now:%Y/%m}/{job:06d}-{request.seed}-{secrets.token_hex(4)}.png"
        image = Image.frombytes("RGB", (width, height), pixels)
        picture_path, thumbnail_path = self._folder / file, self._folder / _thumbnail_of(file)
        write_whole(picture_path, png_bytes(image, png_text(request, facts)))
        write_whole(thumbnail_path, thumbnail_bytes(image))
        with self._database.writing(durable=True) as session:
            job_row = session.get(JobRow, job)
            if job_row is None:
                raise NotFound("job", job)
            if job_row.picture is not None:  # another thread was faster
                picture_path.unlink()
                thumbnail_path.unlink()
                return _picture(job_row.picture)
            job_row.become("done")
            job_row.finished_at = now
            job_row.error_code = job_row.error_detail = None
            row = PictureRow(
                job_id=job,
                created_at=now,
                file=file,
                request=request.model_dump(mode="json"),
                facts=dict(facts),
                prompt=request.prompt,
                negative_prompt=request.negative_prompt,
                model=request.model,
                seed=request.seed,
                width=width,
                height=height,
            )
            session.add(row)
            session.flush()
            return _picture(row)

    def page(
        self,
        *,
        cursor: int | None = None,
        before: int | None = None,
        limit: int = 48,
        words: str = "",
        order: Order = "newest",
        starred: bool = False,
        trash: bool = False,
    ) -> tuple[Picture, ...]:
        """The first pictures in that order, or those that follow picture `cursor`, which itself may be gone.

        `before` is an older name of `cursor`. Raises InvalidRequest when the words cannot be a search.
        """
        last = before if cursor is None else cursor
        query = select(PictureRow).where(*Search(words=words, starred=starred, trash=trash).conditions()).limit(limit)
        if order == "newest":
            query = query.order_by(PictureRow.id.desc())
            query = query if last is None else query.where(PictureRow.id < _clamped(last))
        else:
            query = query.order_by(PictureRow.id)
            query = query if last is None else query.where(PictureRow.id > _clamped(last))
        with self._database.reading() as session:
            return tuple(_picture(row) for row in session.scalars(query))

    def neighbours(self, id: int, *, words: str = "", starred: bool = False, trash: bool = False) -> Neighbours:
        """What stands beside picture `id` among the pictures searched for, whether or not it is still one of them.

        Raises InvalidRequest when the words cannot be a search.
        """
        query = select(PictureRow.id).where(*Search(words=words, starred=starred, trash=trash).conditions()).limit(1)
        newer = query.where(PictureRow.id > _clamped(id)).order_by(PictureRow.id)
        older = query.where(PictureRow.id < _clamped(id)).order_by(PictureRow.id.desc())
        with self._database.reading() as session:
            return Neighbours(newer=session.scalar(newer), older=session.scalar(older))

    def count(self, *, words: str = "", starred: bool = False, trash: bool = False) -> int:
        """Raises InvalidRequest when the words cannot be a search."""
        conditions = Search(words=words, starred=starred, trash=trash).conditions()
        with self._database.reading() as session:
            return session.scalar(select(func.count(PictureRow.id)).where(*conditions)) or 0

    def recent_prompts(self, words: str = "", limit: int = 50) -> tuple[str, ...]:
        """Different prompts that have every one of the words, newest first. Those of the trash are left out.

        Raises InvalidRequest when the words cannot be a search.
        """
        has_words = [PictureRow.prompt.icontains(word, autoescape=True) for word in split(words)]
        query = select(PictureRow.prompt).where(KEPT, PictureRow.prompt != "", *has_words)
        newest_first = query.order_by(PictureRow.id.desc()).execution_options(yield_per=500)
        found: dict[str, None] = {}
        with self._database.reading() as session:
            for prompt in session.scalars(newest_first):
                if len(found) == limit:
                    break
                found[prompt] = None
        return tuple(found)

    def get(self, id: int) -> Picture:
        """Raises NotFound."""
        with self._database.reading() as session:
            return _picture(_existing(session, id))

    def picture_path(self, id: int) -> Path:
        """The stored file itself. Raises NotFound, also when somebody has taken the file away."""
        path = self._folder / self.get(id).file
        if not path.is_file():
            raise NotFound("picture", id)
        return path

    def thumbnail_path(self, id: int) -> Path:
        """A WebP of at most 320 pixels a side, made anew if it is gone. Raises NotFound."""
        path = self._folder / _thumbnail_of(self.get(id).file)
        if not path.is_file():
            with Image.open(self.picture_path(id)) as image:
                write_whole(path, thumbnail_bytes(image))
        return path

    def star(self, id: int, starred: bool) -> Picture:
        """Raises NotFound."""
        with self._changing(id) as row:
            row.starred = starred
            return _picture(row)

    def delete(self, id: int) -> Picture:
        """Into the trash, where it stays until a person says otherwise. Raises NotFound."""
        with self._changing(id) as row:
            row.deleted_at = row.deleted_at or datetime.now(UTC)
            return _picture(row)

    def restore(self, id: int) -> Picture:
        """Out of the trash. Raises NotFound."""
        with self._changing(id) as row:
            row.deleted_at = None
            return _picture(row)

    def purge(self, id: int) -> None:
        """Remove a picture of the trash for good: its row, the job's row with its words, then the files.

        Raises NotFound, and InvalidRequest when it is not in the trash.
        """
        with self._database.writing(durable=True) as session:
            row = _existing(session, id, for_change=True)
            if row.deleted_at is None:
                raise InvalidRequest(Problem(field="picture", value=shown(id), allowed="a picture in the trash"))
            file = row.file
            session.execute(delete(PictureRow).where(PictureRow.id == id))
            session.execute(delete(JobRow).where(JobRow.id == row.job_id))
        for path in (self._folder / file, self._folder / _thumbnail_of(file)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("The file of a removed picture is left over: %s (%s)", path, error)

    def sweep(self) -> int:
        """Remove half-written files of a run that was cut off; how many. Only before pictures are being added."""
        found = [path for name in ("", PICTURES, THUMBNAILS) for path in temporaries(self._folder / name)]
        for path in found:
            path.unlink()
        return len(found)

    @contextmanager
    def _changing(self, id: int) -> Iterator[PictureRow]:
        with self._database.writing(durable=True) as session:
            yield _existing(session, id, for_change=True)

    def _picture_of(self, job: int) -> Picture | None:
        with self._database.reading() as session:
            row = session.scalar(select(PictureRow).where(PictureRow.job_id == job))
            return None if row is None else _picture(row)


def _existing(session: Session, id: int, *, for_change: bool = False) -> PictureRow:
    row = session.get(PictureRow, id, with_for_update=for_change or None) if abs(id) <= LARGEST_ID else None
    if row is None:
        raise NotFound("picture", id)
    return row


def _clamped(id: int) -> int:
    return max(0, min(id, LARGEST_ID))


def _thumbnail_of(file: str) -> str:
    inside = PurePosixPath(file).relative_to(PICTURES)
    return str(PurePosixPath(THUMBNAILS) / inside.with_suffix(".webp"))


def _picture(row: PictureRow) -> Picture:
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
