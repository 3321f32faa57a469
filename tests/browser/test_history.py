"""The history's own view: as long as it may be, searched, sorted, starred, thrown away and brought back."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.server import DarkroomServer
from tests.browser.stock import stock
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

COUNT = 200
FILLED = """() => {  // down to the lower edge of the window
    const last = [...document.querySelectorAll('.sheet .tile')].at(-1);
    return last && (last.dataset.id === '1' || last.getBoundingClientRect().bottom > innerHeight);
}"""

darkroom = stocked([{"prompt": f"number {id:03d}" + " 灯塔" * (id % 50 == 0)} for id in range(1, COUNT + 1)])


def shown(person: Visitor) -> list[int]:
    found: list[int] = person.page.evaluate(
        "[...document.querySelectorAll('.sheet .tile')].map(tile => Number(tile.dataset.id))"
    )
    return found


def search(person: Visitor, words: str) -> None:
    person.page.locator(".history input").fill(words)


def test_scrolling_reaches_every_picture_and_far_rows_are_dropped(visit: Visit) -> None:
    person = visit(width=390)
    expect(person.open_history().first).to_be_visible()
    expect(person.page.locator(".history .count")).to_have_text("200 pictures")
    seen: set[int] = set(shown(person))
    while 1 not in seen:
        person.page.evaluate("window.scrollBy(0, 900)")
        person.page.wait_for_function(FILLED)
        now = shown(person)
        seen |= set(now)
        assert now == sorted(now, reverse=True)
    assert seen == set(range(1, COUNT + 1))
    assert len(shown(person)) < COUNT
    assert person.sideways() == 0
    person.page.evaluate("window.scrollTo(0, 0)")
    expect(person.page.locator(f'.sheet .tile[data-id="{COUNT}"]')).to_be_visible()


def test_a_search_finds_words_of_the_prompt_and_says_when_there_are_none(visit: Visit) -> None:
    person = visit(locale="zh-CN")
    tiles = person.open_history()
    search(person, "灯塔 number")
    expect(tiles).to_have_count(4)
    expect(person.page.locator(".history .count")).to_have_text("4 张图片")
    tiles.first.click()
    expect(person.page.locator(".viewer .prompt")).to_have_text("number 200 灯塔")
    person.page.keyboard.press("ArrowRight")  # the next one of those that were found
    expect(person.page.locator(".viewer .prompt")).to_have_text("number 150 灯塔")
    person.page.keyboard.press("Escape")
    search(person, "submarine")
    expect(person.page.locator(".history .nothing")).to_have_text("没有图片的提示词包含这些文字。")


def test_the_order_is_remembered(visit: Visit) -> None:
    person = visit()
    tiles = person.open_history()
    person.page.locator(".history select").select_option("oldest")
    expect(tiles.first).to_have_attribute("data-id", "1")
    person.page.reload()
    expect(tiles.first).to_have_attribute("data-id", "1")


def test_starred_pictures_have_their_own_list(visit: Visit) -> None:
    person = visit()
    tiles = person.open_history()
    tiles.nth(2).focus()
    person.page.keyboard.press("s")
    expect(tiles.nth(2)).to_have_class("tile starred")
    person.page.locator(".filter.star").click()
    expect(tiles).to_have_count(1)
    tiles.first.focus()
    person.page.keyboard.press("s")
    expect(person.page.locator(".history .nothing")).to_contain_text("No starred pictures yet")


def test_the_trash_keeps_what_was_deleted_until_a_person_says_otherwise(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    tiles = person.open_history()
    search(person, "number 077")
    expect(tiles).to_have_count(1)
    file = darkroom.history / person.ask("/api/pictures/77")["rows"][-1][1]
    tiles.first.focus()
    person.page.keyboard.press("Delete")
    expect(tiles).to_have_count(0)
    person.page.locator(".filter.trash").click()
    expect(tiles).to_have_count(1)
    tiles.first.click()
    person.page.locator(".viewer .purge").click()
    expect(person.page.locator("dialog.sure .no")).to_be_focused()
    person.page.keyboard.press("Enter")
    expect(person.page.locator("dialog.sure")).to_have_count(0)
    assert file.exists()
    person.page.locator(".viewer .restore").click()
    expect(tiles).to_have_count(0)
    person.page.locator(".filter.trash").click()
    expect(tiles).to_have_count(1)


def test_a_picture_removed_for_good_is_gone(visit: Visit, darkroom: DarkroomServer) -> None:
    stock_of_one = {"prompt": "to be removed"}
    darkroom.stop()
    stock(darkroom.history, [stock_of_one])
    darkroom.start()
    person = visit()
    newest = person.history()[0]
    file = darkroom.history / newest["rows"][-1][1]
    person.open_history().first.click()
    expect(person.page.locator(".viewer .prompt")).to_have_text("to be removed")
    person.page.keyboard.press("Delete")
    expect(person.page.locator(".viewer .prompt")).not_to_have_text("to be removed")
    person.page.keyboard.press("Escape")
    person.page.locator(".filter.trash").click()
    person.page.locator(f'.sheet .tile[data-id="{newest["id"]}"]').click()
    person.page.locator(".viewer .purge").click()
    person.page.locator("dialog.sure .yes").click()
    expect(person.page.locator(".history .nothing")).to_have_text("The trash is empty.")
    assert not file.exists()


def test_arrows_move_through_the_sheet(visit: Visit) -> None:
    person = visit()
    tiles = person.open_history()
    tiles.first.focus()
    focused = "Number(document.activeElement.parentElement.dataset.place)"
    person.page.keyboard.press("ArrowRight")
    assert person.page.evaluate(focused) == 1
    person.page.keyboard.press("ArrowDown")
    below = person.page.evaluate(focused)
    assert below > 2
    person.page.keyboard.press("ArrowUp")
    assert person.page.evaluate(focused) == 1
    reached = []
    for _ in range(4):  # the small buttons of this tile, then out
        person.page.keyboard.press("Tab")
        reached.append(person.page.evaluate("document.activeElement.closest('.sheet') && document.activeElement.title"))
    assert reached == ["Select", "Star", "Delete", None]


def test_back_and_forward_move_between_the_views(visit: Visit) -> None:
    person = visit()
    person.open_history()
    person.page.go_back()
    expect(person.field("prompt")).to_be_visible()
    person.page.go_forward()
    expect(person.page.locator(".history .toolbar")).to_be_visible()
    person.page.reload()
    expect(person.page.locator(".history .toolbar")).to_be_visible()


def test_escape_stops_a_picture_only_where_it_is_seen(visit: Visit) -> None:
    person = visit()
    said = {"activity": "Developing", "detail": "", "left": "", "notice": ""}
    job = {"id": 7, "state": "running", "activity": "denoising", "step": 1, "of": 8, "progress": 0.1, "notice": None}
    job |= {"preview_number": 0, "prompt": "x", "width": 64, "height": 64, "words": said}
    rest = {"queue": {"paused": False, "words": ""}, "failed": []}
    person.page.route("**/api/jobs?*", lambda route: route.fulfill(json={"jobs": [job], "ids": [7], **rest}))
    stops: list[str] = []
    person.page.route("**/api/jobs/7/stop", lambda route: (stops.append(route.request.url), route.fulfill(json=job))[1])
    stop = person.page.locator(".watch .stop")
    expect(stop).to_be_visible()
    expect(person.open_history().first).to_be_visible()
    person.page.keyboard.press("Escape")
    person.page.go_back()
    expect(stop).to_be_enabled()
    assert stops == []
    with person.page.expect_response("**/api/jobs/7/stop"):
        person.page.locator("body").press("Escape")
        expect(stop).to_be_disabled()
    assert len(stops) == 1
