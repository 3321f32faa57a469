"""Pictures kept, listed and found again."""

import errno
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from darkroom.errors import InvalidRequest, NotFound
from darkroom.history.database import Database, sqlite_url
from darkroom.history.library import Library, Picture
from darkroom.history.metadata.read import read_request
from darkroom.history.tables import IllegalTransition
from darkroom.jobs.queue import JobQueue
from darkroom.request import GenerationRequest
from tests.history.examples import ODD_REQUESTS, PIXELS, request

FACTS: dict[str, str | int | float] = {"seconds": 1.25, "steps": 4, "device": "cpu 👍"}


def add(library: Library, queue: JobQueue, asked: GenerationRequest) -> Picture:
    job = queue.submit(asked).id
    assert queue.claim() is not None
    return library.add(job=job, request=asked, width=64, height=64, pixels=PIXELS, facts=FACTS)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in (".png", ".webp"))


def test_a_picture_is_a_file_a_thumbnail_a_row_and_a_job_that_is_done(
    library: Library, queue: JobQueue, tmp_path: Path
) -> None:
    before = datetime.now(UTC)
    picture = add(library, queue, request())
    assert before <= picture.created_at <= datetime.now(UTC)
    assert picture.created_at.tzinfo is UTC
    assert picture.file.startswith(f"pictures/{picture.created_at:%Y/%m}/000001-42-")
    assert (picture.width, picture.height, picture.facts) == (64, 64, FACTS)
    assert library.get(picture.id) == picture
    assert library.picture_path(picture.id) == tmp_path / picture.file
    job = queue.get(picture.job)
    assert (job.state, job.picture, job.finished_at) == ("done", picture.id, picture.created_at)
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("asked", ODD_REQUESTS)
def test_the_stored_request_is_the_request(asked: GenerationRequest, library: Library, queue: JobQueue) -> None:
    picture = add(library, queue, asked)
    assert library.get(picture.id).request == asked
    assert queue.get(picture.job).request == asked
    assert read_request(library.picture_path(picture.id)) == asked


def test_the_file_has_exactly_the_pixels_and_the_thumbnail_fits(library: Library, queue: JobQueue) -> None:
    asked = request(width=1024, height=512)
    job = queue.submit(asked).id
    queue.claim()
    pixels = bytes(1024 * 512) + b"\xff" * (1024 * 512 * 2)
    picture = library.add(job=job, request=asked, width=1024, height=512, pixels=pixels, facts={})
    with Image.open(library.picture_path(picture.id)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (1024, 512))
        assert image.tobytes() == pixels
    with Image.open(library.thumbnail_path(picture.id)) as image:
        assert (image.format, image.size) == ("WEBP", (320, 160))


def test_pixels_of_another_size_are_a_programming_error_and_leave_no_row(library: Library, queue: JobQueue) -> None:
    job = queue.submit(request()).id
    queue.claim()
    with pytest.raises(ValueError, match="image data"):
        library.add(job=job, request=request(), width=64, height=64, pixels=PIXELS[:-1], facts={})
    assert library.page() == ()
    assert queue.get(job).state == "running"


def test_a_job_has_one_picture(library: Library, queue: JobQueue, tmp_path: Path) -> None:
    picture = add(library, queue, request())
    again = library.add(job=picture.job, request=request(), width=64, height=64, pixels=PIXELS[::-1], facts={})
    assert again == picture
    assert len(library.page()) == 1
    assert len(files(tmp_path)) == 2


def test_a_job_has_one_picture_although_several_add_at_once(library: Library, queue: JobQueue, tmp_path: Path) -> None:
    asked = request(width=512, height=512)
    job = queue.submit(asked).id
    queue.claim()
    together = threading.Barrier(4)
    added: list[Picture] = []

    def add_one() -> None:
        together.wait()
        pixels = bytes(512 * 512 * 3)
        added.append(library.add(job=job, request=asked, width=512, height=512, pixels=pixels, facts={}))

    threads = [threading.Thread(target=add_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert added == [library.get(1)] * 4
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("state", ["waiting", "cancelled", "failed"])
def test_only_a_running_job_gets_a_picture(state: str, library: Library, queue: JobQueue) -> None:
    job = queue.submit(request()).id
    if state == "cancelled":
        queue.cancel(job)
    if state == "failed":
        queue.claim()
        queue.fail(job, "engine_fault", "x")
    with pytest.raises(IllegalTransition):
        library.add(job=job, request=request(), width=64, height=64, pixels=PIXELS, facts={})
    assert library.page() == ()
    assert queue.get(job).state == state


def test_a_picture_of_no_job_is_refused(library: Library) -> None:
    with pytest.raises(NotFound):
        library.add(job=7, request=request(), width=64, height=64, pixels=PIXELS, facts={})


def test_no_file_is_written_over_when_the_database_starts_over(
    library: Library, queue: JobQueue, tmp_path: Path
) -> None:
    """Job numbers begin again then, with the same seeds and in the same folder."""
    add(library, queue, request())
    fresh = Database(sqlite_url(tmp_path / "elsewhere"))
    fresh.open()
    add(Library(fresh, tmp_path), JobQueue(fresh), request())
    fresh.close()
    names = [Path(file).name for file in files(tmp_path / "pictures")]
    assert [name[:10] for name in names] == ["000001-42-", "000001-42-"]
    assert len(set(names)) == 2


def test_nothing_is_left_when_the_disk_refuses(library: Library, queue: JobQueue, tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("a file where the folder should be")
    job = queue.submit(request()).id
    queue.claim()
    with pytest.raises(OSError, match="pictures"):
        library.add(job=job, request=request(), width=64, height=64, pixels=PIXELS, facts={})
    assert library.page() == ()
    assert queue.get(job).state == "running"


def test_no_picture_is_left_when_its_thumbnail_cannot_be_written(
    library: Library, queue: JobQueue, tmp_path: Path
) -> None:
    (tmp_path / "thumbnails").write_text("a file where the folder should be")
    job = queue.submit(request()).id
    queue.claim()
    with pytest.raises(OSError, match="thumbnails"):
        library.add(job=job, request=request(), width=64, height=64, pixels=PIXELS, facts={})
    assert files(tmp_path / "pictures") == []


def test_pages_are_newest_first_and_meet_without_gap(library: Library, queue: JobQueue) -> None:
    ids = [add(library, queue, request(seed=seed)).id for seed in range(5)]
    first = library.page(limit=2)
    second = library.page(limit=2, cursor=first[-1].id)
    third = library.page(limit=2, cursor=second[-1].id)
    assert [picture.id for picture in (*first, *second, *third)] == ids[::-1]
    assert library.page(cursor=third[-1].id) == ()
    assert library.page(cursor=2**80)[0].id == ids[-1]
    assert library.page(cursor=-(2**80)) == ()


def test_a_new_picture_does_not_shift_older_pages(library: Library, queue: JobQueue) -> None:
    for seed in range(4):
        add(library, queue, request(seed=seed))
    first = library.page(limit=2)
    add(library, queue, request(seed=9))
    assert [picture.request.seed for picture in library.page(limit=2, cursor=first[-1].id)] == [1, 0]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", ["100% wool_hat", "山上的灯塔", "A Red Barn"]),
        ("  ", ["100% wool_hat", "山上的灯塔", "A Red Barn"]),
        ("red barn", ["A Red Barn"]),
        ("barn a", ["A Red Barn"]),
        ("red sea", []),
        ("灯", ["山上的灯塔"]),
        ("%", ["100% wool_hat"]),
        ("_", ["100% wool_hat"]),
        ("/", []),
        ("'; --", []),
    ],
)
def test_search_finds_prompts_with_every_word(words: str, found: list[str], library: Library, queue: JobQueue) -> None:
    for prompt in ("A Red Barn", "山上的灯塔", "100% wool_hat"):
        add(library, queue, request(prompt=prompt))
    assert [picture.request.prompt for picture in library.page(words=words)] == found


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        ("кот", "Кот на окне"),
        ("КОТ ОКНЕ", "Кот на окне"),
        ("CHÂTEAU", "un château"),
        ("château", "UN CHÂTEAU"),
        ("STRASSE", "eine Straße"),
        ("ΣΟΦΌΣ", "ο σοφός"),
    ],
)
def test_search_knows_the_capitals_of_every_alphabet(
    words: str, prompt: str, library: Library, queue: JobQueue
) -> None:
    add(library, queue, request(prompt="a red barn"))
    add(library, queue, request(prompt=prompt))
    add(library, queue, request(prompt="", negative_prompt=prompt))
    assert library.count(words=words) == 2
    assert library.recent_prompts(words) == (prompt,)


@pytest.mark.parametrize("words", ["x" * 201, "a\x00b", "\ud800"])
def test_a_search_that_cannot_be_one_is_refused(words: str, library: Library) -> None:
    with pytest.raises(InvalidRequest, match="words"):
        library.page(words=words)


def test_the_longest_search_works(library: Library) -> None:
    assert library.page(words="a " * 100) == ()


@pytest.mark.parametrize("id", [0, 1, -1, 2**63 - 1, 2**63, -(2**63), 10**30])
def test_a_picture_that_does_not_exist_is_not_found(id: int, library: Library) -> None:
    for look in (library.get, library.picture_path, library.thumbnail_path):
        with pytest.raises(NotFound, match="picture"):
            look(id)


def test_a_file_that_was_taken_away_is_not_found(library: Library, queue: JobQueue) -> None:
    picture = add(library, queue, request())
    library.picture_path(picture.id).unlink()
    library.thumbnail_path(picture.id).unlink()
    for look in (library.picture_path, library.thumbnail_path):
        with pytest.raises(NotFound):
            look(picture.id)


@pytest.mark.parametrize("damaged", [lambda whole: whole[:-40], lambda whole: bytes(len(whole)), lambda _: b""])
def test_a_damaged_picture_without_its_thumbnail_has_none(
    damaged: Callable[[bytes], bytes], library: Library, queue: JobQueue
) -> None:
    picture = add(library, queue, request())
    path = library.picture_path(picture.id)
    path.write_bytes(damaged(path.read_bytes()))
    assert library.thumbnail_path(picture.id).exists()
    library.thumbnail_path(picture.id).unlink()
    with pytest.raises(NotFound):
        library.thumbnail_path(picture.id)


def test_where_there_is_no_room_for_a_thumbnail_the_picture_stands_for_it(
    library: Library, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = add(library, queue, request())
    library.thumbnail_path(picture.id).unlink()

    def without_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("darkroom.history.library.write_whole", without_room)
    assert library.thumbnail_path(picture.id) == library.picture_path(picture.id)


def test_a_lost_thumbnail_is_made_anew(library: Library, queue: JobQueue) -> None:
    picture = add(library, queue, request())
    path = library.thumbnail_path(picture.id)
    content = path.read_bytes()
    path.unlink()
    assert library.thumbnail_path(picture.id).read_bytes() == content


def test_only_our_own_half_written_files_are_swept(library: Library, queue: JobQueue, tmp_path: Path) -> None:
    assert library.sweep() == 0
    picture = add(library, queue, request())
    month = library.picture_path(picture.id).parent
    thumbnails = library.thumbnail_path(picture.id).parent
    ours = [month / ".darkroom-00ff.part", thumbnails / ".darkroom-1.part", tmp_path / ".darkroom-1.part"]
    theirs = [month / "mine.part", month / ".darkroom-notes.txt", month / "orphan.png"]
    for path in (*ours, *theirs):
        path.write_bytes(b"x")
    assert library.sweep() == 3
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in (*theirs, library.picture_path(picture.id)))
