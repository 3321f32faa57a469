"""LoRAs of the Models page over HTTP: every file, what depends on it, and that nothing else is ever removed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.loras.files import INK, SDXL, write
from tests.web.conftest import House

USES = [{"name": "ink", "weight": 0.5}]


@pytest.fixture
def shelf(house: House) -> Path:
    folder = house.folder / "models" / "loras"
    write(folder / "style" / "pony.safetensors", SDXL)
    shutil.copy(INK, folder)
    ships = house.folder / "models" / "demo" / "loras"
    ships.mkdir(parents=True)
    shutil.copy(INK, ships / "shipped.safetensors")
    return folder


def listed(client: TestClient, language: str = "en") -> dict[str, Any]:
    found = client.get(f"/api/lora-files?lang={language}").json()["loras"]
    return {each["place"]: each for each in found}


def question(client: TestClient, place: str, language: str = "en") -> str:
    answer = client.get("/api/lora-files/question", params={"place": place, "lang": language})
    return str(answer.json()["question"])


def test_every_file_is_shown_with_what_it_is(shelf: Path, client: TestClient) -> None:
    assert shelf.is_dir()
    found = listed(client)
    assert list(found) == [
        "demo/loras/shipped.safetensors",
        "loras/ink.safetensors",
        "loras/style/pony.safetensors",
    ]
    assert found["loras/ink.safetensors"]["words"] == {
        "facts": "Darkroom demo · rank 8 · 1.5 MB · loras/ink.safetensors",
        "remove": "Remove",
    }
    assert "Made for SDXL" in found["loras/style/pony.safetensors"]["words"]["facts"]
    assert found["demo/loras/shipped.safetensors"]["words"]["remove"] == ""


def test_what_depends_on_one_is_named_before_it_goes(house: House, shelf: Path, client: TestClient) -> None:
    place = "loras/ink.safetensors"
    assert question(client, place) == "Remove ink.safetensors for good? 1.5 MB become free."
    for _ in range(2):
        house.picture(loras=USES)
    house.picture(prompt='"name": "ink"', loras=[{"name": "ink-2", "weight": 1.0}])
    waiting = house.submit(loras=USES).id
    assert question(client, place).endswith(
        f"Pictures in the queue that need it and would fail: 1 (#{waiting}). "
        "Pictures in the history made with it: 2. They stay, but cannot be made again without it."
    )
    assert f"#{waiting}" in question(client, place, "zh")
    refused = client.post("/api/lora-files/remove", json={"place": place})
    assert (refused.status_code, refused.json()["error"]) == (422, "still_needed")
    assert (shelf / "ink.safetensors").exists()
    left = client.post("/api/lora-files/remove", json={"place": place, "consent": True}).json()["loras"]
    assert place not in [each["place"] for each in left]
    assert not (shelf / "ink.safetensors").exists()


def test_what_depends_on_a_model_is_said_to_whoever_is_about_to_remove_it(house: House, client: TestClient) -> None:
    assert client.get("/api/models/flux1-dev/needs").json() == {"words": ""}
    house.picture(model="flux1-dev")
    job = house.submit(model="flux1-dev").id
    said = client.get("/api/models/flux1-dev/needs?lang=en").json()["words"]
    assert said.startswith(f"Pictures in the queue that need it and would fail: 1 (#{job}).")
    assert "made with it: 1." in said
    assert client.get("/api/models/gone/needs").status_code == 404


@pytest.mark.parametrize(("language", "words"), [("en", "not there any more"), ("zh", "已不存在")])
def test_one_that_has_gone_meanwhile_is_said_to_have_gone(client: TestClient, language: str, words: str) -> None:
    for answer in (
        client.get("/api/lora-files/question", params={"place": "loras/gone.safetensors", "lang": language}),
        client.post(f"/api/lora-files/remove?lang={language}", json={"place": "loras/gone.safetensors"}),
    ):
        assert answer.status_code == 404
        assert words in answer.json()["words"]


@pytest.mark.parametrize("name", ["100%", "a_b", "Tusche", "墨水", 'quo"te'])
def test_pictures_are_counted_by_the_whole_name(name: str, house: House) -> None:
    if '"' not in name:
        house.picture(loras=[{"name": name, "weight": 1.0}])
        assert house.library.count_with_lora(name) == 1
    for other in ("a%b", "aXb", "10", "T", "%", "_", '"'):
        assert house.library.count_with_lora(other) == 0


@pytest.mark.parametrize(
    ("place", "status"),
    [
        ("demo/loras/shipped.safetensors", 422),
        ("../secret.safetensors", 404),
        ("loras/../../secret.safetensors", 404),
        ("demo/transformer.safetensors", 404),
        ("loras", 404),
        ("a\0b", 404),
        ("", 404),
    ],
)
def test_nothing_but_a_persons_lora_is_removed(
    place: str, status: int, house: House, shelf: Path, client: TestClient
) -> None:
    (house.folder / "secret.safetensors").write_bytes(b"secret")
    before = sorted(path for path in house.folder.rglob("*.safetensors"))
    answer = client.post("/api/lora-files/remove", json={"place": place, "consent": True})
    assert answer.status_code == status, answer.text
    assert answer.json()["words"]
    assert sorted(path for path in house.folder.rglob("*.safetensors")) == before
    assert shelf.is_dir()


def test_one_behind_a_link_that_leads_outside_stays(house: House, client: TestClient) -> None:
    outside = house.folder / "elsewhere"
    write(outside / "theirs.safetensors", SDXL)
    (house.folder / "models" / "loras").mkdir(parents=True)
    (house.folder / "models" / "loras" / "linked").symlink_to(outside)
    place = "loras/linked/theirs.safetensors"
    assert listed(client)[place]["words"]["remove"] == ""
    assert client.post("/api/lora-files/remove", json={"place": place, "consent": True}).status_code == 422
    assert (outside / "theirs.safetensors").exists()
