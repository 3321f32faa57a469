"""Pictures that another page removes for good: this one says so once, and shows them no more."""

import re

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

darkroom = stocked([{"prompt": f"number {id}"} for id in range(1, 9)], scope="function")


def remove(person: Visitor, *ids: int) -> None:
    """As another page would."""
    home = person.page.url.split("#")[0]
    for id in ids:
        person.page.request.delete(f"{home}api/pictures/{id}")
        person.page.request.post(f"{home}api/pictures/{id}/purge")


def tile(person: Visitor, id: int) -> Locator:
    return person.page.locator(f'.sheet .tile[data-id="{id}"]')


def test_a_picture_that_is_gone_leaves_the_history_when_it_is_opened_or_deleted(visit: Visit) -> None:
    person = visit()
    count = person.page.locator(".history .count")
    expect(person.open_history()).to_have_count(8)
    remove(person, 7, 5)
    tile(person, 7).click()
    expect(person.word()).to_have_text("This picture does not exist.")
    expect(tile(person, 7)).to_have_count(0)
    expect(person.page.locator("dialog.viewer")).to_be_hidden()
    expect(count).to_have_text("7 pictures")
    tile(person, 5).focus()
    person.page.keyboard.press("Delete")
    expect(tile(person, 5)).to_have_count(0)
    expect(count).to_have_text("6 pictures")


def test_of_several_those_that_are_gone_are_named_and_leave(visit: Visit) -> None:
    person = visit()
    expect(person.open_history()).to_have_count(8)
    remove(person, 7, 5)
    tile(person, 7).focus()
    for key in ("x", "ArrowRight", "x", "ArrowRight", "x"):
        person.page.keyboard.press(key)
    person.page.locator(".selecting .to-star").click()
    expect(person.word()).to_have_text("2 of these pictures do not exist any more.")
    expect(tile(person, 6)).to_have_class("tile starred picked")
    expect(person.page.locator(".sheet .tile")).to_have_count(6)
    expect(person.page.locator(".selecting .chosen")).to_have_text("1 selected")


def test_the_viewer_passes_over_what_is_gone(visit: Visit) -> None:
    person = visit()
    person.open_history()
    beside = re.compile(r"/api/pictures/[67]\?")
    person.page.route(beside, lambda route: route.abort())  # so that nothing is known of them yet
    with person.page.expect_event("requestfailed"):
        tile(person, 8).click()
    prompt = person.page.locator(".viewer .prompt")
    expect(prompt).to_have_text("number 8")
    remove(person, 7, 6)
    person.page.unroute(beside)
    held: list[Route] = []
    person.page.route(re.compile(r"/api/pictures/8\?"), lambda route: held.append(route))
    person.page.keyboard.press("ArrowRight")
    expect(person.word()).to_have_text("This picture does not exist.")
    expect(prompt).to_have_text("number 8")
    # What stands beside it now is still being asked.
    person.page.keyboard.press("ArrowRight")
    while not held:
        person.page.wait_for_timeout(50)
    held[0].continue_()
    expect(prompt).to_have_text("number 5")
