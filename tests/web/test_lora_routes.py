"""LoRAs over HTTP: listing them, taking them in, and orders that name them in the list or in the prompt."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from darkroom.prompts.batch import MOST_PICTURES
from tests.loras.files import DEMO_KOHYA, FLUX_KOHYA, INK, SDXL, write
from tests.web.conftest import House


@pytest.fixture
def shelf(house: House) -> Path:
    """The folder of all models, with one that can be used and two that cannot."""
    folder = house.folder / "models" / "loras"
    write(folder / "drawings" / "pen.safetensors", DEMO_KOHYA, {"modelspec.trigger_phrase": "钢笔画"})
    write(folder / "pony.safetensors", SDXL)
    write(folder / "big.safetensors", FLUX_KOHYA)
    shutil.copy(INK, folder)
    return folder


def test_all_are_listed_and_those_that_cannot_be_used_say_why(shelf: Path, client: TestClient) -> None:
    found = client.get("/api/loras").json()
    assert found["model"] == "demo"
    assert [lora["name"] for lora in found["loras"]] == ["ink", "drawings/pen", "big", "pony"]
    ink, pen, _, pony = found["loras"]
    assert (ink["title"], ink["rank"], ink["family"], ink["words"]) == (
        "Ink drawing", 8, "Darkroom demo", ["ink drawing"],
    )  # fmt: skip
    assert (ink["bytes"], ink["why"], ink["weight"]) == (INK.stat().st_size, "", 1.0)
    assert (pen["title"], pen["words"]) == ("pen", ["钢笔画"])
    assert pony["why"] == "Made for SDXL"
    assert client.get("/api/loras?lang=zh").json()["loras"][-1]["why"] == "为 SDXL 制作"
    (shelf / "ink.safetensors").unlink()
    assert len(client.get("/api/loras?model=demo").json()["loras"]) == 3
    assert client.get("/api/loras?model=none").status_code == 404


def test_a_picture_beside_a_file_is_shown_small(shelf: Path, client: TestClient) -> None:
    address = "/api/loras/picture"
    assert client.get(address, params={"name": "ink"}).status_code == 404
    Image.new("RGBA", (900, 600), "red").save(shelf / "ink.png")
    # What a file says is kept until it is another.
    (shelf / "ink.safetensors").touch()
    assert client.get("/api/loras").json()["loras"][0]["picture"]["name"] == "ink"
    answer = client.get(address, params={"name": "ink"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    (shelf / "ink.png").write_bytes(b"no picture")
    for name in ("ink", "gone", "../../secret", "pony"):
        assert client.get(address, params={"name": name}).status_code == 404


def take(client: TestClient, name: str, content: bytes, lang: str = "en") -> Any:
    return client.post("/api/loras", params={"name": name, "lang": lang}, content=content)


def test_a_file_is_taken_in_and_can_be_used_at_once(house: House, client: TestClient) -> None:
    answer = take(client, "../My ink.safetensors", INK.read_bytes())
    assert answer.status_code == 201
    lora = answer.json()["lora"]
    assert (lora["name"], lora["title"], lora["why"]) == ("My ink", "Ink drawing", "")
    assert (house.folder / "models" / "loras" / "My ink.safetensors").read_bytes() == INK.read_bytes()
    assert [each["name"] for each in client.get("/api/loras").json()["loras"]] == ["My ink"]
    assert client.post("/api/jobs", json={"prompt": "x", "loras": [{"name": "My ink"}]}).status_code == 201
    assert take(client, "My ink.safetensors", INK.read_bytes()).json()["lora"]["name"] == "My ink"


def test_one_for_another_model_of_ours_is_kept_and_says_so(client: TestClient, tmp_path: Path) -> None:
    content = write(tmp_path / "big.safetensors", FLUX_KOHYA).read_bytes()
    lora = take(client, "big.safetensors", content).json()["lora"]
    assert lora["refusal"] == "The LoRA big.safetensors was made for FLUX.1."


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("a.ckpt", "lora_ending", "不是 .safetensors 文件"),
        ("a.safetensors", "lora_other_family", "是为 SDXL 制作的"),
        ("none.safetensors", "lora_none", "不是 LoRA"),
        ("cut.safetensors", "lora_damaged", "已损坏或不完整"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(
    name: str, code: str, words: str, house: House, client: TestClient, tmp_path: Path
) -> None:
    content = {
        "none.safetensors": write(tmp_path / "1.safetensors", {"img_in.weight": (4, 4)}).read_bytes(),
        "cut.safetensors": INK.read_bytes()[:999],
    }.get(name, write(tmp_path / "2.safetensors", SDXL).read_bytes())
    answer = take(client, name, content, "zh")
    assert (answer.status_code, answer.json()["error"]) == (422, code)
    assert words in answer.json()["words"]
    folder = house.folder / "models" / "loras"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_another_page_cannot_put_files_here(house: House, client: TestClient) -> None:
    answer = client.post(
        "/api/loras?name=a.safetensors", content=INK.read_bytes(), headers={"Origin": "http://other.example"}
    )
    assert answer.status_code == 403
    assert not (house.folder / "models" / "loras").exists()


# --- orders


def order(client: TestClient, **values: Any) -> Any:
    return client.post("/api/jobs", json={"prompt": "x", **values})


def stored(house: House, answer: Any, place: int = 0) -> tuple[str, dict[str, float]]:
    assert answer.status_code == 201, answer.text
    request = house.queue.get(answer.json()["jobs"][place]).request
    return request.prompt, {use.name: use.weight for use in request.loras}


@pytest.mark.usefixtures("shelf")
def test_what_a_prompt_names_is_stored_beside_it(house: House, client: TestClient) -> None:
    answer = order(client, prompt="a house, <lora:INK:0.7>, <lora:pen:-1> by a lake")
    assert stored(house, answer) == ("a house, by a lake", {"ink": 0.7, "drawings/pen": -1.0})
    answer = order(
        client, prompt="a <lora:ink:0.3> house", loras=[{"name": "ink", "weight": 1}, {"name": "drawings/pen"}]
    )
    assert stored(house, answer) == ("a house", {"ink": 0.3, "drawings/pen": 1.0})


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"prompt": "<lora:gone:1>"}, "prompt", "There is no LoRA named gone in the folder loras"),
        ({"prompt": "<lora:pony:1>"}, "prompt", "The LoRA pony was made for SDXL, not for Darkroom demo."),
        ({"prompt": "<lora:ink:3>"}, "prompt", "<lora:ink:3>: a LoRA is written as <lora:name:0.7>"),
        ({"prompt": "<lora:ink:much>"}, "prompt", "with a weight from −2 to 2"),
        ({"prompt": "<lora:ink:1> <lora:ink:0.5>"}, "prompt", "each once in a prompt"),
        ({"loras": [{"name": "ink"}, {"name": "gone"}]}, "loras.1.name", "There is no LoRA named gone"),
        ({"loras": [{"name": "big"}]}, "loras.0.name", "was made for FLUX.1, not for Darkroom demo."),
        ({"loras": [{"name": "../ink"}]}, "loras.0.name", "the name of a file"),
        ({"loras": [{"name": "ink", "weight": 2.5}]}, "loras.0.weight", "a number from −2 to 2"),
    ],
    ids=str,
)
def test_what_is_not_there_or_for_another_model_is_refused_by_name(
    values: dict[str, Any], field: str, words: str, house: House, client: TestClient
) -> None:
    answer = order(client, **values)
    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["problems"]] == [field]
    assert words in answer.json()["words"]
    assert house.queue.latest() is None
    chinese = client.post("/api/jobs?lang=zh", json={"prompt": "x", **values}).json()["words"]
    assert "LoRA" in chinese
    assert "The" not in chinese


@pytest.mark.usefixtures("shelf")
def test_a_missing_lora_is_named_beside_whatever_else_is_wrong(client: TestClient) -> None:
    answer = order(client, steps=0, loras=[{"name": "gone"}]).json()
    assert {problem["field"] for problem in answer["problems"]} == {"steps", "loras.0.name"}


@pytest.mark.usefixtures("shelf")
def test_each_prompt_of_many_has_its_own(house: House, client: TestClient) -> None:
    answer = order(client, prompt="a <lora:ink:0.5>\nb\nc <lora:pen:1>", lines=True)
    found = [stored(house, answer, place) for place in range(3)]
    assert found == [("a", {"ink": 0.5}), ("b", {}), ("c", {"drawings/pen": 1.0})]
    assert MOST_PICTURES >= 3


@pytest.mark.usefixtures("shelf")
def test_the_form_is_told_what_to_take_out_in_the_browsers_units(client: TestClient) -> None:
    def check(**values: Any) -> Any:
        return client.post("/api/check", json={"prompt": "x", **values}).json()

    found = check(prompt="🙂 a <lora:ink:0.7> house <lora:gone:1>", loras=[{"name": "drawings/pen", "weight": 0.5}])
    assert found["loras"] == {
        "cuts": [{"start": 4, "end": 20, "text": " "}],
        "uses": [{"name": "drawings/pen", "weight": 0.5}, {"name": "ink", "weight": 0.7}],
    }
    assert "named gone" in found["problems"]["prompt"]
    assert check(prompt="a house")["loras"] is None
    assert check(prompt="a <lora:ink>\nb", lines=True)["loras"] is None
    assert check(prompt="a {<lora:ink>|<lora:pen>} b")["loras"] is None
    # One line is one prompt.
    assert check(prompt="a <lora:ink>\n", lines=True)["loras"]["uses"] == [{"name": "ink", "weight": 1.0}]
    assert check(prompt="a <lora:ink>", loras="ink")["loras"]["uses"] == [{"name": "ink", "weight": 1.0}]


def test_more_than_a_picture_can_have_are_counted_and_their_tags_stay_in_the_prompt(
    shelf: Path, client: TestClient
) -> None:
    names = [f"n{number}" for number in range(8)]
    for name in names:
        shutil.copy(INK, shelf / f"{name}.safetensors")
    seven, eight = [{"name": name, "weight": 1.0} for name in names[:7]], [{"name": name} for name in names]
    two_more = {"prompt": "a <lora:n7:0.5> house <lora:ink:1>", "loras": seven}
    found = client.post("/api/check", json=two_more).json()
    assert [use["name"] for use in found["loras"]["uses"]] == names
    assert [cut["start"] for cut in found["loras"]["cuts"]] == [1]
    one_more = {"prompt": "a house <lora:ink:1>", "loras": eight}
    found = client.post("/api/check", json=one_more).json()
    assert found["loras"] is None
    assert found["problems"] == {"loras": "LoRAs: 9 is not possible. Allowed: at most 8 of them."}
    assert client.post("/api/check", json={**one_more, "prompt": "<lora:n7:0.5>"}).json()["loras"] is not None
    nine = {"prompt": "a house", "loras": [*eight, {"name": "ink"}]}
    assert client.post("/api/jobs?lang=zh", json=nine).json()["words"] == "LoRA不能是 9，允许：最多 8 个。"
