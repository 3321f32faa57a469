"""What the page's buttons do, seen from the server: the events Gradio passes on, honest and hostile."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from darkroom.catalog import DEMO
from darkroom.web.form import starting_values
from tests.web.conftest import House, Press

ORDER = ("prompt", "width", "height", "steps", "guidance", "seed", "cfg_scale", "negative_prompt", "model")


def form(**changes: Any) -> list[Any]:
    values = starting_values(DEMO) | changes
    return [values[name] for name in ORDER]


def test_generate_stores_exactly_what_was_asked_for(house: House, press: Press) -> None:
    asked = {"prompt": "灯塔", "seed": 9, "steps": 3, "width": 384, "height": 256, "cfg_scale": 1.5, "guidance": 4}
    message, watched = press("generate", "click", form(**asked))
    assert message == {"title": "", "lines": []}
    assert watched == {"job": 1, "seed": 9}
    stored = house.queue.get(1).request
    assert {name: getattr(stored, name) for name in asked} == asked


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 10**6},
        {"steps": None},
        {"steps": "8"},
        {"width": 500},
        {"prompt": None},
        {"prompt": "x" * 20_000},
        {"prompt": ["a"]},
        {"seed": {"a": 1}},
        {"model": "../../etc/passwd"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_hostile_form_is_refused_in_words_and_nothing_is_stored(
    changes: dict[str, Any], house: House, press: Press
) -> None:
    message, _ = press("generate", "click", form(**changes))
    assert message["title"] == "This was not started:"
    assert len(message["lines"]) == 1
    assert house.queue.latest() is None


def test_reuse_fills_every_field_with_what_ran(house: House, press: Press) -> None:
    ran = {"prompt": "a pier", "negative_prompt": "fog", "seed": 2**32 - 1, "steps": 4, "cfg_scale": 2.0}
    picture = house.picture(**ran, width=384, height=512)
    _, *filled = press("history", "reuse", [], {"id": picture})
    request = house.library.get(picture).request
    values = [value["value"] if isinstance(value, dict) else value for value in filled]
    assert values[:-1] == [getattr(request, name) for name in ORDER]
    assert values[-1] == "3:4"


@pytest.mark.parametrize("data", [None, {}, {"id": "1"}, {"id": True}, {"id": 99}, {"id": -1}, {"id": 2**70}, [1], "x"])
def test_reuse_of_nothing_is_said_in_words(data: Any, press: Press) -> None:
    message, *_ = press("history", "reuse", [], data)
    assert message == {"title": "This picture does not exist.", "lines": []}


def test_each_language_has_its_own_page(client: TestClient) -> None:
    assert "提示词" in client.get("/", headers={"accept-language": "zh"}).text
    client.cookies.set("darkroom_language", "zh")
    assert "提示词" in client.get("/", headers={"accept-language": "en"}).text
    client.cookies.set("darkroom_language", "<nonsense>")
    assert "提示词" not in client.get("/").text
