"""A download ends whole and checked; it goes on where it was after a cut, a pause and a restart; damage is mended."""

import hashlib
import random
import shutil
import time
from pathlib import Path

import pytest

from darkroom.config import ModelSettings
from darkroom.downloads.downloads import Downloads
from darkroom.downloads.shelf import Shelf
from tests.downloads.conftest import (
    CONTENT,
    HUBS,
    QUICK,
    REPOSITORY,
    SIZE,
    SOON,
    Bench,
    MakeBench,
    settings_of,
    small,
    until,
)
from tests.downloads.hub import Hub

SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("which", HUBS)
def test_a_file_comes_whole_and_checked(bench: Bench, which: str) -> None:
    assert bench.fetch(which) == ""
    assert bench.is_whole()
    assert bench.downloads.tasks() == ()
    item = bench.shelf.item(bench.file)
    assert (item.state, item.bytes) == ("whole", SIZE)
    verdict = bench.shelf.records.verdict(str(bench.file.place))
    assert verdict is not None
    assert verdict.sha256 == SHA256


def test_nobody_is_asked_before_a_person_asks(bench: Bench) -> None:
    bench.shelf.models()
    bench.downloads.start()
    bench.downloads.tasks()
    assert bench.hub.requests == []
    bench.fetch()
    asked = len(bench.hub.requests)
    again = bench.again()
    again.downloads.start()
    again.fetch()
    assert len(bench.hub.requests) == asked


@pytest.mark.parametrize("which", HUBS)
def test_a_line_that_breaks_a_hundred_times_costs_hardly_a_byte_twice(bench: Bench, which: str) -> None:
    cuts = random.Random(7)
    bench.hub.trouble.cuts = [cuts.randrange(1, SIZE // 60) for _ in range(100)]
    assert bench.fetch(which) == ""
    assert bench.is_whole()
    assert bench.hub.trouble.cuts == [] or len(bench.hub.trouble.cuts) < 60
    assert bench.hub.sent <= SIZE * 1.05


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_wherever_a_line_breaks_the_rest_comes_with_the_next(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)
    bench.hub.trouble.cuts = [chance.randrange(SIZE) for _ in range(3)]
    assert bench.fetch(chance.choice(HUBS)) == ""
    assert bench.is_whole()
    assert bench.hub.sent <= SIZE * 1.05


def test_after_a_restart_it_goes_on_where_it_was(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.hub.trouble.slowness = 0.003
    bench.downloads.get([bench.file], "modelscope")
    until(lambda: bench.part.exists() and bench.part.stat().st_size > SIZE // 3)
    again = bench.again()
    kept = bench.part.stat().st_size
    assert not bench.path.exists()
    bench.hub.trouble.slowness = 0
    again.downloads.start()
    assert again.downloads.wait(SOON)
    assert again.is_whole()
    assert bench.began_at() == [0, kept]
    again.downloads.close()


def test_a_person_pauses_and_goes_on(bench: Bench) -> None:
    bench.hub.trouble.slowness = 0.003
    bench.downloads.get([bench.file], "huggingface")
    until(lambda: bench.part.exists() and bench.part.stat().st_size > SIZE // 4)
    bench.downloads.pause([str(bench.file.place)])
    (task,) = bench.downloads.tasks()
    assert task.phase == "paused"
    assert bench.downloads.wait(SOON)
    kept = bench.part.stat().st_size
    assert bench.shelf.item(bench.file).state == "partial"
    assert bench.downloads.tasks()[0].done == kept
    time.sleep(0.1)
    assert bench.part.stat().st_size == kept
    bench.hub.trouble.slowness = 0
    bench.downloads.resume([str(bench.file.place)])
    assert bench.downloads.wait(SOON)
    assert bench.is_whole()
    assert bench.began_at() == [0, kept]


def test_what_is_no_longer_wanted_is_not_fetched(bench: Bench) -> None:
    bench.hub.trouble.slowness = 0.01
    bench.downloads.get([bench.file], "modelscope")
    until(lambda: bench.part.exists())
    bench.downloads.forget([str(bench.file.place)])
    assert bench.downloads.wait(SOON)
    assert bench.downloads.tasks() == ()
    bench.shelf.remove_file(str(bench.file.place), consent=True)
    assert bench.shelf.item(bench.file).state == "missing"


def test_while_it_comes_it_says_how_far_it_is(bench: Bench) -> None:
    bench.hub.trouble.slowness = 0.01
    bench.downloads.get([bench.file], "modelscope")
    until(lambda: bench.downloads.tasks()[0].rate and bench.downloads.tasks()[0].done > 200_000)
    (task,) = bench.downloads.tasks()
    assert (task.phase, task.total) == ("fetching", SIZE)
    assert task.rate is not None
    assert 100_000 < task.rate < 50_000_000


def test_small_files_come_from_the_hub_itself_and_are_checked_by_gits_name(make_bench: MakeBench) -> None:
    path = {"repository": REPOSITORY, "path": "small.json"}
    bench = make_bench(place="small/small.json", huggingface=path)
    bench.hub.put(REPOSITORY, "small.json", CONTENT)
    assert bench.fetch("huggingface") == ""
    assert bench.is_whole()


def test_a_part_of_another_version_is_not_gone_on_with(bench: Bench) -> None:
    bench.part.parent.mkdir(parents=True)
    bench.part.write_bytes(b"something else" * 1000)
    assert bench.fetch() == ""
    assert bench.is_whole()


def test_the_other_hub_goes_on_with_the_same_bytes(bench: Bench) -> None:
    bench.hub.trouble.slowness = 0.003
    bench.downloads.get([bench.file], "modelscope")
    until(lambda: bench.part.exists() and bench.part.stat().st_size >= SIZE // 2)
    bench.downloads.pause([str(bench.file.place)])
    bench.downloads.wait(SOON)
    kept = bench.part.stat().st_size
    bench.hub.trouble.slowness = 0
    bench.downloads.resume([str(bench.file.place)], "huggingface")
    assert bench.downloads.wait(SOON)
    assert bench.is_whole()
    assert bench.began_at() == [0, kept]


def test_a_second_darkroom_on_the_folder_waits_and_takes_what_the_first_has_fetched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.downloads.downloads.SECONDS_BEHIND", 0.01)
    bench.hub.free.clear()
    bench.downloads.get([bench.file], "modelscope")
    until(lambda: bench.part.exists())
    other = Downloads(Shelf(bench.settings), patience=QUICK)
    other.get([bench.file], "modelscope")
    until(lambda: [task.phase for task in other.tasks()] == ["behind"])
    bench.hub.free.set()
    assert other.wait(SOON)
    assert other.tasks() == ()
    assert bench.downloads.wait(SOON)
    assert bench.is_whole()
    assert bench.began_at() == [0]
    other.close()


def test_who_waits_for_a_second_darkroom_can_be_paused(bench: Bench) -> None:
    bench.hub.free.clear()
    bench.downloads.get([bench.file], "modelscope")
    until(lambda: bench.part.exists())
    other = Downloads(Shelf(bench.settings), patience=QUICK)
    other.get([bench.file], "modelscope")
    until(lambda: [task.phase for task in other.tasks()] == ["behind"])
    other.pause([str(bench.file.place)])
    assert other.wait(SOON)
    assert [task.phase for task in other.tasks()] == ["paused"]
    other.close()


@pytest.mark.parametrize("after_a_restart", [False, True])
def test_a_file_that_a_person_has_put_there_after_a_failure_is_all_that_was_wanted(
    bench: Bench, after_a_restart: bool
) -> None:
    bench.hub.trouble.statuses = [404]
    assert bench.fetch() == "not_there"
    bench.hub.requests.clear()
    bench.path.parent.mkdir(parents=True, exist_ok=True)
    bench.path.write_bytes(CONTENT)
    downloads = bench.again().downloads if after_a_restart else bench.downloads
    downloads.resume([str(bench.file.place)])
    assert downloads.wait(SOON)
    assert downloads.tasks() == ()
    bench.path.unlink()
    assert downloads.tasks() == ()
    assert bench.hub.requests == []
    downloads.close()


def test_what_has_paused_of_a_size_that_nobody_knew_keeps_the_hubs_word(bench: Bench) -> None:
    bench.hub.trouble.slowness = 0.003
    bench.downloads.get([bench.file], "modelscope")
    (task,) = bench.downloads.tasks()
    assert task.total in (None, SIZE)
    until(lambda: bench.part.exists() and bench.part.stat().st_size > SIZE // 4)
    bench.downloads.pause([str(bench.file.place)])
    assert bench.downloads.wait(SOON)
    assert [task.total for task in bench.downloads.tasks()] == [SIZE]
    assert [task.total for task in bench.again().downloads.tasks()] == [SIZE]


def test_several_come_one_after_the_other_in_order(tmp_path: Path, hub: Hub) -> None:
    source = {"repository": REPOSITORY, "path": "small.safetensors"}
    own = [
        {"name": name, "like": "demo", "file": f"{name}.safetensors", "modelscope": source} for name in ("b", "a", "c")
    ]
    settings = settings_of(tmp_path, own=own)
    shelf = Shelf(settings)
    downloads = Downloads(shelf, patience=QUICK)
    wanted = [shelf.file(f"{name}.safetensors") for name in ("b", "a", "c")]
    hub.trouble.slowness = 0.002
    downloads.get(wanted, "modelscope")
    seen: list[list[str]] = []
    while not downloads.wait(0.01):
        tasks = downloads.tasks()
        assert sum(task.is_at_work for task in tasks) <= 1
        seen.append([task.place for task in tasks])
    assert seen[0] == ["b.safetensors", "a.safetensors", "c.safetensors"]
    times = [(tmp_path / "models" / f"{name}.safetensors").stat().st_mtime_ns for name in ("b", "a", "c")]
    assert times == sorted(times)
    downloads.close()


def test_a_damaged_file_is_found_and_mended(bench: Bench) -> None:
    bench.fetch()
    content = bytearray(CONTENT)
    content[1_000_000] ^= 1
    bench.path.write_bytes(content)
    assert bench.shelf.item(bench.file).state == "unchecked"
    bench.downloads.check([bench.file], "modelscope")
    assert bench.downloads.wait(SOON)
    assert bench.shelf.item(bench.file).state == "damaged"
    assert bench.fetch() == ""
    assert bench.is_whole()
    assert bench.shelf.item(bench.file).state == "whole"


def test_a_file_of_the_wrong_size_is_damaged_without_being_read(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.fetch()
    shutil.copy(bench.path, bench.path.with_suffix(".copy"))
    bench.downloads.check([bench.file], "modelscope")
    bench.downloads.wait(SOON)
    assert bench.shelf.item(bench.file).state == "whole"


def test_a_wish_for_a_model_that_the_settings_no_longer_have_is_dropped(bench: Bench) -> None:
    bench.hub.trouble.statuses = [404]
    assert bench.fetch() == "not_there"
    shelf = Shelf(bench.settings.model_copy(update={"models": ModelSettings()}))
    downloads = Downloads(shelf, patience=QUICK)
    downloads.resume([str(bench.file.place)])
    assert downloads.wait(SOON)
    assert downloads.tasks() == ()
    downloads.close()


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"version": 1}', '{"verdicts": 5, "beginnings": {}, "wanted": []}']
)
def test_records_that_cannot_be_read_begin_anew(bench: Bench, content: str) -> None:
    file = bench.settings.folders.models / ".darkroom/downloads.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert bench.again().downloads.tasks() == ()


def test_an_entry_of_the_settings_may_name_an_absolute_path_and_it_is_only_read(tmp_path: Path, hub: Hub) -> None:
    settings = settings_of(tmp_path, own=[small(str(tmp_path / "there.safetensors"))])
    shelf = Shelf(settings)
    downloads = Downloads(shelf, patience=QUICK)
    file = shelf.file(str(tmp_path / "there.safetensors"))
    downloads.get([file], "modelscope")
    assert downloads.wait(SOON)
    assert [task.trouble.reason for task in downloads.tasks() if task.trouble] == ["outside"]
    assert hub.requests == []
    downloads.close()
