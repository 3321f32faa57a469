"""A search in the history while pictures come and go: the list is what the server would find."""

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

COUNT = 120

darkroom = stocked([{"prompt": f"number {id:03d}"} for id in range(1, COUNT + 1)])


def find(person: Visitor, words: str) -> Locator:
    """The tiles of what is found."""
    tiles = person.open_history()
    expect(tiles.first).to_be_visible()
    with person.page.expect_response(lambda answer: "q=" in answer.url):
        person.page.locator(".history input").fill(words)
    return tiles


def change(person: Visitor, method: str, path: str) -> None:
    """As another page would."""
    person.page.request.fetch(person.page.url.split("#")[0] + path, method=method)


def test_undo_of_a_star_taken_from_what_was_found_brings_it_back(visit: Visit) -> None:
    person = visit()
    for id in (111, 112, 113):
        change(person, "PUT", f"api/pictures/{id}/star")
    tiles = find(person, "number 11")
    person.page.locator(".filter.star").click()
    expect(tiles).to_have_count(3)
    tiles.nth(0).focus()
    for key in ("x", "ArrowRight", "x"):
        person.page.keyboard.press(key)
    person.page.locator(".selecting .to-star").click()
    expect(tiles).to_have_count(1)
    person.page.locator(".toast .do").click()
    expect(tiles).to_have_count(3)
    expect(person.page.locator(".history .count")).to_have_text("3 pictures")
    for id in (111, 112, 113):
        change(person, "DELETE", f"api/pictures/{id}/star")


def test_what_is_deleted_elsewhere_comes_into_the_trash_that_is_searched(visit: Visit) -> None:
    person = visit()
    tiles = find(person, "number 12")
    person.page.locator(".filter.trash").click()
    nothing = person.page.locator(".history .nothing")
    expect(nothing).to_have_text("No picture has these words in its prompt.")
    person.page.evaluate("darkroom.pictures.trash([120, 5])")
    expect(tiles).to_have_count(1)
    expect(tiles).to_have_attribute("data-id", "120")
    expect(nothing).to_be_hidden()
    person.page.evaluate("darkroom.pictures.restore([120, 5])")
    expect(tiles).to_have_count(0)


def test_a_new_picture_comes_into_a_search_that_finds_it(visit: Visit) -> None:
    person = visit()
    change(person, "DELETE", "api/pictures/117")
    tiles = find(person, "number 11")
    expect(tiles).to_have_count(10)
    change(person, "POST", "api/pictures/117/restore")
    with person.page.expect_response("**/api/selection?*"):
        tell_made(person, 5)
    tell_made(person, 117)
    expect(tiles).to_have_count(11)
    expect(tiles.nth(2)).to_have_attribute("data-id", "117")
    expect(person.page.locator(".history .count")).to_have_text("11 pictures")


def tell_made(person: Visitor, id: int) -> None:
    person.page.evaluate(
        "async id => darkroom.tell('made', { tiles: [await darkroom.pictures.get(id)], isAll: true })", id
    )


def test_nothing_is_searched_for_while_a_word_is_being_composed(visit: Visit) -> None:
    person = visit(locale="zh-CN")
    tiles = person.open_history()
    expect(person.page.locator(".history .count")).to_have_text(f"{COUNT} 张图片")
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url) if "/api/history?" in request.url else None)
    person.page.clock.install()
    typed = """(input, [value, kind]) => {
        input.value = value;
        input.dispatchEvent(new InputEvent(kind, { isComposing: kind === 'input', bubbles: true }));
    }"""
    for value in ("n", "nu", "nu'm"):
        person.page.locator(".history input").evaluate(typed, [value, "input"])
        person.page.clock.run_for(1000)
    assert asked == []
    person.page.locator(".history input").evaluate(typed, ["number 007", "compositionend"])
    person.page.clock.run_for(1000)
    expect(tiles).to_have_count(1)


def test_a_trash_without_starred_pictures_is_not_called_empty(visit: Visit) -> None:
    person = visit()
    change(person, "DELETE", "api/pictures/117")
    person.open_history()
    person.page.locator(".filter.trash").click()
    person.page.locator(".filter.star").click()
    expect(person.page.locator(".history .nothing")).to_have_text("No starred picture is in the trash.")
    expect(person.page.locator(".empty-trash")).to_contain_text("Empty the trash: 1 picture, ")
    change(person, "POST", "api/pictures/117/restore")


def test_escape_leads_to_the_picture_last_seen_however_far_one_has_turned(visit: Visit) -> None:
    person = visit()
    tiles = person.open_history()
    tiles.first.click()
    prompt = person.page.locator(".viewer .prompt")
    for id in range(COUNT, 24, -1):
        expect(prompt).to_have_text(f"number {id:03d}")
        person.page.keyboard.press("ArrowRight")
    expect(prompt).to_have_text("number 024")
    person.page.keyboard.press("Escape")
    expect(person.page.locator('.sheet .tile[data-id="24"]')).to_be_focused()
    expect(person.page.locator('.sheet .tile[data-id="24"]')).to_be_in_viewport(ratio=1)
