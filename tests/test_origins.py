"""Which files made a picture: its facts, what its file carries, what the page shows, and what has changed since."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from darkroom.catalog import DEMO
from darkroom.config import FolderSettings, ModelSettings, Settings
from darkroom.downloads import digests
from darkroom.downloads.shelf import Shelf
from darkroom.origins import Change, Origins, loras_of
from darkroom.request import GenerationRequest, parse_request
from tests.web.conftest import ADDRESS, VALUES, House

SHIPPED = Path(__file__).parent.parent / "models"
INK = SHIPPED / "demo" / "loras" / "ink.safetensors"
SHA256 = hashlib.sha256((SHIPPED / DEMO.files.transformer).read_bytes()).hexdigest()
INK_SHA256 = hashlib.sha256(INK.read_bytes()).hexdigest()
FACTS = {"seconds": 2.0}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED / "demo", tmp_path / "models" / "demo")
    for path in (tmp_path / "models").rglob("*.safetensors"):
        aged(path)
    return tmp_path / "models"


def aged(path: Path, seconds: float = 60) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def origins(models: Path, *folders: Path) -> Origins:
    return Origins(Shelf(Settings(folders=FolderSettings(models=models), models=ModelSettings(folders=folders))))


def request(**changes: Any) -> GenerationRequest:
    return parse_request(VALUES | changes)


def test_facts_name_the_files_with_their_sizes_and_checksums(models: Path) -> None:
    facts = origins(models).facts(request(loras=[{"name": "ink", "weight": 0.5}]), FACTS)
    assert facts["seconds"] == 2.0
    assert facts["model_title"] == DEMO.title
    assert facts["model_file"] == "demo/transformer.safetensors"
    assert facts["model_bytes"] == (models / DEMO.files.transformer).stat().st_size
    assert facts["model_sha256"] == SHA256
    (lora,) = loras_of(facts)
    assert (lora.name, lora.bytes, lora.sha256) == ("ink", INK.stat().st_size, INK_SHA256)


def test_a_file_of_another_folder_is_named_without_its_path(models: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "ComfyUI" / "models"
    (elsewhere / "unet").mkdir(parents=True)
    (models / "demo" / "transformer.safetensors").rename(elsewhere / "unet" / "mine.safetensors")
    (elsewhere / "loras").mkdir()
    shutil.copy(INK, elsewhere / "loras" / "brush.safetensors")
    aged(elsewhere / "loras" / "brush.safetensors")
    facts = origins(models, elsewhere).facts(request(model="mine", loras=[{"name": "brush", "weight": 1.0}]), FACTS)
    assert (facts["model_file"], facts["model_sha256"]) == ("mine.safetensors", SHA256)
    assert loras_of(facts)[0].name == "brush"
    assert str(tmp_path) not in json.dumps(dict(facts))


def test_what_cannot_be_found_out_is_left_out_and_no_picture_is_lost(models: Path) -> None:
    known = origins(models)
    assert known.facts(request(model="long gone"), FACTS) == FACTS
    # Exchanged while the picture was made: it may be either.
    aged(models / DEMO.files.transformer, seconds=1)
    assert known.facts(request(), FACTS) == {**FACTS, "model_title": DEMO.title}
    (models / DEMO.files.transformer).unlink()
    assert "model_file" not in known.facts(request(), FACTS)


def test_a_checksum_that_takes_a_while_is_there_later(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "AT_ONCE", 10)
    known, asked = origins(models), request()
    facts = known.facts(asked, FACTS)
    assert "model_sha256" not in facts
    for _ in range(500):
        if "model_sha256" in (completed := known.completed(asked, facts)):
            break
        time.sleep(0.01)
    assert completed["model_sha256"] == SHA256
    aged(models / DEMO.files.transformer, seconds=30)
    assert known.completed(asked, facts) == facts


def test_what_is_another_file_now_is_named_and_a_copy_is_not(models: Path) -> None:
    known, asked = origins(models), request(loras=[{"name": "ink", "weight": 1.0}])
    facts = known.facts(asked, FACTS)
    assert known.changes(asked, facts) == ()
    for path in (models / DEMO.files.transformer, models / "demo" / "loras" / "ink.safetensors"):
        aged(path, seconds=20)
    assert known.changes(asked, facts) == ()
    for path in (models / DEMO.files.transformer, models / "demo" / "loras" / "ink.safetensors"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert known.changes(asked, facts) == (Change(kind="model", name=DEMO.title), Change(kind="lora", name="ink"))
    # Of pictures of an earlier version nothing is known, nor of facts that are none.
    assert known.changes(asked, FACTS) == ()
    assert known.changes(asked, {**FACTS, "lora_files": "[1]", "model_bytes": "many"}) == ()


def test_the_picture_carries_its_files_and_the_page_shows_them(models: Path) -> None:
    house = House(models.parent)
    picture = house.picture(loras=[{"name": "ink", "weight": 0.5}])
    with Image.open(house.library.picture_path(picture)) as image:
        assert f"Model hash: {SHA256[:10]}, Model: demo" in image.info["parameters"]
        assert json.loads(image.info["darkroom"])["facts"]["model_sha256"] == SHA256
    with TestClient(house.app, base_url=ADDRESS) as client:
        rows = dict(client.get(f"/api/pictures/{picture}").json()["rows"])
        assert rows["Model"] == "Darkroom demo"
        assert rows["Model file"] == "demo/transformer.safetensors · 20.2 MB"
        assert rows["SHA-256 of the model"] == SHA256
        assert rows["SHA-256 of LoRAs"] == f"ink {INK_SHA256[:12]}"
        # Its own line is read back without a rest.
        read = client.post("/api/read", content=client.get(f"/pictures/{picture}").content).json()
        assert (read["origin"], read["unused"]) == ("Darkroom", [])
    house.database.close()


def test_a_picture_shows_the_title_of_a_model_that_was_dropped_in_and_of_one_that_is_gone(models: Path) -> None:
    shutil.copy(models / DEMO.files.transformer, models / "My Own.safetensors")
    aged(models / "My Own.safetensors")
    house = House(models.parent, entries=None)
    picture = house.picture(model="my-own")
    with TestClient(house.app, base_url=ADDRESS) as client:
        assert dict(client.get(f"/api/pictures/{picture}").json()["rows"])["Model"] == "My Own"
    (models / "My Own.safetensors").unlink()
    house = House(models.parent, entries=None)
    with TestClient(house.app, base_url=ADDRESS) as client:
        assert dict(client.get(f"/api/pictures/{picture}").json()["rows"])["Model"] == "My Own"
    house.database.close()
