"""The browser's Back, on a phone a gesture: it puts away what lies over the page, and no step does nothing."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

darkroom = stocked([{"prompt": f"number {id}"} for id in (1, 2)])


def depth(person: Visitor, count: int) -> None:
    person.page.wait_for_function(f"(history.state?.layers ?? 0) === {count}")


def test_back_closes_the_viewer_and_then_leaves_the_history(visit: Visit) -> None:
    person = visit(width=390)
    tiles = person.open_history()
    viewer = person.page.locator("dialog.viewer")
    tiles.first.click()
    expect(viewer).to_be_visible()
    depth(person, 1)
    person.page.go_back()
    expect(viewer).to_be_hidden()
    expect(person.page.locator(".history .toolbar")).to_be_visible()
    person.page.go_back()
    expect(person.field("prompt")).to_be_visible()


def test_a_viewer_closed_by_a_key_leaves_no_step_behind(visit: Visit) -> None:
    person = visit()
    tiles = person.open_history()
    viewer = person.page.locator("dialog.viewer")
    for _ in range(3):  # also faster than the browser goes back
        tiles.first.click()
        expect(viewer).to_be_visible()
        person.page.keyboard.press("Escape")
        expect(viewer).to_be_hidden()
    depth(person, 0)
    person.page.go_back()
    expect(person.field("prompt")).to_be_visible()


def test_back_answers_a_question_with_no_and_keeps_what_is_below_it(visit: Visit) -> None:
    person = visit()
    tiles = person.open_history()
    tiles.first.focus()
    person.page.keyboard.press("Delete")
    person.page.locator(".filter.trash").click()
    expect(tiles).to_have_count(1)
    tiles.first.click()
    question = person.page.locator("dialog.sure")
    person.page.locator(".viewer .purge").click()
    expect(question).to_be_visible()
    depth(person, 2)
    person.page.go_back()
    expect(question).to_have_count(0)
    expect(person.page.locator("dialog.viewer")).to_be_visible()
    person.page.locator(".viewer .restore").click()
    expect(person.page.locator("dialog.viewer")).to_be_hidden()
    depth(person, 0)
    expect(person.page.locator(".history .toolbar")).to_be_visible()


def test_a_reload_under_an_open_viewer_leaves_no_step_behind(visit: Visit) -> None:
    person = visit()
    person.open_history().first.click()
    depth(person, 1)
    person.page.reload()
    expect(person.page.locator(".history .toolbar")).to_be_visible()
    depth(person, 0)
    person.page.go_back()
    expect(person.field("prompt")).to_be_visible()


def test_after_reusing_from_the_viewer_back_leads_to_the_history(visit: Visit) -> None:
    person = visit()
    person.open_history().first.click()
    depth(person, 1)
    person.page.locator(".viewer .reuse").click()
    expect(person.field("prompt")).to_have_value("number 2")
    person.page.go_back()
    expect(person.page.locator(".history .toolbar")).to_be_visible()
    depth(person, 0)
    person.page.go_back()
    expect(person.field("prompt")).to_be_visible()


def test_back_closes_the_list_of_shortcuts(visit: Visit) -> None:
    person = visit()
    person.page.locator("#open-help").click()
    sheet = person.page.locator("dialog.help")
    expect(sheet).to_be_visible()
    person.page.go_back()
    expect(sheet).to_be_hidden()
    expect(person.field("prompt")).to_be_visible()
