"""The trash: weighed, emptied, and emptied to the end although the power was cut in the middle."""

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from darkroom.errors import NotFound, OrderGone
from darkroom.history import library as library_module
from darkroom.history.database import Database
from darkroom.history.library import Library, Picture
from darkroom.history.removal import note_removal, unfinished_removals
from darkroom.history.tables import SpentKeyRow
from darkroom.jobs.queue import JobQueue
from tests.history.examples import PIXELS, request
from tests.history.test_library import FACTS, add, files

FULL = OSError(errno.ENOSPC, "No space left on device")


class PowerCut(BaseException):
    """Nothing catches it."""


@pytest.fixture
def four(library: Library, queue: JobQueue) -> list[Picture]:
    """The first two lie in the trash."""
    pictures = [add(library, queue, request(seed=seed)) for seed in range(4)]
    library.delete_all([picture.id for picture in pictures[:2]])
    return pictures


def test_the_trash_says_how_many_pictures_and_how_much_room(library: Library, four: list[Picture]) -> None:
    paths = [path(picture.id) for picture in four[:2] for path in (library.picture_path, library.thumbnail_path)]
    before = datetime.now(UTC)
    trash = library.trash()
    assert (trash.pictures, trash.bytes) == (2, sum(path.stat().st_size for path in paths))
    assert before <= trash.seen_at <= datetime.now(UTC)
    paths[0].unlink()
    assert library.trash().bytes < trash.bytes


def test_emptying_removes_rows_jobs_and_files_and_nothing_else(
    library: Library, queue: JobQueue, four: list[Picture], tmp_path: Path
) -> None:
    assert library.empty_trash(library.trash().seen_at) == 2
    assert (library.trash().pictures, library.trash().bytes) == (0, 0)
    assert [picture.id for picture in library.page()] == [four[3].id, four[2].id]
    assert len(files(tmp_path)) == 4
    assert list(unfinished_removals(tmp_path)) == []
    for picture in four[:2]:
        with pytest.raises(NotFound):
            queue.get(picture.job)
    assert library.empty_trash(library.trash().seen_at) == 0


def test_an_order_is_known_by_its_key_while_one_of_its_pictures_is_there(library: Library, queue: JobQueue) -> None:
    def order() -> list[int]:
        jobs = queue.submit_many([request(), request(seed=1), request(seed=2)], "order", key="k", digest="d")
        return [job.id for job in jobs]

    first, second, third = order()
    for job in (first, second, third):
        queue.claim()
        picture = library.add(job=job, request=request(), width=64, height=64, pixels=PIXELS, facts=FACTS)
        assert order() == [first, second, third]
        library.delete(picture.id)
    pictures = [picture.id for picture in library.page(trash=True, order="oldest")]
    for gone, left in ((pictures[:1], [second, third]), (pictures[1:2], [third])):
        latest = queue.last_change()
        library.purge_all(gone)
        assert order() == left
        assert queue.last_change() == latest
    library.purge_all(pictures)
    with pytest.raises(OrderGone, match="The order with the key k was taken before"):
        order()
    assert queue.last_change() == latest


@pytest.mark.parametrize("count", [1, 2])
def test_an_order_of_which_nothing_is_left_is_not_taken_again_for_a_day(
    count: int, library: Library, queue: JobQueue, database: Database
) -> None:
    def order(client: str = "desk", digest: str = "d") -> list[int]:
        group = f"order of {client}" if count > 1 else None
        return [job.id for job in queue.submit_many([request()] * count, group, client=client, key="k", digest=digest)]

    def let_go_of_all() -> None:
        while queue.claim() is not None:
            pass
        for job in queue.unfinished():
            library.add(job=job.id, request=request(), width=64, height=64, pixels=PIXELS, facts=FACTS)
        library.purge_all([picture.id for picture in library.delete_all([each.id for each in library.page()])])

    order()
    let_go_of_all()
    for digest in ("d", "of another order"):
        with pytest.raises(OrderGone):
            order(digest=digest)
    assert len(order("phone")) == count
    with database.writing() as session:
        session.execute(update(SpentKeyRow).values(spent_at=datetime.now(UTC) - timedelta(days=1, minutes=1)))
    assert len(order()) == count
    let_go_of_all()
    for client in ("desk", "phone"):
        with pytest.raises(OrderGone):
            order(client)


def test_keys_of_yesterday_go_with_the_next_removal(library: Library, queue: JobQueue, database: Database) -> None:
    with database.writing() as session:
        session.add(SpentKeyRow(client="desk", key="old", spent_at=datetime.now(UTC) - timedelta(days=2)))
    picture = add(library, queue, request())
    library.delete(picture.id)
    library.purge(picture.id)
    with database.reading() as session:
        assert session.scalars(select(SpentKeyRow)).all() == []


def test_what_came_into_the_trash_after_it_was_looked_at_stays(library: Library, four: list[Picture]) -> None:
    seen_at = library.trash().seen_at
    library.delete(four[2].id)
    library.restore(four[0].id)
    library.delete(four[0].id)
    assert library.empty_trash(seen_at) == 1
    assert [picture.id for picture in library.page(trash=True)] == [four[2].id, four[0].id]


def test_a_cut_before_the_rows_are_gone_removes_nothing(library: Library, four: list[Picture], tmp_path: Path) -> None:
    note_removal(tmp_path, [four[0].file, four[1].file])
    before = files(tmp_path)
    library.sweep()
    assert files(tmp_path) == before
    assert list(unfinished_removals(tmp_path)) == []


def test_a_cut_between_rows_and_files_is_made_good_at_the_next_start(
    library: Library, database: Database, four: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(library_module, "remove_noted", cut)
        with pytest.raises(PowerCut):
            library.empty_trash(library.trash().seen_at)
    assert len(files(tmp_path)) == 8
    assert [picture.id for picture in library.page()] == [four[3].id, four[2].id]
    Library(database, tmp_path).sweep()
    assert len(files(tmp_path)) == 4
    assert list(unfinished_removals(tmp_path)) == []


def test_a_file_that_would_not_go_is_tried_again_at_the_next_start(
    library: Library, four: list[Picture], tmp_path: Path
) -> None:
    path = library.picture_path(four[0].id)
    path.unlink()
    path.mkdir()
    library.purge(four[0].id)
    assert len(list(unfinished_removals(tmp_path))) == 1
    shutil.rmtree(path)
    path.write_bytes(b"x")
    library.sweep()
    assert not path.exists()
    assert list(unfinished_removals(tmp_path)) == []


def test_a_note_that_names_files_that_are_none_of_ours_removes_none(library: Library, tmp_path: Path) -> None:
    for name in ("history.db", "keep.png", "pictures/keep.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    note_removal(tmp_path, ["history.db", "../keep.png", "pictures/../keep.png", "keep.png", "pictures", ""])
    library.sweep()
    assert (tmp_path / "history.db").exists()
    assert (tmp_path / "keep.png").exists()
    assert list(unfinished_removals(tmp_path)) == []


def test_many_are_changed_at_once_and_those_that_do_not_exist_are_passed_over(
    library: Library, four: list[Picture]
) -> None:
    ids = [picture.id for picture in four]
    asked = [ids[0], 99, ids[2], ids[0], 2**80, -1]
    for change in (
        lambda: library.star_all(asked, True),
        lambda: library.delete_all(asked),
        lambda: library.restore_all(asked),
        lambda: library.some(asked),
    ):
        assert [picture.id for picture in change()] == [ids[2], ids[0]]
    assert library.ids(starred=True) == (ids[2], ids[0])
    assert library.purge_all(ids) == (ids[1],)  # the only one that still lies in the trash
    assert library.ids() == (ids[3], ids[2], ids[0])


def test_very_many_are_changed_at_once(library: Library, four: list[Picture]) -> None:
    ids = range(1, 40_000)
    assert len(library.delete_all(ids)) == len(four)
    assert len(library.purge_all(ids)) == len(four)


def test_the_trash_of_a_full_disk_can_be_emptied(
    library: Library, four: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thumbnails = [library.thumbnail_path(picture.id) for picture in four]

    def without_room(folder: Path, files: Any) -> Path:
        if any(path.exists() for path in thumbnails[:2]):
            raise FULL
        return note_removal(folder, files)

    monkeypatch.setattr(library_module, "note_removal", without_room)
    assert library.empty_trash(library.trash().seen_at) == 2
    assert len(files(tmp_path)) == 4
    assert all(path.exists() for path in thumbnails[2:])
    assert list(unfinished_removals(tmp_path)) == []


def test_the_trash_can_be_emptied_where_the_database_has_no_room(
    library: Library, database: Database, four: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thumbnail = library.thumbnail_path(four[0].id)
    really = database.writing

    @contextmanager
    def without_room(*, durable: bool = False) -> Iterator[Session]:
        with really(durable=durable) as session:
            yield session
            if thumbnail.exists():
                session.rollback()
                full = sqlite3.OperationalError("database or disk is full")
                full.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise OperationalError("COMMIT", {}, full)

    monkeypatch.setattr(database, "writing", without_room)
    assert library.empty_trash(library.trash().seen_at) == 2
    assert len(files(tmp_path)) == 4
    library.sweep()
    assert list(unfinished_removals(tmp_path)) == []


def test_pictures_that_could_not_be_removed_for_want_of_room_are_whole(
    library: Library, four: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_room(*_: object) -> Path:
        raise FULL

    monkeypatch.setattr(library_module, "note_removal", without_room)
    with pytest.raises(OSError, match="No space left"):
        library.purge(four[0].id)
    library.restore(four[0].id)
    assert library.picture_path(four[0].id).exists()
    assert library.thumbnail_path(four[0].id).exists()
