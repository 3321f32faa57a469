"""The contact sheet while lists, windows and servers change under it: what is seen is true, and the keyboard keeps its place."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.server import DarkroomServer
from tests.browser.stock import stock
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

COUNT = 200
SHAPES = ((256, 256), (512, 256), (256, 384), (384, 256))
FOCUSED = "Number(document.activeElement.parentElement.dataset.place)"


@pytest.fixture(scope="module")
def darkroom(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DarkroomServer]:
    """One for all: each test leaves it as it was."""
    server = DarkroomServer(root, tmp_path_factory.mktemp("darkroom"))
    shapes = [SHAPES[id % len(SHAPES)] for id in range(1, COUNT + 1)]
    stock(
        server.history,
        [{"prompt": f"number {id:03d}", "width": wide, "height": high} for id, (wide, high) in enumerate(shapes, 1)],
    )
    server.start()
    yield server
    server.close()


def top_of(person: Visitor, selector: str) -> float:
    found: float = person.page.evaluate(
        "selector => document.querySelector(selector).getBoundingClientRect().top", selector
    )
    return found


@pytest.mark.parametrize("width", [1280, 390])
def test_what_can_be_done_with_a_selection_stays_in_reach(width: int, visit: Visit) -> None:
    person = visit(width=width)
    person.open_history().first.focus()
    person.page.keyboard.press("x")
    person.page.evaluate("window.scrollTo(0, 1500)")
    assert top_of(person, ".history .toolbar") == 0
    expect(person.page.locator(".selecting .to-trash")).to_be_in_viewport(ratio=1)
    person.page.locator(".selecting .to-leave").click()
    expect(person.page.locator(".history .looking")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_picture_reached_by_keys_is_not_below_the_tools(width: int, visit: Visit) -> None:
    person = visit(width=width)
    person.open_history().first.focus()
    for _ in range(9):
        person.page.keyboard.press("ArrowDown")
    for _ in range(7):
        person.page.keyboard.press("ArrowUp")
    bottom = "document.querySelector('.history .toolbar').getBoundingClientRect().bottom"
    assert top_of(person, ".sheet .tile:focus") >= person.page.evaluate(bottom)


def test_the_tray_stays_beside_a_long_form(visit: Visit) -> None:
    person = visit()
    person.open_advanced()
    person.page.evaluate("window.scrollTo(0, 150)")
    assert top_of(person, "#tray") == pytest.approx(20, abs=1)


def test_the_keyboard_keeps_its_place_when_more_pictures_arrive_or_the_window_changes(visit: Visit) -> None:
    person = visit()
    person.open_history().first.focus()
    with person.page.expect_response("**/api/history?*cursor=*"):
        person.page.keyboard.press("End")
    expect(person.page.locator('.sheet .cell[data-place="80"]')).to_have_count(1)
    assert person.page.evaluate(FOCUSED) == 79
    person.page.keyboard.press("ArrowRight")
    assert person.page.evaluate(FOCUSED) == 80
    width = "document.querySelector('.sheet .tile').closest('.row').offsetWidth"
    before = person.page.evaluate(width)
    person.page.set_viewport_size({"width": 700, "height": 860})
    person.page.wait_for_function(f"{width} !== {before}")
    assert person.page.evaluate(FOCUSED) == 80
