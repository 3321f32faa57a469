"""The library: finished pictures, each a file, a thumbnail and a row.

The files come first: an orphan file is harmless, a row without its file is a broken gallery.
Must not know: how pictures are made, or who looks at them.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from PIL import Image
from sqlalchemy import select

from darkroom.errors import InvalidRequest, NotFound, Problem, shown
from darkroom.history.database import Database
from darkroom.history.files import png_bytes, temporaries, thumbnail_bytes, write_whole
from darkroom.history.metadata.write import png_text
from darkroom.history.tables import LARGEST_ID, JobRow, PictureRow
from darkroom.request import GenerationRequest, unprintable

PICTURES = "pictures"
THUMBNAILS = "thumbnails"
LONGEST_SEARCH = 200


@dataclass(frozen=True, kw_only=True)
class Picture:
    """`file` is relative to the history folder; `facts` is what making it took; `created_at` is in UTC."""

    id: int
    job: int
    request: GenerationRequest
    created_at: datetime
    file: str
    width: int
    height: int
    facts: Mapping[str, str | int | float]


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
                model=request.model,
                seed=request.seed,
                width=width,
                height=height,
            )
            session.add(row)
            session.flush()
            return _picture(row)

    def page(self, *, before: int | None = None, limit: int = 48, words: str = "") -> tuple[Picture, ...]:
        """The newest pictures, or the newest older than picture `before`, whose prompt has every one of the words.

        Raises InvalidRequest when the search cannot be one.
        """
        if len(words) > LONGEST_SEARCH or any(unprintable(character) for character in words):
            allowed = f"at most {LONGEST_SEARCH} characters of plain text"
            raise InvalidRequest(Problem(field="words", value=shown(words), allowed=allowed))
        query = select(PictureRow).order_by(PictureRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(PictureRow.id < max(0, min(before, LARGEST_ID)))
        for word in words.split():
            query = query.where(PictureRow.prompt.icontains(word, autoescape=True))
        with self._database.reading() as session:
            return tuple(_picture(row) for row in session.scalars(query))

    def get(self, id: int) -> Picture:
        """Raises NotFound."""
        with self._database.reading() as session:
            row = session.get(PictureRow, id) if abs(id) <= LARGEST_ID else None
            if row is None:
                raise NotFound("picture", id)
            return _picture(row)

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

    def sweep(self) -> int:
        """Remove half-written files of a run that was cut off; how many. Only before pictures are being added."""
        found = [path for name in (PICTURES, THUMBNAILS) for path in temporaries(self._folder / name)]
        for path in found:
            path.unlink()
        return len(found)

    def _picture_of(self, job: int) -> Picture | None:
        with self._database.reading() as session:
            row = session.scalar(select(PictureRow).where(PictureRow.job_id == job))
            return None if row is None else _picture(row)


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
    )
