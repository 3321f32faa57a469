"""The library: finished pictures, each a file, a thumbnail and a row.

The files come first and go last: an orphan file is harmless, a row without its file is a broken gallery.
Must not know: how pictures are made, or who looks at them.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from PIL import Image
from sqlalchemy import ColumnElement, Text, cast, delete, func, select

from darkroom.errors import InvalidRequest, NotFound, NotWritten, Problem, shown
from darkroom.files import temporaries, write_whole
from darkroom.history.checkpoints import Checkpoints
from darkroom.history.database import Database
from darkroom.history.entries import Neighbours, Picture, Trash, picture_of
from darkroom.history.metadata.write import png_text
from darkroom.history.pictures import is_whole, png_bytes, size_of, thumbnail_bytes, thumbnail_of
from darkroom.history.removal import is_disk_full, note_removal, noted, remove_first, remove_noted, unfinished_removals
from darkroom.history.rows import AT_ONCE, remove_jobs, rows_of
from darkroom.history.search import Search, split
from darkroom.history.tables import KEPT, LARGEST_ID, TRASH, JobRow, PictureRow, QueueRow
from darkroom.request import GenerationRequest

__all__ = ["Library", "Neighbours", "Order", "Picture", "Trash"]

PICTURES = "pictures"
THUMBNAILS = "thumbnails"

Order = Literal["newest", "oldest"]
Facts: TypeAlias = Mapping[str, str | int | float]
MoreFacts: TypeAlias = Callable[[GenerationRequest, Facts], Facts]


class Library:
    """Safe to use from several threads. `checkpoints` are those of pictures in the making, in the same folder.

    `more_facts` adds to the facts of a new picture what is known outside of the engine; it raises nothing.
    """

    def __init__(self, database: Database, folder: Path, more_facts: MoreFacts = lambda _, facts: facts) -> None:
        self._database = database
        self._folder = folder
        self._more_facts = more_facts
        self.checkpoints = Checkpoints(folder)

    def add(
        self,
        *,
        job: int,
        request: GenerationRequest,
        width: int,
        height: int,
        pixels: bytes,
        facts: Facts,
    ) -> Picture:
        """Keep a running job's picture and mark the job done. `pixels` are RGB, row by row.

        A job has one picture: when it has one already, that one is returned and nothing changes.
        Raises OSError when the files cannot be written, NotWritten when the row cannot.
        """
        existing = self._picture_of(job)
        if existing is not None:
            return existing
        facts = self._more_facts(request, facts)
        now = datetime.now(UTC)
        file = f"{PICTURES}/{now:%Y/%m}/{job:06d}-{request.seed}-{secrets.token_hex(4)}.png"
        image = Image.frombytes("RGB", (width, height), pixels)
        with self._whole_or_not_at_all(job, file):
            write_whole(self._folder / file, png_bytes(image, png_text(request, facts)))
            write_whole(self._folder / _thumbnail_of(file), thumbnail_bytes(image))
            picture = self._add_row(job, file, now, request, facts, image.size)
        if picture.file != file:  # another thread was faster
            self._unlink(file)
        return picture

    def page(
        self,
        *,
        cursor: int | None = None,
        limit: int = 48,
        words: str = "",
        order: Order = "newest",
        starred: bool = False,
        trash: bool = False,
    ) -> tuple[Picture, ...]:
        """The first pictures in that order, or those that follow picture `cursor`, which itself may be gone.

        Raises InvalidRequest when the words cannot be a search.
        """
        query = select(PictureRow).where(*Search(words=words, starred=starred, trash=trash).conditions()).limit(limit)
        if order == "newest":
            query = query.order_by(PictureRow.id.desc())
            query = query if cursor is None else query.where(PictureRow.id < _clamped(cursor))
        else:
            query = query.order_by(PictureRow.id)
            query = query if cursor is None else query.where(PictureRow.id > _clamped(cursor))
        with self._database.reading() as session:
            return tuple(picture_of(row) for row in session.scalars(query))

    def neighbours(self, id: int, *, words: str = "", starred: bool = False, trash: bool = False) -> Neighbours:
        """What stands beside picture `id` among the pictures searched for, whether or not it is still one of them.

        Raises InvalidRequest when the words cannot be a search.
        """
        query = select(PictureRow.id).where(*Search(words=words, starred=starred, trash=trash).conditions()).limit(1)
        newer = query.where(PictureRow.id > _clamped(id)).order_by(PictureRow.id)
        older = query.where(PictureRow.id < _clamped(id)).order_by(PictureRow.id.desc())
        with self._database.reading() as session:
            return Neighbours(newer=session.scalar(newer), older=session.scalar(older))

    def ids(self, *, words: str = "", starred: bool = False, trash: bool = False) -> tuple[int, ...]:
        """All of them, newest first. Raises InvalidRequest when the words cannot be a search."""
        conditions = Search(words=words, starred=starred, trash=trash).conditions()
        with self._database.reading() as session:
            return tuple(session.scalars(select(PictureRow.id).where(*conditions).order_by(PictureRow.id.desc())))

    def count(self, *, words: str = "", starred: bool = False, trash: bool = False) -> int:
        """Raises InvalidRequest when the words cannot be a search."""
        conditions = Search(words=words, starred=starred, trash=trash).conditions()
        with self._database.reading() as session:
            return session.scalar(select(func.count(PictureRow.id)).where(*conditions)) or 0

    def newest(self) -> int:
        """The number of the picture made last, also where it lies in the trash; 0 where there is none."""
        with self._database.reading() as session:
            return session.scalar(select(func.max(PictureRow.id))) or 0

    def count_of_model(self, name: str) -> int:
        """Those of the trash included: they may come back."""
        with self._database.reading() as session:
            return session.scalar(select(func.count(PictureRow.id)).where(PictureRow.model == name)) or 0

    def count_with_lora(self, name: str) -> int:
        """The same for a LoRA."""
        said = cast(PictureRow.request, Text).contains(f'"name": {json.dumps(name)}', autoescape=True)
        with self._database.reading() as session:
            return session.scalar(select(func.count(PictureRow.id)).where(said)) or 0

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
        return _only(self.some([id]), id)

    def picture_path(self, id: int) -> Path:
        """The stored file itself. Raises NotFound, also when somebody has taken the file away."""
        path = self.path_of(self.get(id))
        if not path.is_file():
            raise NotFound("picture", id)
        return path

    def path_of(self, picture: Picture) -> Path:
        """Where its file is, unless somebody has taken it away."""
        return self._folder / picture.file

    def is_whole(self, picture: Picture) -> bool:
        """Whether its file is there, and was not cut off."""
        return is_whole(self.path_of(picture))

    def thumbnail_path(self, id: int) -> Path:
        """A WebP of at most 320 pixels a side, made anew if it is gone; the picture itself where there is no room.

        Raises NotFound, also when it is gone and the picture is damaged.
        """
        path = self._folder / _thumbnail_of(self.get(id).file)
        if path.is_file():
            return path
        picture = self.picture_path(id)
        if (content := thumbnail_of(picture)) is None:
            raise NotFound("picture", id)
        try:
            write_whole(path, content)
        except OSError:
            return picture
        return path

    def some(self, ids: Sequence[int]) -> tuple[Picture, ...]:
        """Those of these pictures that exist, newest first."""
        with self._database.reading() as session:
            return tuple(picture_of(row) for row in rows_of(session, ids))

    def star(self, id: int, starred: bool) -> Picture:
        """Raises NotFound."""
        return _only(self.star_all([id], starred), id)

    def star_all(self, ids: Sequence[int], starred: bool) -> tuple[Picture, ...]:
        """Those of these pictures that exist, newest first, as they are now; so do the next two."""

        def change(row: PictureRow) -> None:
            row.starred = starred

        return self._change(ids, change)

    def delete(self, id: int) -> Picture:
        """Into the trash, where it stays until a person says otherwise. Raises NotFound."""
        return _only(self.delete_all([id]), id)

    def delete_all(self, ids: Sequence[int]) -> tuple[Picture, ...]:
        now = datetime.now(UTC)

        def change(row: PictureRow) -> None:
            row.deleted_at = row.deleted_at or now

        return self._change(ids, change)

    def restore(self, id: int) -> Picture:
        """Out of the trash. Raises NotFound."""
        return _only(self.restore_all([id]), id)

    def restore_all(self, ids: Sequence[int]) -> tuple[Picture, ...]:
        def change(row: PictureRow) -> None:
            row.deleted_at = None

        return self._change(ids, change)

    def trash(self) -> Trash:
        now = datetime.now(UTC)
        with self._database.reading() as session:
            files = tuple(session.scalars(select(PictureRow.file).where(TRASH)))
        room = sum(size_of(self._folder / each) for file in files for each in (file, _thumbnail_of(file)))
        return Trash(pictures=len(files), bytes=room, seen_at=now)

    def purge(self, id: int) -> None:
        """Remove a picture of the trash for good: its row, the job's row with its words, then the files.

        Raises NotFound, and InvalidRequest when it is not in the trash.
        """
        if not self.purge_all([id]):
            self.get(id)
            raise InvalidRequest(Problem(field="picture", value=shown(id), allowed="a picture in the trash"))

    def purge_all(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Those of these pictures that lie in the trash; which ones that were."""
        wanted = [id for id in ids if abs(id) <= LARGEST_ID]
        parts = [wanted[start : start + AT_ONCE] for start in range(0, len(wanted), AT_ONCE)]
        return tuple(id for part in parts for id in self._remove(PictureRow.id.in_(part)))

    def empty_trash(self, seen_at: datetime) -> int:
        """Remove what lay in the trash at that moment, for good; how many. What came there later stays."""
        return len(self._remove(PictureRow.deleted_at <= seen_at))

    def sweep(self) -> int:
        """Remove half-written files of a run that was cut off, and what it had begun to remove; how many of the first.

        Only before pictures are being added.
        """
        found = [path for name in ("", PICTURES, THUMBNAILS) for path in temporaries(self._folder / name)]
        for path in found:
            path.unlink()
        for note in unfinished_removals(self._folder):
            self._finish_removal(note)
        return len(found)

    def _add_row(
        self, job: int, file: str, now: datetime, request: GenerationRequest, facts: Facts, size: tuple[int, int]
    ) -> Picture:
        """Or the one that there is."""
        with self._database.writing(durable=True) as session:
            job_row = session.get(JobRow, job)
            if job_row is None:
                raise NotFound("job", job)
            if job_row.picture is not None:
                return picture_of(job_row.picture)
            job_row.become("done")
            job_row.finished_at = now
            job_row.error_code = job_row.error_detail = job_row.checkpoint = None
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
                width=size[0],
                height=size[1],
            )
            session.add(row)
            session.flush()
            return picture_of(row)

    @contextmanager
    def _whole_or_not_at_all(self, job: int, file: str) -> Iterator[None]:
        """Where the disk does not take all of it, what it took goes again: the same is tried later, perhaps often."""
        try:
            yield
        except (OSError, NotWritten):
            if self._picture_of(job) is None:
                self._unlink(file)
            raise

    def _unlink(self, file: str) -> None:
        for name in (file, _thumbnail_of(file)):
            with suppress(OSError):
                (self._folder / name).unlink()

    def _change(self, ids: Sequence[int], change: Callable[[PictureRow], None]) -> tuple[Picture, ...]:
        with self._database.writing(durable=True) as session:
            rows = rows_of(session, ids, for_change=True)
            for row in rows:
                change(row)
            return tuple(picture_of(row) for row in rows)

    def _remove(self, condition: ColumnElement[bool]) -> tuple[int, ...]:
        """Pictures of the trash. A cut between rows and files is made good by the next `sweep`."""
        try:
            ids, note = self._let_go(condition)
        except (OSError, NotWritten) as error:
            if not is_disk_full(error):
                raise
            # Removing makes room and needs a little itself. A thumbnail can go first: it would be made anew.
            with self._database.reading() as session:
                files = session.scalars(select(PictureRow.file).where(TRASH, condition)).all()
            remove_first(self._folder / _thumbnail_of(file) for file in files)
            ids, note = self._let_go(condition)
        if note is not None:
            self._finish_removal(note)
        return ids

    def _let_go(self, condition: ColumnElement[bool]) -> tuple[tuple[int, ...], Path | None]:
        """Of their rows; the note says which files have no owner now."""
        which = (TRASH, condition)
        with self._database.writing(durable=True) as session:
            rows = session.execute(select(PictureRow.id, PictureRow.job_id, PictureRow.file).where(*which)).all()
            if not rows:
                return (), None
            note = note_removal(self._folder, [row.file for row in rows])
            session.execute(delete(PictureRow).where(*which))
            queue = session.get(QueueRow, 1) or QueueRow(id=1, paused=False)
            latest = session.scalar(select(func.max(JobRow.changed))) or 0
            queue.forgotten = max(queue.forgotten or 0, latest)
            session.add(queue)
            for start in range(0, len(rows), AT_ONCE):
                remove_jobs(session, [row.job_id for row in rows[start : start + AT_ONCE]])
        return tuple(row.id for row in rows), note

    def _finish_removal(self, note: Path) -> None:
        """A file that still has its row is kept: the rows were not let go of after all."""
        files = noted(note, PICTURES)
        owned: set[str] = set()
        with self._database.reading() as session:
            for start in range(0, len(files), AT_ONCE):
                part = files[start : start + AT_ONCE]
                owned.update(session.scalars(select(PictureRow.file).where(PictureRow.file.in_(part))))
        gone = [file for file in files if file not in owned]
        remove_noted(self._folder, note, [each for file in gone for each in (file, _thumbnail_of(file))])

    def _picture_of(self, job: int) -> Picture | None:
        with self._database.reading() as session:
            row = session.scalar(select(PictureRow).where(PictureRow.job_id == job))
            return None if row is None else picture_of(row)


def _only(pictures: tuple[Picture, ...], id: int) -> Picture:
    if not pictures:
        raise NotFound("picture", id)
    return pictures[0]


def _clamped(id: int) -> int:
    return max(0, min(id, LARGEST_ID))


def _thumbnail_of(file: str) -> str:
    inside = PurePosixPath(file).relative_to(PICTURES)
    return str(PurePosixPath(THUMBNAILS) / inside.with_suffix(".webp"))
