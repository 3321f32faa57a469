"""Asking for pictures over HTTP, as the page and programs do: honest, mistaken and hostile."""

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from darkroom.catalog import DEMO
from darkroom.request import LARGEST_SEED, LONGEST_PROMPT
from darkroom.web.form import starting_values
from tests.web.conftest import House

SUBMISSIONS = 2000
INK = Path(__file__).parents[2] / "models" / "demo" / "loras" / "ink.safetensors"


def test_what_was_asked_for_is_stored_exactly(house: House, client: TestClient) -> None:
    asked = {"prompt": "灯塔 🙂", "seed": 9, "steps": 3, "width": 384, "height": 256, "cfg_scale": 1.5, "guidance": 4}
    asked |= {"loras": [{"name": "ink", "weight": 0.5}], "prompt_tokens": 48}
    shutil.copytree(INK.parent, house.folder / "models" / "loras")
    answer = client.post("/api/jobs", json=starting_values(DEMO) | asked)
    assert answer.status_code == 201
    assert answer.json() == {"jobs": [1], "seed": 9, "group": None}
    stored = house.queue.get(1).request.model_dump(mode="json")
    assert {name: stored[name] for name in asked} == asked


def test_several_pictures_are_jobs_of_one_group_with_seeds_that_count_up(house: House, client: TestClient) -> None:
    answer = client.post("/api/jobs", json={"prompt": "x", "seed": LARGEST_SEED - 1, "count": 4}).json()
    jobs = house.queue.of_group(answer["group"])
    assert [job.id for job in jobs] == answer["jobs"] == [1, 2, 3, 4]
    assert [job.request.seed for job in jobs] == [LARGEST_SEED - 1, LARGEST_SEED, 0, 1]


def prompts_and_seeds(house: House) -> list[tuple[str, int]]:
    return [(job.request.prompt, job.request.seed) for job in house.queue.unfinished()]


def test_each_line_and_each_choice_is_a_picture_of_one_group(house: House, client: TestClient) -> None:
    asked = {"prompt": "a {red|blue} boat\n\n  a pond ", "lines": True, "seed": 5, "count": 2}
    assert client.post("/api/check", json=asked).json()["pictures"] == 6
    answer = client.post("/api/jobs", json=asked).json()
    assert len(house.queue.of_group(answer["group"])) == 6
    each = [("a red boat", 5), ("a red boat", 6), ("a blue boat", 5), ("a blue boat", 6), ("a pond", 5), ("a pond", 6)]
    assert prompts_and_seeds(house) == each


def test_lines_are_one_prompt_unless_said_otherwise(house: House, client: TestClient) -> None:
    client.post("/api/jobs", json={"prompt": "a lake\na pond", "seed": 1, "last_seed": 2})
    assert prompts_and_seeds(house) == [("a lake\na pond", 1), ("a lake\na pond", 2)]


def test_without_a_seed_of_its_own_no_two_pictures_of_an_order_have_the_same(house: House, client: TestClient) -> None:
    client.post("/api/jobs", json={"prompt": "{a|b|c}", "count": 3})
    assert len({seed for _, seed in prompts_and_seeds(house)}) == 9


def test_too_many_pictures_are_refused_with_their_number(house: House, client: TestClient) -> None:
    for asked in ({"prompt": "{a|b}" * 9}, {"prompt": "a\n" * 512, "lines": True}, {"prompt": "{a|b}", "count": 256}):
        answer = client.post("/api/jobs", json=asked).json()
        assert answer["words"] == (
            "Pictures of this order: 512 is not possible. Allowed: at most 500 pictures at once."
        ), asked
        assert client.post("/api/check?lang=zh", json=asked).json()["problems"]["pictures"] == (
            "这次要做的图片数不能是 512，允许：一次最多 500 张。"
        )
    assert house.queue.latest() is None


def test_a_line_that_is_not_allowed_refuses_the_whole_order(house: House, client: TestClient) -> None:
    for line in ("b\x07", "x" * (LONGEST_PROMPT + 1)):
        answer = client.post("/api/jobs", json={"prompt": f"a\n{line}", "lines": True})
        assert [problem["field"] for problem in answer.json()["problems"]] == ["prompt"]
    assert house.queue.latest() is None


def test_clients_take_turns(house: House, client: TestClient) -> None:
    for name in ("desk", "desk", "phone"):
        client.post("/api/jobs", json={"prompt": name}, headers={"Darkroom-Client": name})
    assert [job.request.prompt for job in house.queue.unfinished()] == ["desk", "phone", "desk"]
    refused = client.post("/api/jobs", json={"prompt": "x"}, headers={"Darkroom-Client": "a b"})
    assert (refused.status_code, refused.json()["problems"][0]["field"]) == (422, "Darkroom-Client")


def test_a_program_may_leave_out_what_it_does_not_care_about(house: House, client: TestClient) -> None:
    assert client.post("/api/jobs", json={"prompt": "a pier"}).status_code == 201
    stored = house.queue.get(1).request
    assert (stored.prompt, stored.steps, stored.width) == ("a pier", DEMO.default_steps, DEMO.default_width)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("steps", 10**6, "Steps: 1000000 is not possible. Allowed: a whole number from 1 to 100."),
        ("steps", "8", "Steps: 8 is not possible. Allowed: a whole number from 1 to 100."),
        ("steps", None, "Steps is empty. Allowed: a whole number from 1 to 100."),
        ("guidance", -1, "Guidance (distilled CFG): -1 is not possible. Allowed: a number from 0 to 30."),
        ("cfg_scale", 1e300, "True CFG: 1e+300 is not possible. Allowed: a number from 1 to 20."),
        ("width", 300, "Width: 300 is not possible. Allowed: 256 to 512 pixels, a multiple of 16."),
        ("height", 4096, "Height: 4096 is not possible. Allowed: 256 to 512 pixels, a multiple of 16."),
        ("seed", -2, "Seed: -2 is not possible. Allowed: a whole number from −1 (a new one each time) to 4294967295."),
        ("seed", True, "Seed: True is not possible."),
        ("count", 501, "Number of pictures: 501 is not possible. Allowed: a whole number from 1 to 500."),
        ("count", 1.5, "Number of pictures: 1.5 is not possible. Allowed: a whole number from 1 to 500."),
        ("lines", "yes", "Each line a prompt: yes is not possible. Allowed: true or false."),
        (
            "last_seed",
            5,
            "Last seed: 5 is not possible. Allowed: a whole number from 0 to 4294967295, with a seed that",
        ),
        ("model", "../../etc/passwd", "Model: ../../etc/passwd is not possible. Allowed: one of Darkroom demo."),
        ("prompt", ["a"], "Prompt: ['a'] is not possible. Allowed: text."),
        ("prompt", "a\x07b", "Allowed: text without control characters."),
        ("negative_prompt", "\ud800", "Allowed: text."),
        ("prompt", "x" * 2**20, f"Allowed: at most {LONGEST_PROMPT} characters."),
        ("surprise", 1, "surprise: 1 is not possible. Allowed: no such field."),
    ],
)
def test_a_wrong_value_is_answered_with_field_value_and_range_and_nothing_is_stored(
    field: str, value: object, words: str, house: House, client: TestClient
) -> None:
    answer = client.post("/api/jobs", content=json.dumps({"prompt": "x", field: value}))
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert problem["field"] == field
    assert words in problem["words"]
    assert house.queue.latest() is None


def test_every_wrong_field_is_named_at_once_and_in_the_readers_language(client: TestClient) -> None:
    wrong = {"prompt": "x", "steps": 0, "width": float("nan"), "count": "many"}
    answer = client.post("/api/jobs?lang=zh", content=json.dumps(wrong)).json()
    assert {problem["field"] for problem in answer["problems"]} == {"steps", "width", "count"}
    assert "步数不能是 0，允许：1 到 100 的整数。" in answer["words"]


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"3", b"null", b'"a"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 90_000, b"9" * 10_000]
)
def test_a_body_that_is_no_object_is_refused_in_words(body: bytes, house: House, client: TestClient) -> None:
    answer = client.post("/api/jobs", content=body)
    assert answer.status_code == 422
    assert "a JSON object with values by name" in answer.json()["words"]
    assert house.queue.latest() is None


def test_more_than_there_can_be_use_for_is_not_even_read(client: TestClient) -> None:
    answer = client.post("/api/jobs", content=b"x" * (5 * 2**20))
    assert answer.status_code == 422
    assert "at most 4 MiB" in answer.json()["words"]


# --- hostile


def _deep(rng: random.Random) -> object:
    value: object = 0
    for _ in range(rng.choice((1, 5, 300))):
        value = [value]
    return value


STRANGE: tuple[Callable[[random.Random], object], ...] = (
    lambda rng: rng.choice((None, True, False, "", " ", "NaN", "null", "undefined", [], {}, [[]], {"a": 1})),
    lambda rng: rng.choice((float("nan"), float("inf"), -float("inf"), 1e308, -0.0, 5e-324, 0.1 + 0.2)),
    lambda rng: rng.choice((1, -1)) * rng.choice((0, 1, 2**31, 2**32, 2**63, 2**64, 10**40, 10**300)),
    lambda rng: rng.randrange(-600, 600) + rng.choice((0, 0, 0.5)),
    lambda rng: "".join(chr(rng.randrange(0x110000)) for _ in range(rng.randrange(40))),
    lambda rng: rng.choice(("\u202e\u0627\u0644\u0641", "👩‍👩‍👧‍👦" * 9, "\x00\x1b[31m", "\ud83d", "%s%n${7*7}", "{x}")),
    lambda rng: rng.choice(("' OR 1=1; --", "<script>alert(1)</script>", "../../etc/passwd", "(((a:1.5)BREAK[b|c]")),
    lambda rng: rng.choice("a \n(\u4e00") * rng.choice((10, 9_999, 10_001, 60_000)),
    _deep,
)


def test_two_thousand_hostile_submissions_are_each_refused_or_stored_as_they_are(
    house: House, client: TestClient
) -> None:
    rng = random.Random(20_26)
    fields = [*starting_values(DEMO), "count", "", "__class__", "prompt\x00", "\ud800"]
    for number in range(SUBMISSIONS):
        chosen = rng.sample(fields, rng.choice((1, 1, 2, 5)))
        values = {"prompt": "x", **{field: rng.choice(STRANGE)(rng) for field in chosen}}
        path = rng.choice(("/api/jobs", "/api/jobs", "/api/check", "/api/styles/apply"))
        answer = client.post(path, content=json.dumps(values))
        assert answer.status_code in (200, 201, 404, 422), (number, values, answer.text)
        if path == "/api/jobs":
            _check_kept(answer.status_code, answer.json(), values, house)


def _check_kept(status: int, answer: dict[str, Any], values: dict[str, Any], house: House) -> None:
    if status == 201:
        stored = house.queue.get(answer["jobs"][0]).request.model_dump()
        assert {name: stored[name] for name in values.keys() & stored.keys() - {"seed"}} == {
            name: values[name] for name in values.keys() & stored.keys() - {"seed"}
        }
    else:
        assert answer["problems"]
        assert answer["words"]


# --- what the form is told before it asks


def test_the_prompt_is_counted_and_where_it_is_cut_is_said_in_the_browsers_places(
    root: Path, house: House, client: TestClient
) -> None:
    assert client.post("/api/check", json={"prompt": "x"}).json()["tokens"] is None
    for folder in (DEMO.files.tokenizer_1, DEMO.files.tokenizer_2):
        shutil.copytree(root / "models" / folder, house.folder / "models" / folder)
    prompt = "🙂 a lighthouse by the sea, " * 40
    found = client.post("/api/check", json={"prompt": prompt}).json()
    assert found["tokens"]["used"] > found["tokens"]["limit"] == DEMO.prompt_tokens
    start = found["unread"]["start"]
    rest = prompt.encode("utf-16-le")[2 * start :].decode("utf-16-le")
    assert rest.strip()
    assert " ".join(rest.split())[:10] in found["unread"]["words"]


def test_of_many_prompts_the_longest_is_counted_also_when_something_else_is_wrong(
    root: Path, house: House, client: TestClient
) -> None:
    for folder in (DEMO.files.tokenizer_1, DEMO.files.tokenizer_2):
        shutil.copytree(root / "models" / folder, house.folder / "models" / folder)
    asked = {"prompt": "a red house\n" * 60 + "a small red house by a lake", "lines": True}
    right = client.post("/api/check", json=asked).json()
    for wrong in ({"steps": 0}, {"count": 0}, {"width": None}):
        found = client.post("/api/check", json={**asked, **wrong}).json()
        assert found["tokens"] == right["tokens"]
        assert found["unread"] is None
    one = {"prompt": asked["prompt"], "steps": 0}
    assert client.post("/api/check", json=one).json()["unread"]["start"] > 0
    too_long = {"prompt": "x" * (LONGEST_PROMPT + 1), "steps": 0}
    assert set(client.post("/api/check", json=too_long).json()["problems"]) == {"prompt", "steps"}


def test_other_tools_syntax_is_pointed_out_once_per_kind(client: TestClient) -> None:
    found = client.post("/api/check", json={"prompt": "🙂 a (red:1.3) barn BREAK a (blue:1.2) sky"}).json()
    assert [[piece["text"] for piece in note["pieces"]] for note in found["notes"]] == [
        ["(red:1.3)", "(blue:1.2)"],
        ["BREAK"],
    ]
    assert found["places"][0] == {"start": 5, "end": 14, "text": "(red:1.3)"}


def test_a_check_names_problems_by_field_and_stores_nothing(house: House, client: TestClient) -> None:
    found = client.post("/api/check", json={"prompt": "x", "steps": 0, "count": 0}).json()
    assert set(found["problems"]) == {"steps", "count"}
    assert client.post("/api/check", json={"prompt": "x"}).json()["problems"] == {}
    assert house.queue.latest() is None


def test_earlier_prompts_are_found_by_their_words(house: House, client: TestClient) -> None:
    for prompt in ("a red barn", "月亮", "a red barn"):
        house.picture(prompt=prompt)
    assert client.get("/api/prompts").json() == {"prompts": ["a red barn", "月亮"]}
    assert client.get("/api/prompts", params={"q": "月"}).json() == {"prompts": ["月亮"]}
    assert client.get("/api/prompts", params={"q": "x" * 999}).status_code == 422


def test_an_order_whose_pictures_were_all_removed_is_not_made_again_and_says_so(
    house: House, client: TestClient
) -> None:
    def send(path: str) -> Any:
        return client.post(path, json={"prompt": "a lake"}, headers={"Idempotency-Key": "lake-1"})

    (job,) = send("/api/v1/jobs").json()["jobs"]
    house.supervisor.start()
    patient_until = time.monotonic() + 60
    while (picture := house.queue.get(job["id"]).picture) is None:
        assert time.monotonic() < patient_until, "the picture was not made"
        time.sleep(0.02)
    client.delete(f"/api/pictures/{picture}")
    client.post(f"/api/pictures/{picture}/purge")
    for path, words in (
        ("/api/v1/jobs", "This was ordered before, and all its pictures have been removed for good."),
        ("/api/jobs?lang=zh", "这些图片之前已经生成过，并且都已彻底删除。"),
    ):
        refused = send(path)
        assert (refused.status_code, refused.json()["error"]) == (410, "order_gone")
        assert refused.json()["words"].startswith(words)
    assert client.get("/api/v1/jobs").json()["jobs"] == []
