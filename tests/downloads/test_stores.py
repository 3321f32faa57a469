"""More than one folder to fetch into: a file comes where it was wanted, and is used, mended and removed there."""

import shutil
from pathlib import Path, PurePosixPath

import pytest

from darkroom.catalog import DEMO, FLUX1_DEV
from darkroom.downloads.downloads import Downloads
from darkroom.downloads.folder import ModelsFolder
from darkroom.downloads.records import Verdict
from darkroom.downloads.shelf import Shelf
from darkroom.errors import DownloadFailed, InvalidRequest
from darkroom.origins import Origins
from darkroom.request import parse_request
from darkroom.weights import CLIP_TOKENIZER, SHARED_FILES, T5_XXL
from tests.downloads.conftest import CONTENT, QUICK, SOON, Bench, settings_of, small, until
from tests.downloads.hub import Hub
from tests.downloads.test_shelf import SHIPPED, TRANSFORMER, lay
from tests.web.conftest import VALUES

PLACE = PurePosixPath("small/small.safetensors")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return tmp_path / "large"


@pytest.fixture
def bench(tmp_path: Path, hub: Hub, large: Path) -> Bench:
    settings = settings_of(tmp_path, own=[small()], stores=[large])
    shelf = Shelf(settings)
    file = next(file for file in shelf.files if file.place == PLACE)
    return Bench(hub, settings, shelf, Downloads(shelf, patience=QUICK), file)


def test_a_file_comes_into_the_store_and_is_a_model_there(bench: Bench, large: Path) -> None:
    bench.downloads.get([bench.file], "modelscope", large)
    assert bench.downloads.wait(SOON)
    assert bench.reason() == ""
    assert (large / PLACE).read_bytes() == CONTENT
    assert not bench.path.exists()
    item = bench.shelf.item(bench.file)
    assert (item.state, item.elsewhere, item.path) == ("whole", False, large / PLACE)
    assert Path(bench.shelf.find("small").files.transformer) == large / PLACE
    assert bench.shelf.remove_model("small") == (str(PLACE),)
    assert list(large.rglob("*.safetensors")) == []
    bench.downloads.close()


def test_what_was_begun_in_a_store_goes_on_there_after_a_restart(bench: Bench, large: Path) -> None:
    part = large / PLACE.with_name(PLACE.name + ".part")
    bench.hub.trouble.slowness = 0.01
    bench.downloads.get([bench.file], "modelscope", large)
    until(lambda: part.exists() and part.stat().st_size > 0)
    again = bench.again()
    begun = part.stat().st_size
    again.hub.trouble.slowness = 0
    again.hub.requests.clear()
    again.downloads.start()
    assert again.downloads.wait(SOON)
    assert (large / PLACE).read_bytes() == CONTENT
    assert again.began_at() == [begun]
    again.downloads.close()


def test_what_failed_before_anything_came_is_tried_again_into_the_folder_that_is_chosen_now(
    bench: Bench, large: Path
) -> None:
    bench.hub.trouble.statuses = [404]
    assert bench.fetch() == "not_there"
    bench.downloads.resume([str(PLACE)], "modelscope", large)
    assert bench.downloads.wait(SOON)
    assert (large / PLACE).read_bytes() == CONTENT
    assert not bench.path.exists()
    bench.downloads.close()


def test_what_has_begun_goes_on_where_it_is_whatever_folder_is_chosen(bench: Bench, large: Path) -> None:
    bench.hub.trouble.slowness = 0.01
    bench.downloads.get([bench.file], "modelscope")
    until(lambda: bench.part.exists() and bench.part.stat().st_size > 0)
    bench.downloads.pause([str(PLACE)])
    assert bench.downloads.wait(SOON)
    bench.hub.trouble.slowness = 0
    bench.downloads.resume([str(PLACE)], "modelscope", large)
    assert bench.downloads.wait(SOON)
    assert bench.is_whole()
    assert not (large / PLACE).exists()
    bench.downloads.close()


def test_what_is_damaged_is_mended_where_it_is(bench: Bench, large: Path) -> None:
    (large / PLACE).parent.mkdir(parents=True)
    (large / PLACE).write_bytes(CONTENT[:-1] + b"?")
    about = (large / PLACE).stat()
    verdict = Verdict(size=about.st_size, changed=about.st_mtime_ns, sha256="0" * 64, whole=False)
    bench.shelf.records.judge(str(PLACE), verdict)
    assert bench.shelf.item(bench.file).state == "damaged"
    assert bench.fetch() == ""
    assert (large / PLACE).read_bytes() == CONTENT
    assert not bench.path.exists()
    bench.downloads.close()


def test_large_files_go_into_the_store_and_tokenizers_stay_together(tmp_path: Path, large: Path) -> None:
    shelf = Shelf(settings_of(tmp_path, stores=[large]))
    downloads = Downloads(shelf, only=())
    downloads.get(SHARED_FILES, "modelscope", large)
    homes = {PurePosixPath(wanted.place): wanted.home for wanted in shelf.records.wanted()}
    assert homes[T5_XXL.place] == str(large)
    assert homes[CLIP_TOKENIZER[0].place] == ""
    downloads.close()


def test_a_model_that_lies_in_both_is_put_together(tmp_path: Path, large: Path) -> None:
    lay(large, *(file for file in FLUX1_DEV.weights if file.is_large))
    lay(tmp_path / "models", *(file for file in FLUX1_DEV.weights if not file.is_large))
    shelf = Shelf(settings_of(tmp_path, stores=[large]))
    entry = shelf.find("flux1-dev")
    assert shelf.model("flux1-dev").is_here
    assert Path(entry.files.text_encoder_2) == large / T5_XXL.place
    assert entry.files.tokenizer_1 == FLUX1_DEV.files.tokenizer_1
    shelf.remove_file(str(T5_XXL.place), consent=True)
    assert not (large / T5_XXL.place).exists()


def test_a_file_that_a_person_put_into_a_store_is_a_model_and_named_by_its_place(tmp_path: Path, large: Path) -> None:
    for folder in (large, tmp_path / "models"):
        folder.mkdir()
        shutil.copytree(SHIPPED / "demo", folder / "demo")
    for name in ("mine", "both"):
        shutil.copy(TRANSFORMER, large / f"{name}.safetensors")
    shutil.copy(TRANSFORMER, tmp_path / "models" / "both.safetensors")
    shelf = Shelf(settings_of(tmp_path, stores=[large]))
    assert [entry.name for entry in shelf.entries()] == ["demo", "both", "mine"]
    assert Path(shelf.find("mine").files.transformer) == large / "mine.safetensors"
    assert shelf.find("mine").files.vae == DEMO.files.vae
    facts = Origins(shelf).facts(parse_request(VALUES | {"model": "mine"}), {})
    assert facts["model_title"] == "mine"
    shelf.remove_model("mine")
    assert not (large / "mine.safetensors").exists()


def test_only_configured_folders_can_be_chosen_and_none_leads_outside(tmp_path: Path, large: Path) -> None:
    folder = ModelsFolder(tmp_path / "models", [large, large])
    assert folder.homes == (tmp_path / "models", large)
    assert folder.home_named("") == tmp_path / "models"
    assert folder.home_named(str(large)) == large
    with pytest.raises(InvalidRequest):
        folder.home_named("/etc")
    large.mkdir()
    (large / "link").symlink_to(tmp_path)
    with pytest.raises(DownloadFailed):
        folder.own(PurePosixPath("link/x"), large)
    assert folder.own(PurePosixPath("a/x"), large) == large / "a" / "x"
    (tmp_path / "models" / "a").mkdir(parents=True)
    (tmp_path / "models" / "a" / "x").touch()
    assert folder.own(PurePosixPath("a/x"), large) == tmp_path / "models" / "a" / "x"
