"""Starred, deleted, brought back, leafed through, searched and removed for good."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from darkroom.errors import InvalidRequest, NotFound
from darkroom.history.database import Database
from darkroom.history.library import Library, Neighbours, Picture
from darkroom.jobs.queue import JobQueue
from tests.history.examples import request
from tests.history.test_library import add, files


@pytest.fixture
def five(library: Library, queue: JobQueue) -> list[int]:
    """Five pictures: 2 and 4 starred, 4 and 5 in the trash."""
    prompts = (
        ("Red barn", ""),
        ("山上的灯塔", "红色, Barn"),
        ("100% wool_hat", ""),
        ("a/b \\ c", ""),
        ("red barn", ""),
    )
    ids = [add(library, queue, request(prompt=one, negative_prompt=two)).id for one, two in prompts]
    for id in (ids[1], ids[3]):
        library.star(id, True)
    for id in (ids[3], ids[4]):
        library.delete(id)
    return ids


def ids_of(pictures: tuple[Picture, ...]) -> list[int]:
    return [picture.id for picture in pictures]


def test_a_new_picture_is_neither_starred_nor_deleted(library: Library, queue: JobQueue) -> None:
    picture = add(library, queue, request())
    assert (picture.starred, picture.deleted_at) == (False, None)


def test_a_star_is_given_and_taken(library: Library, queue: JobQueue) -> None:
    picture = add(library, queue, request())
    assert library.star(picture.id, True).starred
    assert library.star(picture.id, True) == library.get(picture.id)
    assert library.star(picture.id, False) == picture


def test_a_deleted_picture_leaves_the_pages_and_comes_back_as_it_was(
    library: Library, queue: JobQueue, tmp_path: Path
) -> None:
    picture = add(library, queue, request())
    library.star(picture.id, True)
    before = datetime.now(UTC)
    deleted = library.delete(picture.id)
    assert deleted.deleted_at is not None
    assert before <= deleted.deleted_at <= datetime.now(UTC)
    assert library.delete(picture.id) == deleted == library.get(picture.id)
    assert (library.page(), library.page(trash=True)) == ((), (deleted,))
    assert len(files(tmp_path)) == 2
    assert library.picture_path(picture.id).is_file()
    assert library.restore(picture.id) == library.restore(picture.id) == library.star(picture.id, True)
    assert library.star(picture.id, False) == picture
    assert library.page() == (picture,)


def test_only_a_picture_of_the_trash_is_removed_for_good(library: Library, queue: JobQueue, tmp_path: Path) -> None:
    kept, gone = add(library, queue, request()), add(library, queue, request(prompt="a secret"))
    with pytest.raises(InvalidRequest, match="in the trash"):
        library.purge(gone.id)
    assert len(files(tmp_path)) == 4
    library.delete(gone.id)
    library.purge(gone.id)
    assert library.page(trash=True) == ()
    assert library.page() == (kept,)
    assert files(tmp_path) == sorted([kept.file, kept.file.replace("pictures", "thumbnails").replace(".png", ".webp")])
    for missing in (lambda: library.get(gone.id), lambda: library.purge(gone.id), lambda: queue.get(gone.job)):
        with pytest.raises(NotFound):
            missing()
    assert queue.get(kept.job).picture == kept.id
    assert add(library, queue, request()).id > gone.id


def test_a_file_that_cannot_be_removed_is_named_and_its_row_is_gone(
    library: Library, queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    picture = add(library, queue, request())
    path = library.picture_path(picture.id)
    path.unlink()
    path.mkdir()
    library.delete(picture.id)
    library.purge(picture.id)
    assert str(path) in caplog.text
    with pytest.raises(NotFound):
        library.get(picture.id)


@pytest.mark.parametrize("id", [0, 1, -1, 2**63, -(10**30)])
def test_nothing_can_be_done_to_a_picture_that_does_not_exist(id: int, library: Library) -> None:
    for change in (lambda: library.star(id, True), lambda: library.delete(id), lambda: library.restore(id)):
        with pytest.raises(NotFound, match="picture"):
            change()
    with pytest.raises(NotFound, match="picture"):
        library.purge(id)
    assert library.neighbours(id) == Neighbours(newer=None, older=None)


LISTS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3]),
    ({"starred": True}, [2]),
    ({"trash": True}, [4, 5]),
    ({"trash": True, "starred": True}, [4]),
    ({"words": "barn RED"}, [1]),
    ({"words": "barn"}, [1, 2]),
    ({"words": "灯 红"}, [2]),
    ({"words": "红 灯塔 barn barn"}, [2]),
    ({"words": "红灯"}, []),
    ({"words": "%"}, [3]),
    ({"words": "l_h"}, [3]),
    ({"words": "\\", "trash": True}, [4]),
    ({"words": "/", "trash": True}, [4]),
    ({"words": "red", "trash": True}, [5]),
    ({"words": "barn", "starred": True}, [2]),
]


@pytest.mark.parametrize(("search", "places"), LISTS)
def test_each_list_is_the_same_in_pages_neighbours_and_count(
    search: dict[str, Any], places: list[int], library: Library, five: list[int]
) -> None:
    ids = [five[place - 1] for place in places]
    assert ids_of(library.page(**search)) == ids[::-1]
    assert ids_of(library.page(order="oldest", **search)) == ids
    assert library.count(**search) == len(ids)
    for id in (0, *five, 2**80):
        older, newer = [other for other in ids if other < id], [other for other in ids if other > id]
        expected = Neighbours(newer=newer[0] if newer else None, older=older[-1] if older else None)
        assert library.neighbours(id, **search) == expected
        assert ids_of(library.page(cursor=id, limit=1, **search)) == older[-1:]
        assert ids_of(library.page(cursor=id, limit=1, order="oldest", **search)) == newer[:1]


def test_pages_go_on_although_their_last_picture_is_deleted(library: Library, five: list[int]) -> None:
    last = library.page(limit=2)[-1].id
    library.delete(last)
    assert ids_of(library.page(limit=2, cursor=last)) == [five[0]]


def test_a_search_that_cannot_be_one_is_refused_everywhere(library: Library) -> None:
    for look in (library.page, library.count, library.recent_prompts, lambda words: library.neighbours(1, words=words)):
        for words in ("x" * 201, "a\x00b"):
            with pytest.raises(InvalidRequest, match="words"):
                look(words=words)


def test_recent_prompts_are_different_and_newest_first(library: Library, queue: JobQueue) -> None:
    for prompt in ("red barn", "Red Barn", "灯塔", "red barn", "", "灯塔", "secret"):
        picture = add(library, queue, request(prompt=prompt))
    library.delete(picture.id)
    assert library.recent_prompts() == ("灯塔", "red barn", "Red Barn")
    assert library.recent_prompts(limit=2) == ("灯塔", "red barn")
    assert library.recent_prompts("BARN red") == ("red barn", "Red Barn")
    assert library.recent_prompts("灯") == ("灯塔",)
    assert library.recent_prompts("%") == ()
    assert library.recent_prompts(limit=0) == ()


@pytest.mark.parametrize(
    "look",
    [
        lambda library: library.page(),
        lambda library: library.page(cursor=3),
        lambda library: library.page(order="oldest", cursor=3),
        lambda library: library.page(starred=True),
        lambda library: library.page(starred=True, cursor=3, order="oldest"),
        lambda library: library.page(trash=True),
        lambda library: library.page(trash=True, cursor=3),
        lambda library: library.page(words="red barn"),
        lambda library: library.page(words="red barn", starred=True),
        lambda library: library.neighbours(3),
        lambda library: library.neighbours(3, starred=True, words="red"),
        lambda library: library.neighbours(3, trash=True),
        lambda library: library.count(starred=True),
        lambda library: library.count(trash=True),
        lambda library: library.count(),
        lambda library: library.recent_prompts("red"),
    ],
)
def test_no_list_is_sorted_and_short_lists_are_read_alone(
    look: Callable[[Library], object], database: Database, library: Library
) -> None:
    """The plan depends on the indexes, not on the number of rows: SQLite has no statistics of them."""
    plans: list[str] = []
    with database.reading() as session:
        engine = session.get_bind().engine

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:  # noqa: ARG001
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plans.extend(row[3] for row in cursor.fetchall())

    event.listen(engine, "before_cursor_execute", explain)
    look(library)
    event.remove(engine, "before_cursor_execute", explain)
    assert plans
    assert not any("TEMP B-TREE" in plan for plan in plans)
    assert all("ix_pictures_" in plan or "INTEGER PRIMARY KEY" in plan for plan in plans), plans


def test_the_house_itself_deletes_nothing(library: Library, queue: JobQueue, five: list[int], tmp_path: Path) -> None:
    before = (library.page(), library.page(trash=True), files(tmp_path))
    library.sweep()
    queue.recover()
    assert (library.page(), library.page(trash=True), files(tmp_path)) == before
    assert len(before[0]) + len(before[1]) == len(five)
