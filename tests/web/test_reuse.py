"""Parameters back into the form: from the history, from files of ours and of other tools, honest and hostile."""

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from starlette.testclient import TestClient

from darkroom.request import GenerationRequest
from darkroom.web.reuse import reuse
from tests.history.test_round_trip import any_request
from tests.loras.files import SDXL, write
from tests.web.conftest import House
from tests.web.two_models import ONE, reader_of

LORAS = [{"name": "ink", "weight": 0.5}]
RAN = {"prompt": "a pier", "negative_prompt": "fog", "seed": 2**32 - 1, "steps": 4, "cfg_scale": 2.0, "loras": LORAS}
INK = Path(__file__).parents[2] / "models" / "demo" / "loras" / "ink.safetensors"
SIZES = (256, 272, 384, 496, 512)
FORGE = (
    "a red barn <lora:x:1>\nSteps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, "
    "Seed: 42, Size: 896x1152, Model: flux1-dev-bnb-nf4, Version: f2.0.1"
)


def put_loras(models: Path, names: Sequence[str]) -> None:
    for name in names:
        path = models / "loras" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(INK, path)


def aged(path: Path) -> None:
    """As if it had been put there a while ago."""
    then = time.time() - 60
    os.utime(path, (then, then))


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What one reuse did to the form: `values` went in, the other fields stayed. `lines` say what was left out."""

    values: dict[str, Any]
    title: str
    lines: list[str]
    said: str


FillIn = Callable[[dict[str, Any]], Filled]


@pytest.fixture
def fill_in(client: TestClient) -> FillIn:
    def send(asked: dict[str, Any]) -> Filled:
        answer = client.post("/api/reuse", json={**asked, "form_model": "demo"})
        assert answer.status_code == 200, answer.text
        return Filled(**answer.json())

    return send


def test_reuse_fills_every_field_with_what_ran(house: House, fill_in: FillIn) -> None:
    put_loras(house.folder / "models", ["ink"])
    picture = house.picture(**RAN, width=384, height=512)
    filled = fill_in({"id": picture, "what": "all"})
    assert filled.values == house.library.get(picture).request.model_dump(mode="json")
    assert (filled.title, filled.said) == ("", f"Filled in from picture {picture}.")


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("all_but_seed", set(GenerationRequest.model_fields) - {"seed"}),
        ("prompt", {"prompt", "negative_prompt"}),
        ("seed", {"seed"}),
        ("size", {"width", "height"}),
    ],
)
def test_a_part_of_a_picture_leaves_the_other_fields_alone(
    what: str, fields: set[str], house: House, fill_in: FillIn
) -> None:
    picture = house.picture(**RAN)
    assert set(fill_in({"id": picture, "what": what}).values) == fields


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        *[(id, 404, "This picture does not exist.") for id in ({}, *({"id": id} for id in ("1", True, 99, -1, 2**70)))],
        *[(body, 422, "Allowed: a JSON object with values by name.") for body in (None, [1], "x")],
    ],
)
def test_reuse_of_nothing_is_said_in_words(asked: Any, status: int, said: str, client: TestClient) -> None:
    answer = client.post("/api/reuse", json=asked)
    assert answer.status_code == status
    assert said in answer.json()["words"]


def test_a_model_that_is_gone_is_said_and_the_rest_goes_in(house: House, fill_in: FillIn) -> None:
    picture = house.picture(model="long gone")
    filled = fill_in({"id": picture, "what": "all"})
    assert filled.title == "Filled in, but for this:"
    assert filled.lines == ["Model: long gone is not possible. Allowed: one of Darkroom demo."]
    assert "model" not in filled.values
    assert filled.values["seed"] == 12345


def test_a_size_the_model_cannot_make_is_said_and_neither_side_goes_in(fill_in: FillIn) -> None:
    values = {"prompt": "x", "width": 512, "height": 1024}
    filled = fill_in({"values": values, "origin": "Forge", "what": "all"})
    assert filled.values == {"prompt": "x"}
    assert filled.lines == ["Height: 1024 is not possible. Allowed: 256 to 512 pixels."]


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 10**9},
        {"steps": "8"},
        {"guidance": None},
        {"prompt": {"a": 1}},
        {"prompt": "x" * 20_000},
        {"seed": -1},
        {"width": 300, "height": 300},
        {"model": ["demo"]},
        {"model": "x" * 500},
        {"loras": "ink"},
        {"loras": [{"name": "../../secret"}]},
        {"loras": [{"name": "ink", "weight": 1e9}]},
        {"unheard_of": 1},
        {"width": 512},
    ],
    ids=lambda values: next(iter(values)),
)
def test_nothing_hostile_reaches_the_form(values: dict[str, Any], fill_in: FillIn) -> None:
    assert fill_in({"values": values, "origin": "<b>", "what": "all"}).values == {}


def test_a_picture_of_forge_is_read_and_what_cannot_be_applied_is_said(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "forge.png"
    text = PngInfo()
    text.add_text("parameters", FORGE)
    Image.new("RGB", (8, 8)).save(path, pnginfo=text)
    found = client.post("/api/read", content=path.read_bytes()).json()
    assert found["origin"] == "Forge"
    assert {"prompt": "a red barn ", "seed": 42, "steps": 20, "guidance": 3.5}.items() <= found["values"].items()
    assert ["Seed", "42"] in found["rows"]
    assert "Model: flux1-dev-bnb-nf4 is not a model of this Darkroom." in found["unused"]
    assert "LoRA: there is none named x here. To use it, put its file into the folder loras." in found["unused"]
    assert found["values"]["loras"] == []


@pytest.mark.parametrize(
    ("tag", "loras", "unused"),
    [
        ("<lora:INK:0.6>", [{"name": "ink", "weight": 0.6}], []),
        ("<lora:ink:3>", [], ["LoRA: ink:3 is not possible. Allowed: a number from −2 to 2."]),
        (
            "<lora:pony:1>",
            [],
            ["LoRA: pony is not possible. Allowed: a LoRA for Darkroom demo, and this one is for SDXL."],
        ),
    ],
)
def test_loras_of_another_tool_become_ours_where_a_file_of_that_name_is_here(
    tag: str, loras: list[Any], unused: list[str], house: House, client: TestClient, fill_in: FillIn, tmp_path: Path
) -> None:
    put_loras(house.folder / "models", ["ink"])
    write(house.folder / "models" / "loras" / "pony.safetensors", SDXL)
    path = tmp_path / "forge.png"
    text = PngInfo()
    text.add_text("parameters", f"a barn {tag}\nSteps: 20, Seed: 42, Size: 512x512, Version: f2.0.1")
    Image.new("RGB", (8, 8)).save(path, pnginfo=text)
    found = client.post("/api/read?model=demo", content=path.read_bytes()).json()
    assert (found["values"]["loras"], found["unused"]) == (loras, unused)
    assert fill_in({"values": found["values"], "origin": "Forge", "what": "all"}).values["loras"] == loras


def test_a_lora_that_is_gone_is_named_and_the_others_go_in(house: House, fill_in: FillIn, client: TestClient) -> None:
    models = house.folder / "models"
    put_loras(models, ["ink", "gone"])
    uses = [{"name": "gone", "weight": 1.0}, {"name": "ink", "weight": 0.5}]
    picture = house.picture(loras=uses)
    (models / "loras" / "gone.safetensors").unlink()
    filled = fill_in({"id": picture, "what": "all"})
    assert filled.values["loras"] == uses[1:]
    (line,) = filled.lines
    assert line.startswith("There is no LoRA named gone")
    answer = client.post(f"/api/pictures/{picture}/again")
    assert answer.status_code == 422
    assert "gone" in answer.json()["words"]
    assert house.queue.unfinished_ids() == []


def test_a_lora_that_is_another_file_now_is_named_when_it_is_used_again(
    house: House, fill_in: FillIn, client: TestClient
) -> None:
    models, uses = house.folder / "models", [{"name": "brush", "weight": 0.5}]
    put_loras(models, ["brush"])
    aged(models / "loras" / "brush.safetensors")
    picture = house.picture(loras=uses)
    # Only copied: another time, and the same bytes.
    put_loras(models, ["brush"])
    assert client.post(f"/api/pictures/{picture}/again").json()["differences"] == []
    content = bytearray(INK.read_bytes())
    content[-1] ^= 1
    (models / "loras" / "brush.safetensors").write_bytes(content)
    answer = client.post(f"/api/pictures/{picture}/again?how=seed&lang=zh").json()
    assert (answer["state"], answer["differences"]) == (
        "waiting",
        ["LoRA brush 的文件与生成这张图片时的不是同一个。"],
    )
    filled = fill_in({"id": picture, "what": "all"})
    assert filled.values["loras"] == uses
    assert filled.title == "Filled in. The next picture may look different:"
    assert filled.lines == ["The file of the LoRA brush is not the one this picture was made with."]
    assert fill_in({"id": picture, "what": "seed"}).lines == []


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, b"\xff\xd8\xff"])
def test_a_file_that_says_nothing_is_refused_in_words(content: bytes, client: TestClient) -> None:
    answer = client.post("/api/read?lang=zh", content=content)
    assert answer.status_code == 422
    assert "没有制作参数" in answer.json()["words"]


def test_any_request_comes_back_identical_from_its_picture_through_the_page(
    house: House, client: TestClient, fill_in: FillIn
) -> None:
    chance = random.Random(7)
    for _ in range(40):
        sides = {"width": chance.choice(SIZES), "height": chance.choice(SIZES), "model": "demo"}
        asked = any_request(chance).model_copy(update=sides)
        # Of old pictures, too: a LoRA that the prompt names is taken out of it.
        asked = asked.model_copy(update={"prompt": asked.prompt.replace("<lora:x:1>", "<x>")})
        put_loras(house.folder / "models", [use.name for use in asked.loras])
        stored = house.picture(**asked.model_dump())
        file = client.get(f"/pictures/{stored}").content
        read = client.post("/api/read", content=file).json()
        assert (read["origin"], read["unused"]) == ("Darkroom", [])
        dropped = fill_in({"values": read["values"], "origin": "Darkroom", "what": "all"})
        reused = fill_in({"id": stored, "what": "all"})
        assert dropped.values == reused.values
        again = client.post("/api/jobs", content=json.dumps(reused.values)).json()
        assert house.queue.get(again["jobs"][0]).request == asked
        house.queue.cancel_waiting(again["jobs"][0])


def test_an_unknown_part_is_everything(house: House) -> None:
    request = house.library.get(house.picture()).request
    assert reuse(request.model_dump(), "all", None, reader_of(ONE)).values == request.model_dump()
