"""From a prompt to a picture, and from a picture back to its prompt."""

import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from benchmarks.first_light import click_to_picture
from tests.browser.conftest import Visit
from tests.browser.darkrooms import emptied
from tests.browser.server import DarkroomServer
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ASKED = {
    "prompt": "two red barns on a hill, 一轮明月, <b>&amp; 'quoted'",
    "negative_prompt": "rain",
    "seed": "-1",
    "steps": "20",
    "guidance": "2.5",
    "cfg_scale": "1.5",
    "width": "384",
    "height": "256",
}

darkroom = emptied


def test_the_benchmark_sees_a_picture_and_then_the_next(visit: Visit) -> None:
    person = visit()
    for count in (1, 2):
        assert click_to_picture(person.page) > 0
        expect(person.tiles()).to_have_count(count)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_picture_is_made_kept_and_made_again(width: int, visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit(width=width)
    person.fill(**ASKED)
    person.generate()
    person.wait_for_the_middle()
    with darkroom.engine_held():
        person.see_preview()
    address = person.see_picture()
    expect(person.tiles()).to_have_count(1)
    assert person.sideways() == 0

    made = person.history()[0]
    assert address == made["picture"]
    ran = {name: made["request"][name] for name in ASKED if name != "seed"}
    asked = {name: type(ran[name])(value) for name, value in ASKED.items() if name != "seed"}
    assert ran == asked
    assert not darkroom.loaded_torch
    assert person.field("seed").input_value() == "-1"
    person.page.locator("#last-seed").click()
    expect(person.field("seed")).to_have_value(str(made["request"]["seed"]))
    person.page.locator("#random-seed").click()
    expect(person.field("seed")).to_have_value("-1")

    darkroom.stop()
    darkroom.start()
    later = visit(width=width)
    expect(later.tiles()).to_have_count(1)
    assert later.history() == [made]
    later.reuse(0)
    expect(later.field("prompt")).to_have_value(ASKED["prompt"])
    assert later.values() == ASKED | {"seed": str(made["request"]["seed"])}
    assert later.sideways() == 0

    later.generate()
    later.see_picture()
    expect(later.tiles()).to_have_count(2)
    again = later.history()[0]
    assert again["id"] != made["id"]
    assert again["request"] == made["request"]
    assert pixels(later, again["picture"]) == pixels(later, made["picture"])


def pixels(person: Visitor, address: str) -> tuple[tuple[int, int], bytes]:
    with Image.open(io.BytesIO(person.page.request.get(person.page.url.rstrip("/") + address).body())) as picture:
        assert picture.format == "PNG"
        return picture.size, picture.convert("RGB").tobytes()
