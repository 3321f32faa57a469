"""Files that arrive: whole under a name of their own, or not at all."""

import os
import shutil
import time
from pathlib import Path

import pytest

from darkroom.errors import LoraUnusable
from darkroom.loras import keeping
from darkroom.loras.keeping import Keeper, clean_name
from tests.loras.files import DEMO_KOHYA, FLUX_KOHYA, INK, SDXL, write


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path)


def keep(keeper: Keeper, name: str, content: bytes) -> str:
    with keeper.expect(name, len(content)) as arriving:
        for start in range(0, len(content), 100_000):
            arriving.add(content[start : start + 100_000])
        return arriving.finish()


def left(keeper: Keeper) -> list[str]:
    return sorted(path.name for path in keeper.folder.iterdir())


def test_a_file_arrives_whole_and_is_the_same(keeper: Keeper) -> None:
    assert keep(keeper, "My ink.SafeTensors", INK.read_bytes()) == "My ink"
    assert left(keeper) == ["My ink.safetensors"]
    assert (keeper.folder / "My ink.safetensors").read_bytes() == INK.read_bytes()


def test_nothing_is_written_over_and_the_same_file_is_kept_once(tmp_path: Path) -> None:
    own = tmp_path / "demo" / "loras"
    own.mkdir(parents=True)
    shutil.copy(INK, own)
    keeper = Keeper(tmp_path, lambda: [own])
    other = write(tmp_path / "other.safetensors", DEMO_KOHYA).read_bytes()
    assert keep(keeper, "ink.safetensors", INK.read_bytes()) == "ink"
    assert left(keeper) == []
    assert keep(keeper, "ink.safetensors", other) == "ink-2"
    assert keep(keeper, "ink.safetensors", other) == "ink-2"
    assert left(keeper) == ["ink-2.safetensors"]


def test_one_for_a_model_that_is_not_chosen_now_is_kept_too(keeper: Keeper, tmp_path: Path) -> None:
    assert keep(keeper, "big.safetensors", write(tmp_path / "big.safetensors", FLUX_KOHYA).read_bytes()) == "big"


@pytest.mark.parametrize("case", ["SDXL", "a model", "cut", "nothing", "text"])
def test_what_no_model_can_use_leaves_nothing_behind(case: str, keeper: Keeper, tmp_path: Path) -> None:
    content = {
        "SDXL": write(tmp_path / "a.safetensors", SDXL).read_bytes(),
        "a model": write(tmp_path / "b.safetensors", {"img_in.weight": (4, 4)}).read_bytes(),
        "cut": INK.read_bytes()[:-1],
        "nothing": b"",
        "text": b"hello" * 100,
    }[case]
    with pytest.raises(LoraUnusable, match=r"x\.safetensors"):
        keep(keeper, "x.safetensors", content)
    assert left(keeper) == []


def test_one_that_breaks_off_leaves_nothing_behind(keeper: Keeper) -> None:
    def broken_off() -> None:
        with keeper.expect("x.safetensors", None) as arriving:
            arriving.add(INK.read_bytes()[:5000])
            raise ConnectionError

    with pytest.raises(ConnectionError):
        broken_off()
    assert left(keeper) == []


def test_more_than_a_lora_can_be_is_refused_before_and_while_it_comes(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LARGEST_FILE", 1000)
    with pytest.raises(LoraUnusable, match="larger"):
        keeper.expect("x.safetensors", 1001)
    with pytest.raises(LoraUnusable, match="larger"), keeper.expect("x.safetensors", None) as arriving:
        arriving.add(b"x" * 1001)
    assert left(keeper) == []


def test_a_full_disk_and_a_folder_that_cannot_be_are_said(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(keeping, "SPARE", 2**60)
    with pytest.raises(LoraUnusable, match="not enough room"):
        keeper.expect("x.safetensors", 10)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LoraUnusable, match="could not be written"):
        Keeper(tmp_path / "file").expect("x.safetensors", 10)


def test_what_a_crash_left_is_forgotten_after_a_day(keeper: Keeper) -> None:
    keeper.folder.mkdir()
    old, new = (keeper.folder / f".darkroom-{name}.part" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (time.time() - 2 * keeping.FORGOTTEN_AFTER,) * 2)
    keep(keeper, "a.safetensors", INK.read_bytes())
    assert left(keeper) == [".darkroom-new.part", "a.safetensors"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("ink.safetensors", "ink"),
        ("../../etc/passwd.safetensors", "passwd"),
        ("C:\\loras\\水墨 v2.safetensors", "水墨 v2"),
        ("a:b*c?.safetensors", "a_b_c_"),
        ("con.safetensors", "_con"),
        ("lpt1.old.safetensors", "_lpt1.old"),
        (".safetensors", "lora"),
        ("....safetensors", "lora"),
        ("a\x00\u202eb.safetensors", "a_b"),
        ("x" * 900 + ".safetensors", "x" * 100),
        (" <lora:a:1> .safetensors", "_lora_a_1_"),
    ],
)
def test_names_become_names_of_files(given: str, name: str) -> None:
    assert clean_name(given) == name


@pytest.mark.parametrize("given", ["a.ckpt", "a.pt", "safetensors", "", "a.safetensors.exe", "a.safetensors/"])
def test_other_endings_are_refused(given: str) -> None:
    with pytest.raises(LoraUnusable, match=r"no \.safetensors file"):
        clean_name(given)
