"""LoRAs by name: where they lie, how they are found, and that a file put there is seen at once."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from darkroom.architecture import FLUX1
from darkroom.catalog import DEMO, FLUX1_DEV
from darkroom.loras.folders import LoraFolders, lora_folders
from darkroom.loras.layers import Layers, sizes_of
from tests.loras.files import DEMO_KOHYA, FLUX_KOHYA, INK, SDXL, write


@pytest.fixture
def folders(tmp_path: Path) -> LoraFolders:
    own, every = lora_folders(tmp_path, DEMO)
    write(own / "pen.safetensors", DEMO_KOHYA, {"modelspec.title": "A pen"})
    write(every / "pen.safetensors", DEMO_KOHYA, {"modelspec.title": "Another pen"})
    write(every / "drawings" / "Chalk.safetensors", DEMO_KOHYA)
    write(every / "big.safetensors", FLUX_KOHYA)
    write(every / "pony.safetensors", SDXL)
    return LoraFolders(tmp_path)


def test_those_that_can_be_used_come_first_and_a_models_own_before_that_of_all(folders: LoraFolders) -> None:
    files = folders.files(DEMO)
    assert [file.name for file in files] == ["pen", "drawings/Chalk", "big", "pony"]
    assert [file.title for file in files] == ["A pen", "Chalk", "big", "pony"]
    assert [str(file.problem) for file in files[2:]] == [
        "The LoRA big.safetensors was made for FLUX.1.",
        "The LoRA pony.safetensors was made for SDXL.",
    ]


def test_another_model_sees_other_folders_and_can_use_others(folders: LoraFolders) -> None:
    usable = {file.name: file.problem is None for file in folders.files(FLUX1_DEV)}
    assert usable == {"big": True, "pen": False, "drawings/Chalk": False, "pony": False}
    without_guidance = replace(FLUX1_DEV, architecture=replace(FLUX1, guidance=False))
    assert [file.name for file in folders.files(without_guidance) if not file.problem] == ["big"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_that_is_not_text_is_passed_over(folders: LoraFolders) -> None:
    before = folders.all_files([DEMO])
    for place in ("模型.safetensors", "模型/ink.safetensors"):
        write(folders.models / "loras" / os.fsdecode(place.encode("gbk")), DEMO_KOHYA)
    assert folders.all_files([DEMO]) == before
    assert len(folders.files(DEMO)) == 4


def test_a_file_is_seen_as_soon_as_it_lies_there_and_read_anew_when_it_is_another(folders: LoraFolders) -> None:
    path = folders.models / "loras" / "new.safetensors"
    assert folders.find("new", DEMO) is None
    write(path, SDXL)
    found = folders.find("new", DEMO)
    assert found is not None
    assert found.problem is not None
    shutil.copy(INK, path)
    found = folders.find("new", DEMO)
    assert found is not None
    assert (found.problem, found.about.words) == (None, ("ink drawing",))
    path.unlink()
    assert folders.find("new", DEMO) is None


def test_those_of_another_programs_folder_come_last_and_are_found_by_name(folders: LoraFolders, tmp_path: Path) -> None:
    theirs = tmp_path / "ComfyUI" / "loras"
    write(theirs / "pen.safetensors", DEMO_KOHYA, {"modelspec.title": "Their pen"})
    write(theirs / "style" / "charcoal.safetensors", DEMO_KOHYA)
    entry = replace(DEMO, more_loras=(PurePosixPath(theirs.as_posix()), PurePosixPath("/nowhere")))
    assert {file.name: file.title for file in folders.files(entry) if not file.problem} == {
        "pen": "A pen",
        "drawings/Chalk": "Chalk",
        "style/charcoal": "charcoal",
    }
    found = folders.meant("Charcoal", entry)
    assert found is not None
    assert found.path == theirs / "style" / "charcoal.safetensors"
    assert folders.find("style/charcoal", DEMO) is None


@pytest.mark.parametrize(
    "name", ["pen", " pen.safetensors ", "PEN", "A pen", "drawings/chalk", "chalk", "drawings\\Chalk"]
)
def test_a_person_may_write_a_name_in_several_ways(name: str, folders: LoraFolders) -> None:
    found = folders.meant(name, DEMO)
    assert found is not None
    assert found.name == ("drawings/Chalk" if "halk" in name else "pen")


@pytest.mark.parametrize("name", ["", "nothing", "../pen", "/etc/passwd", "a" * 5000, "pen/../pen", "\0"])
def test_what_is_no_name_finds_nothing(name: str, folders: LoraFolders) -> None:
    assert folders.find(name, DEMO) is None
    assert folders.meant(name, DEMO) is None


def test_links_are_followed_but_no_folder_twice(folders: LoraFolders, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere / "linked.safetensors", DEMO_KOHYA)
    (tmp_path / "loras" / "comfy").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(tmp_path / "loras")
    names = [file.name for file in folders.files(DEMO)]
    assert "comfy/linked" in names
    assert len(names) == 5
    (tmp_path / "loras" / ".darkroom-1.part").write_bytes(b"")
    (tmp_path / "loras" / ".hidden.safetensors").write_bytes(b"")
    assert [file.name for file in folders.files(DEMO)] == names


def test_layers_of_a_plan_have_the_sizes_of_the_real_ones() -> None:
    sizes = sizes_of(FLUX1)
    assert len(sizes) == 19 * 10 + 38 * 3 + 10
    assert (sizes["single_blocks.37.proj_out"], sizes["blocks.18.ff_b.2"]) == ((15360, 3072), (12288, 3072))


def test_layers_of_guidance_are_left_out_where_there_is_none() -> None:
    layers = Layers(sizes_of(replace(DEMO.architecture, guidance=False)))
    place = layers.find("transformer.time_text_embed.guidance_embedder.linear_1")
    assert place is not None
    assert layers.is_left_out(place)
    assert not Layers(sizes_of(DEMO.architecture)).is_left_out(place)
