"""What is on the shelf: the catalogue's models, a person's own, and files that were dropped into a folder."""

import json
import os
import shutil
import sys
from pathlib import Path, PurePosixPath

import pytest

from darkroom.catalog import DEMO, FLUX1_DEV, MAJICFLUS, MODELS
from darkroom.downloads.folder import ModelsFolder
from darkroom.downloads.shelf import Shelf
from darkroom.errors import DownloadFailed, NotFound, StillNeeded
from darkroom.weights import CLIP_L, SHARED_FILES, T5_XXL, VAE, WeightFile
from tests.downloads.conftest import settings_of, small

SHIPPED = Path(__file__).parents[2] / "models"
TRANSFORMER = SHIPPED / DEMO.files.transformer


def hollow(path: Path, size: int) -> None:
    """A file of that size, which takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


def lay(folder: Path, *files: WeightFile) -> None:
    for file in files:
        hollow(folder / file.place, file.size or 3)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(settings_of(tmp_path))


def names(shelf: Shelf) -> list[str]:
    return [entry.name for entry in shelf.entries()]


def test_of_an_empty_folder_only_what_ships_is_offered(shelf: Shelf) -> None:
    assert names(shelf) == ["demo"]
    assert [state.entry.name for state in shelf.models()] == [entry.name for entry in MODELS]
    assert {item.state for state in shelf.models() for item in state.items} == {"missing"}


def test_what_ships_is_found_beside_the_program_where_the_models_folder_is_another(
    shelf: Shelf, tmp_path: Path, models: Path
) -> None:
    for place in vars(shelf.find("demo").files).values():
        assert Path(place).exists()
        assert Path(place).is_relative_to(SHIPPED)
    shutil.copytree(SHIPPED / "demo", models / "demo")
    assert shelf.find("demo").files == DEMO.files
    own = Shelf(settings_of(tmp_path / "other", own=[small()])).find("small")
    assert Path(own.files.vae) == SHIPPED / DEMO.files.vae
    assert own.files.transformer == PurePosixPath("small/small.safetensors")


def test_what_ships_and_is_gone_all_the_same_is_not_here(tmp_path: Path) -> None:
    shelf = Shelf(settings_of(tmp_path), shipped=tmp_path / "nothing")
    assert not shelf.model("demo").is_here
    shutil.copytree(SHIPPED / "demo", tmp_path / "half" / "models" / "demo")
    (tmp_path / "half" / "models" / DEMO.files.vae).unlink()
    assert Shelf(settings_of(tmp_path / "half")).model("demo").nowhere == (DEMO.files.vae,)
    assert DEMO.files.transformer in shelf.model("demo").nowhere
    # The form names one all the same.
    assert names(shelf) == ["demo"]
    lay(tmp_path / "models", *FLUX1_DEV.weights)
    assert names(shelf) == ["flux1-dev"]


def test_a_model_is_offered_when_the_last_of_its_files_is_here(shelf: Shelf, models: Path) -> None:
    lay(models, *FLUX1_DEV.weights[:-1])
    assert names(shelf) == ["demo"]
    lay(models, FLUX1_DEV.weights[-1])
    assert names(shelf) == ["flux1-dev", "demo"]


def test_what_several_models_share_lies_here_once(shelf: Shelf, models: Path) -> None:
    lay(models, *FLUX1_DEV.weights, MAJICFLUS.weights[0])
    assert names(shelf) == ["majicflus-v1", "flux1-dev", "demo"]
    places = [file.place for file in shelf.files]
    assert len(places) == len(set(places))


def test_a_file_of_the_wrong_size_is_damaged_and_a_part_is_partial(shelf: Shelf, models: Path) -> None:
    hollow(models / T5_XXL.place, 5)
    hollow(models / "shared/clip_l.safetensors.part", 7)
    assert shelf.item(T5_XXL).state == "damaged"
    assert (shelf.item(CLIP_L).state, shelf.item(CLIP_L).bytes) == ("partial", 7)


def test_another_programs_folder_is_read_and_never_changed(tmp_path: Path, models: Path) -> None:
    comfy = tmp_path / "ComfyUI" / "models"
    hollow(comfy / "clip" / "t5xxl_fp16.safetensors", T5_XXL.size or 0)
    hollow(comfy / "vae" / "flux_vae.safetensors", VAE.size or 0)
    hollow(comfy / "clip" / "clip_l.safetensors", 12)
    (tmp_path / "link").symlink_to(comfy)
    shelf = Shelf(settings_of(tmp_path, folders=[tmp_path / "link", tmp_path / "not there"]))
    found = {item.file.place.name: item for item in shelf.shared() if item.elsewhere}
    assert sorted(found) == ["ae.safetensors", "t5xxl_fp16.safetensors"]
    lay(models, *(file for file in FLUX1_DEV.weights if file not in (T5_XXL, VAE)))
    (entry, _) = shelf.entries()
    assert Path(entry.files.text_encoder_2) == tmp_path / "link" / "clip" / "t5xxl_fp16.safetensors"
    assert Path(entry.files.vae) == tmp_path / "link" / "vae" / "flux_vae.safetensors"
    assert entry.files.text_encoder_1 == CLIP_L.place
    for place in (T5_XXL.place, VAE.place):
        with pytest.raises(DownloadFailed):
            shelf.remove_file(str(place), consent=True)
    assert (comfy / "vae" / "flux_vae.safetensors").exists()


def test_loras_of_other_programs_are_looked_for_where_those_keep_them(tmp_path: Path) -> None:
    comfy, forge, own = tmp_path / "ComfyUI" / "models", tmp_path / "forge" / "models", tmp_path / "mine" / "loras"
    shelf = Shelf(settings_of(tmp_path, folders=[comfy, forge, own]))
    looked_for = {Path(folder) for folder in shelf.find("demo").more_loras}
    assert {comfy / "loras", forge / "Lora", own} <= looked_for
    assert own / "loras" not in looked_for
    assert {state.entry.more_loras for state in shelf.models()} == {shelf.find("demo").more_loras}


def test_a_file_dropped_into_the_folder_is_a_model_by_what_is_in_it(shelf: Shelf, models: Path) -> None:
    models.mkdir()
    shutil.copy(TRANSFORMER, models / "My Ünlikely Name!.safetensors")
    shelf.look_again()
    assert names(shelf) == ["demo", "my-nlikely-name"]
    entry = shelf.find("my-nlikely-name")
    assert entry.files.transformer == PurePosixPath("My Ünlikely Name!.safetensors")
    assert Path(entry.files.vae) == SHIPPED / DEMO.files.vae
    assert entry.architecture == DEMO.architecture
    assert len(entry.name) <= 100


def test_two_files_of_one_name_are_two_models(tmp_path: Path, models: Path) -> None:
    for folder in (models / "a", models / "b", tmp_path / "more"):
        folder.mkdir(parents=True)
        shutil.copy(TRANSFORMER, folder / "mine.safetensors")
    shelf = Shelf(settings_of(tmp_path, folders=[tmp_path / "more"]))
    assert names(shelf) == ["demo", "mine", "mine-2", "mine-3"]
    assert Path(shelf.find("mine-3").files.transformer) == tmp_path / "more" / "mine.safetensors"


def test_what_is_no_model_is_seen_with_its_reason(shelf: Shelf, models: Path) -> None:
    models.mkdir()
    (models / "old.ckpt").write_bytes(b"\x80\x02 never opened")
    (models / "cut.safetensors").write_bytes(TRANSFORMER.read_bytes()[:5000])
    (models / "half.safetensors.part").write_bytes(b"x")
    (models / ".darkroom-abc.part").write_bytes(b"x")
    shutil.copy(SHIPPED / DEMO.files.vae, models / "a_vae.safetensors")
    shutil.copytree(SHIPPED / "demo" / "loras", models / "loras")
    shelf.look_again()
    assert names(shelf) == ["demo"]
    seen = {each.where: each.trouble.reason if each.trouble else "" for each in shelf.others()}
    assert seen == {"a_vae.safetensors": "", "cut.safetensors": "damaged", "old.ckpt": "pickled"}


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
@pytest.mark.parametrize("place", ["模型.safetensors", "模型/a.safetensors"])
def test_a_name_that_is_not_text_is_seen_and_not_used(tmp_path: Path, models: Path, place: str) -> None:
    for folder in (models, tmp_path / "more"):
        odd = folder / os.fsdecode(place.encode("gbk"))
        odd.parent.mkdir(parents=True)
        shutil.copy(TRANSFORMER, odd)
    hollow(tmp_path / "more" / os.fsdecode("模型".encode("gbk")) / "t5xxl_fp16.safetensors", T5_XXL.size or 0)
    shelf = Shelf(settings_of(tmp_path, folders=[tmp_path / "more"]))
    assert names(shelf) == ["demo"]
    assert not shelf.item(T5_XXL).is_usable
    seen = [each for each in shelf.others() if each.trouble is not None]
    assert {each.trouble.reason for each in seen if each.trouble} == {"name"}
    assert len(seen) == 2
    for each in seen:
        assert f"{each.where} {each.trouble}".encode()
        assert "\N{REPLACEMENT CHARACTER}" in each.where


def test_a_link_that_turns_in_a_circle_is_walked_once(shelf: Shelf, models: Path) -> None:
    (models / "a").mkdir(parents=True)
    (models / "a" / "again").symlink_to(models)
    shutil.copy(TRANSFORMER, models / "a" / "mine.safetensors")
    shelf.look_again()
    assert names(shelf) == ["demo", "mine"]


def test_an_entry_of_the_settings_has_its_own_names(tmp_path: Path, models: Path) -> None:
    shelf = Shelf(settings_of(tmp_path, own=[small(title="A small one", licence="MIT", link="https://example.org")]))
    state = shelf.model("small")
    assert (state.entry.title, state.entry.licence, state.is_here) == ("A small one", "MIT", False)
    (models / "small").mkdir(parents=True)
    shutil.copy(TRANSFORMER, models / "small" / "small.safetensors")
    shelf.look_again()
    assert names(shelf) == ["demo", "small"]


def test_a_shared_file_is_not_removed_while_a_model_needs_it(shelf: Shelf, models: Path) -> None:
    lay(models, *FLUX1_DEV.weights)
    with pytest.raises(StillNeeded) as refused:
        shelf.remove_file(str(VAE.place))
    assert refused.value.models == ("FLUX.1 [dev]",)
    assert (models / VAE.place).exists()
    shelf.remove_file(str(VAE.place), consent=True)
    assert not (models / VAE.place).exists()
    assert names(shelf) == ["demo"]
    shelf.remove_file(str(T5_XXL.place), consent=True)


def test_a_file_that_no_model_here_needs_is_removed_at_once(shelf: Shelf, models: Path) -> None:
    lay(models, *SHARED_FILES)
    shelf.remove_file(str(T5_XXL.place))
    assert not (models / T5_XXL.place).exists()


def test_a_model_goes_with_its_own_files_and_what_was_made_of_them(shelf: Shelf, models: Path) -> None:
    lay(models, *FLUX1_DEV.weights)
    made = models / "flux1-dev" / "flux1-dev.darkroom-float8.safetensors"
    made.write_bytes(b"x")
    shelf.remove_model("flux1-dev")
    assert list((models / "flux1-dev").iterdir()) == []
    assert all((models / file.place).exists() for file in SHARED_FILES)


def test_a_dropped_model_can_be_removed_and_what_ships_cannot(shelf: Shelf, models: Path) -> None:
    models.mkdir()
    shutil.copy(TRANSFORMER, models / "mine.safetensors")
    shelf.look_again()
    shelf.remove_model("mine")
    assert not (models / "mine.safetensors").exists()
    with pytest.raises(DownloadFailed):
        shelf.remove_model("demo")
    with pytest.raises(NotFound):
        shelf.remove_model("mine")


@pytest.mark.parametrize(
    "place", ["../outside", "/etc/passwd", "a/../../outside", "", "demo\\x", "C:x", "a\0b", "link/x"]
)
def test_no_place_leads_out_of_the_folder(tmp_path: Path, models: Path, place: str) -> None:
    models.mkdir()
    (models / "link").symlink_to(tmp_path)
    with pytest.raises(DownloadFailed):
        ModelsFolder(models).own(PurePosixPath(place))


@pytest.mark.parametrize(
    "place", ["../outside", "/etc/passwd", "shared", "", "nothing.safetensors", "demo/ae.safetensors"]
)
def test_only_files_that_are_known_are_removed(shelf: Shelf, place: str) -> None:
    with pytest.raises(NotFound):
        shelf.remove_file(place, consent=True)


def test_a_link_inside_the_folder_is_removed_and_not_what_it_leads_to(tmp_path: Path, models: Path) -> None:
    hollow(tmp_path / "real.safetensors", VAE.size or 0)
    (models / "shared").mkdir(parents=True)
    (models / VAE.place).symlink_to(tmp_path / "real.safetensors")
    shelf = Shelf(settings_of(tmp_path))
    assert shelf.item(VAE).is_usable
    shelf.remove_file(str(VAE.place))
    assert (tmp_path / "real.safetensors").exists()


def test_the_known_files_have_sizes_and_checksums_where_they_are_published() -> None:
    for file in dict.fromkeys(file for entry in MODELS for file in entry.weights):
        assert not file.place.is_absolute()
        assert file.modelscope is not None
        if file.part.startswith("tokenizer") or file is MAJICFLUS.weights[0]:
            continue
        assert file.size is not None
        assert file.sha256 is not None
        assert len(file.sha256) == 64
        assert file.huggingface is not None


def test_records_stay_readable(shelf: Shelf, models: Path) -> None:
    lay(models, VAE)
    shelf.remove_file(str(VAE.place))
    file = models / ".darkroom" / "downloads.json"
    if file.exists():
        assert json.loads(file.read_text())["version"] == 1
