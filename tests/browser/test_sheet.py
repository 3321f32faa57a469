"""The contact sheet while lists, windows and servers change: what is seen is true, and the keyboard keeps its place."""

from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.server import DarkroomServer
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

COUNT = 200
SHAPES = ((256, 256), (512, 256), (256, 384), (384, 256))
FOCUSED = "Number(document.activeElement.parentElement.dataset.place)"

darkroom = stocked(
    [
        {"prompt": f"number {id:03d}", "width": wide, "height": high}
        for id, (wide, high) in enumerate((SHAPES[id % len(SHAPES)] for id in range(1, COUNT + 1)), 1)
    ]
)


def top_of(person: Visitor, selector: str) -> float:
    found: float = person.page.evaluate(
        "selector => document.querySelector(selector).getBoundingClientRect().top", selector
    )
    return found


def search(person: Visitor, words: str) -> None:
    person.page.locator(".history input").fill(words)


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


def test_a_list_that_cannot_be_read_is_not_the_one_before_and_comes_when_it_can(visit: Visit) -> None:
    person = visit()
    tiles = person.open_history()
    expect(tiles.first).to_be_visible()
    person.page.route("**/api/history?*", lambda route: route.abort())
    person.page.locator(".filter.star").click()
    nothing = person.page.locator(".history .nothing")
    expect(nothing).to_have_text("The history could not be read. It is tried again by itself.")
    expect(nothing).to_be_in_viewport()
    expect(tiles).to_have_count(0)
    expect(person.page.locator(".history .count")).to_have_text("")
    person.page.unroute("**/api/history?*")
    expect(nothing).to_contain_text("No starred pictures yet")


def test_pictures_of_the_list_before_do_nothing_while_another_one_comes(visit: Visit) -> None:
    person = visit()
    tiles = person.open_history()
    expect(tiles.first).to_be_visible()
    waiting: list[Route] = []
    person.page.route("**/api/history?*", lambda route: waiting.append(route))
    with person.page.expect_request("**/api/history?*"):
        search(person, "number 007")
    expect(person.page.locator(".sheet")).to_have_attribute("aria-busy", "true")
    tiles.first.click()
    person.page.keyboard.press("s")
    for route in waiting:
        route.continue_()
    expect(tiles).to_have_count(1)
    expect(person.page.locator("dialog.viewer")).to_be_hidden()
    expect(person.page.locator(".sheet .tile.starred")).to_have_count(0)


def test_a_search_that_is_refused_says_why_and_is_not_asked_again(visit: Visit) -> None:
    person = visit(locale="zh-CN")
    tiles = person.open_history()
    expect(tiles.first).to_be_visible()
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url) if "/api/history?" in request.url else None)
    person.page.clock.install()
    search(person, "la\x0bke")
    person.page.clock.run_for(1000)
    expect(person.page.locator(".history .nothing")).to_contain_text("搜索词不能是")
    expect(tiles).to_have_count(0)
    person.page.clock.run_for(20_000)
    assert len(asked) == 1
    search(person, "number 007")
    person.page.clock.run_for(1000)
    expect(tiles).to_have_count(1)


def test_another_list_is_seen_from_its_beginning(visit: Visit) -> None:
    person = visit()
    expect(person.open_history().first).to_be_visible()
    person.page.evaluate("window.scrollTo(0, 2500)")
    person.page.locator(".history select").select_option("oldest")
    expect(person.page.locator('.sheet .tile[data-id="1"]')).to_be_in_viewport()
    assert top_of(person, ".history .toolbar") == 0


def test_turning_a_phone_keeps_the_pictures_that_are_looked_at(visit: Visit) -> None:
    person = visit(width=390)
    expect(person.open_history().first).to_be_visible()
    at_the_top = "document.elementFromPoint(60, 140).closest('.sheet .tile')?.dataset.id"
    person.page.evaluate("window.scrollTo(0, 3000)")
    person.page.wait_for_function(at_the_top)
    seen = person.page.evaluate(at_the_top)
    for width, height in ((860, 390), (390, 860)):
        before = person.page.evaluate("document.querySelector('.sheet').offsetHeight")
        person.page.set_viewport_size({"width": width, "height": height})
        person.page.wait_for_function(f"document.querySelector('.sheet').offsetHeight !== {before}")
        expect(person.page.locator(f'.sheet .tile[data-id="{seen}"]')).to_be_in_viewport()


def test_coming_back_to_the_history_finds_its_place(visit: Visit) -> None:
    person = visit()
    expect(person.open_history().first).to_be_visible()
    person.page.evaluate("window.scrollTo(0, 1800)")
    person.page.evaluate("location.hash = '#/'")
    expect(person.field("prompt")).to_be_visible()
    person.page.go_back()
    expect(person.page.locator(".history .toolbar")).to_be_visible()
    assert person.page.evaluate("window.scrollY") == 1800
    person.page.go_back()
    expect(person.field("prompt")).to_be_visible()
    person.page.go_forward()
    expect(person.page.locator(".history .toolbar")).to_be_visible()
    assert person.page.evaluate("window.scrollY") == 1800


def first_in_sight(person: Visitor) -> tuple[str, float]:
    """The first picture of the first row that is not above the window, and how far below its edge it begins."""
    found: list[list[Any]] = person.page.evaluate(
        """[...document.querySelectorAll(".sheet .tile")].map((tile) => [tile.dataset.id, tile.getBoundingClientRect()])
            .filter(([, { bottom }]) => bottom >= 0).map(([id, { top }]) => [id, top])
            .sort(([one, top], [other, below]) => top - below || other - one).slice(0, 1)"""
    )
    return found[0][0], found[0][1]


def reload(person: Visitor) -> None:
    person.page.reload()
    expect(person.page.locator(".sheet .tile").first).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("down", [700, 4000])
def test_a_reload_keeps_the_place_in_the_history(width: int, down: int, visit: Visit) -> None:
    person = visit(width=width)
    expect(person.open_history().first).to_be_visible()
    while person.page.evaluate("window.scrollY") < down:
        person.page.evaluate(f"window.scrollTo(0, {down})")
    person.page.wait_for_timeout(100)
    id, top = first_in_sight(person)
    for _ in range(2):
        reload(person)
        person.page.wait_for_function("window.scrollY > 0")
        person.page.wait_for_timeout(200)
        assert first_in_sight(person) == (id, pytest.approx(top, abs=1))


def test_whoever_acts_while_a_reloaded_history_comes_is_not_moved(visit: Visit) -> None:
    person = visit()
    expect(person.open_history().first).to_be_visible()
    person.page.evaluate("window.scrollTo(0, 700)")
    waiting: list[Route] = []
    person.page.route("**/api/history?*", lambda route: waiting.append(route))
    with person.page.expect_request("**/api/history?*"):
        person.page.reload()
    person.page.locator(".history input").click()
    for route in waiting:
        route.continue_()
    person.page.unroute("**/api/history?*")
    expect(person.page.locator(".sheet .tile").first).to_be_visible()
    person.page.wait_for_timeout(300)
    assert person.page.evaluate("window.scrollY") == 0


def test_a_reload_of_another_list_and_a_new_visit_begin_at_the_top(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    tiles = person.open_history()
    expect(tiles.first).to_be_visible()
    person.page.evaluate("window.scrollTo(0, 700)")
    person.page.goto("about:blank")
    person.page.goto(f"{darkroom.address}/#/history")
    expect(tiles.first).to_be_visible()
    person.page.wait_for_timeout(300)
    assert person.page.evaluate("window.scrollY") == 0
    search(person, "number")
    expect(person.page.locator(".sheet")).to_have_attribute("aria-busy", "false")
    person.page.evaluate("window.scrollTo(0, 700)")
    reload(person)
    person.page.wait_for_timeout(300)
    assert person.page.evaluate("window.scrollY") == 0
