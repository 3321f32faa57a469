"""The Models page over HTTP: what it shows, what it is asked to do, and what it refuses."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from darkroom.catalog import DEMO, FLUX1_DEV, MODELS
from darkroom.config import Settings
from darkroom.errors import DownloadFailed
from darkroom.footprint import GB
from darkroom.hardware import card_of, look_without_torch
from darkroom.machine import Card, Machine
from darkroom.web.fitting import Fitting
from darkroom.web.words import LANGUAGES, load_words
from darkroom.weights import T5_XXL, VAE
from tests.web.conftest import ADDRESS, House

WORDS = load_words()
SHIPPED = Path(__file__).parents[2] / "models"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Offline: nobody is asked, whatever the tests press."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("darkroom.web.models.KEPT_SECONDS", 0)
    monkeypatch.setattr("darkroom.downloads.inventory.SECONDS_BETWEEN_LOOKS", 0)
    house = House(tmp_path, entries=None)
    yield house
    house.supervisor.close()
    house.database.close()


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    with TestClient(house.app, base_url=ADDRESS) as client:
        yield client


def lay(house: House, entry: Any = FLUX1_DEV) -> None:
    for file in entry.weights:
        path = house.folder / "models" / file.place
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as hollow:
            hollow.truncate(file.size or 3)


def model(page: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in page["models"] if each["name"] == name)


def acts(of: dict[str, Any]) -> list[str]:
    return [act["act"] for act in of["acts"]]


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_names_that_are_not_text_leave_the_page_as_it_is(client: TestClient, house: House) -> None:
    for place in ("", "loras"):
        odd = house.folder / "models" / place / os.fsdecode("模型.safetensors".encode("gbk"))
        odd.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHIPPED / DEMO.files.transformer, odd)
    (other,) = client.get("/api/models", params={"lang": "zh"}).json()["others"]
    assert not other["usable"]
    assert "UTF-8" in other["words"]
    assert client.get("/").status_code == 200
    assert client.get("/api/lora-files").status_code == 200


def test_every_model_is_shown_with_what_can_be_done(client: TestClient) -> None:
    page = client.get("/api/models").json()
    assert [each["name"] for each in page["models"]] == [entry.name for entry in MODELS]
    assert acts(model(page, "flux1-dev")) == ["get"]
    assert acts(model(page, "demo")) == []
    assert model(page, "flux1-dev")["words"]["size"] == "34.2 GB to get, 34.2 GB in all"
    assert "hub says" not in model(page, "flux1-dev")["words"]["size"]
    assert "said by the hub" in model(page, "majicflus-v1")["words"]["size"]
    assert "free on the disk" in page["disk"]
    assert page["busy"] is False


def test_what_ships_and_is_gone_is_not_here_and_says_what_to_do(house: House, client: TestClient) -> None:
    house.shelf._shipped = house.folder / "nothing"
    demo = model(client.get("/api/models").json(), "demo")
    assert (demo["status"], demo["usable"], demo["acts"]) == ("absent", False, [])
    assert "demo/transformer.safetensors" in demo["words"]["trouble"]
    assert client.get("/").status_code == 200


def test_what_is_wanted_and_cannot_be_had_says_why(client: TestClient) -> None:
    client.post("/api/models/flux1-schnell/get", json={"hub": "huggingface"})
    for _ in range(500):
        page = client.get("/api/models?hub=huggingface&lang=zh").json()
        if not page["busy"]:
            break
    assert model(page, "flux1-schnell")["status"] == "failed"
    assert "HF_HUB_OFFLINE" in model(page, "flux1-schnell")["words"]["trouble"]
    assert acts(model(page, "flux1-schnell")) == ["resume", "cancel"]
    # What it shares with others is no trouble of theirs.
    assert model(page, "flux1-dev")["status"] == "absent"
    client.post("/api/models/flux1-schnell/cancel", json={})
    assert model(client.get("/api/models").json(), "flux1-schnell")["status"] == "absent"


def test_a_model_that_has_come_can_be_chosen_without_a_restart(house: House, client: TestClient) -> None:
    assert "flux1-dev" not in client.get("/").text
    lay(house)
    assert "flux1-dev" in client.get("/").text
    answer = client.post("/api/jobs", json={"prompt": "x", "model": "flux1-dev"})
    assert answer.status_code == 201, answer.text
    assert client.post("/api/jobs", json={"prompt": "x", "model": "flux1-schnell"}).status_code == 422


def test_a_shared_file_names_who_needs_it_before_it_goes(house: House, client: TestClient) -> None:
    lay(house)
    shared = client.get("/api/models").json()["shared"]
    vae = next(each for each in shared if each["place"] == str(VAE.place))
    question = next(act["question"] for act in vae["acts"] if act["act"] == "remove")
    assert question.startswith("FLUX.1 [dev] cannot be used without ae.safetensors.")
    answer = client.post("/api/weights/remove?lang=zh", json={"place": str(VAE.place)})
    assert (answer.status_code, answer.json()["error"]) == (422, "still_needed")
    assert answer.json()["words"] == "FLUX.1 [dev] 还需要 ae.safetensors。"
    assert (house.folder / "models" / VAE.place).exists()
    assert client.post("/api/weights/remove", json={"place": str(VAE.place), "consent": True}).status_code == 200
    assert not (house.folder / "models" / VAE.place).exists()


def test_a_model_is_removed_and_its_shared_parts_stay(house: House, client: TestClient) -> None:
    lay(house)
    page = client.post("/api/models/flux1-dev/remove", json={}).json()
    assert model(page, "flux1-dev")["status"] == "absent"
    assert (house.folder / "models" / T5_XXL.place).exists()


@pytest.mark.parametrize("place", ["../secret.txt", "/etc/passwd", "", "history.db", "demo/ae.safetensors", "a\0b"])
@pytest.mark.parametrize("act", ["remove", "get", "check"])
def test_no_file_but_a_known_one_is_touched(house: House, client: TestClient, place: str, act: str) -> None:
    (house.folder / "secret.txt").write_text("secret")
    answer = client.post(f"/api/weights/{act}", json={"place": place, "consent": True})
    assert answer.status_code == 404
    assert (house.folder / "secret.txt").exists()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/models/nothing/get", {}, 404),
        ("/api/models/..%2F..%2Fx/get", {}, 404),
        ("/api/models/flux1-dev/burn", {}, 422),
        ("/api/models/flux1-dev/get", {"hub": "civitai"}, 422),
        ("/api/models/flux1-dev/get", {"hub": 5}, 422),
        ("/api/models/flux1-dev/get", [], 422),
        ("/api/weights/get", {"place": 5}, 422),
        ("/api/models/demo/remove", {}, 422),
    ],
)
def test_nonsense_is_refused_in_words(client: TestClient, path: str, body: Any, status: int) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    if path != "/api/models/..%2F..%2Fx/get":
        assert answer.json()["words"]


def test_files_that_were_dropped_are_shown(house: House, client: TestClient) -> None:
    models = house.folder / "models"
    models.mkdir(exist_ok=True)
    (models / "old.ckpt").write_bytes(b"\x80\x02")
    shutil.copy(SHIPPED / DEMO.files.transformer, models / "mine.safetensors")
    page = client.get("/api/models").json()
    assert [each["where"] for each in page["others"]] == ["old.ckpt"]
    assert "never opened" in page["others"][0]["words"]
    assert (model(page, "mine")["status"], acts(model(page, "mine"))) == ("here", ["check", "remove"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_trouble_has_words(language: Any) -> None:
    for reason in DownloadFailed.SENTENCES:
        assert f"models.trouble.{reason}" in WORDS[language]


CARD = Card(name="A card", total=12 * GB, free=12 * GB, compute=(8, 6), copy_rate=12e9)
MACHINE = Machine(card=CARD, ram_total=32 * GB, ram_free=27 * GB, pinnable=27 * GB, cores=8)
SMALL = Machine(card=None, ram_total=4 * GB, ram_free=3 * GB, pinnable=3 * GB, cores=2)


def test_it_is_said_whether_a_model_fits_before_it_is_fetched() -> None:
    fits = Fitting(Settings(), lambda: MACHINE).fit(FLUX1_DEV, WORDS["en"])
    assert fits.fits
    assert fits.words.startswith("Fits: ")
    does_not = Fitting(Settings(), lambda: SMALL).fit(FLUX1_DEV, WORDS["zh"])
    assert not does_not.fits
    assert "FLUX.1 [dev]" in does_not.words


def test_with_a_card_the_large_models_come_first_and_without_one_the_demo() -> None:
    entries = (FLUX1_DEV, DEMO)
    assert Fitting(Settings(), lambda: MACHINE).in_order(entries) == entries
    assert Fitting(Settings(), lambda: SMALL).in_order(entries) == (DEMO, FLUX1_DEV)
    on_cpu = Settings.model_validate({"engine": {"device": "cpu"}})
    assert Fitting(on_cpu, lambda: MACHINE).in_order(entries) == (DEMO, FLUX1_DEV)


@pytest.mark.parametrize("answer", ["", "nonsense", "a, b, c", "Card, 12288, [N/A]", "\n"])
def test_a_driver_that_says_nothing_clear_is_no_card(answer: str) -> None:
    assert card_of(answer) is None


def test_a_card_is_what_its_driver_says() -> None:
    card = card_of("NVIDIA GeForce RTX 3060, 12288, 8.6\nAnother, 1, 1.0\n")
    assert card is not None
    assert (card.name, card.total, card.compute) == ("NVIDIA GeForce RTX 3060", 12288 << 20, (8, 6))


def test_the_machine_is_looked_at_without_torch() -> None:
    assert look_without_torch().ram_total > 0
