"""Asking for pictures on the page: at once, several, from an example, again from an earlier prompt, and stopping."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.server import DarkroomServer
from tests.browser.visitor import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SMALL = {"width": 256, "height": 256, "steps": 1}


@pytest.fixture
def darkroom(lasting_darkroom: DarkroomServer) -> DarkroomServer:
    """One for all, emptied before each test: its engine loads the model once."""
    lasting_darkroom.empty()
    return lasting_darkroom


def test_an_example_is_a_picture_in_one_click_and_then_an_earlier_prompt(visit: Visit) -> None:
    person = visit(locale="zh-CN", width=390)
    person.fill(**SMALL)
    example = person.page.locator(".examples button").first
    words = example.inner_text()
    example.click()
    expect(person.field("prompt")).to_have_value(words)
    person.see_picture()
    expect(person.page.locator(".examples")).to_be_hidden()
    (made,) = person.history()
    assert words in made["title"]

    person.field("prompt").fill("")
    person.field("prompt").press("ArrowUp")
    expect(person.field("prompt")).to_have_value(words)
    person.field("prompt").press("ArrowDown")
    expect(person.field("prompt")).to_have_value("")
    person.page.locator(".toolbar .recall").click()
    person.page.locator("#recall input").fill(words[:2])
    person.page.locator("#recall li button").first.click()
    expect(person.field("prompt")).to_have_value(words)
    person.page.locator("#last-seed").click()
    expect(person.field("seed")).to_have_value(str(made["seed"]))


def test_several_pictures_have_seeds_that_count_up(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="a pond", seed=41, count=3, **SMALL)
    person.page.evaluate("window.made = 0; addEventListener('darkroom:picture', () => (window.made += 1))")
    person.field("prompt").press("Control+Enter")
    person.page.wait_for_function("window.made === 3", timeout=PATIENCE)
    assert [made["seed"] for made in person.history()] == [43, 42, 41]


def test_a_click_is_answered_before_the_server_is(visit: Visit) -> None:
    person = visit()
    person.page.route(
        "**/api/jobs?*", lambda route: route.abort() if route.request.method == "POST" else route.fallback()
    )
    person.fill(prompt="a pond", **SMALL)
    person.page.evaluate(
        """() => document.addEventListener("click", () => {
            window.seen = document.querySelector(".watch .activity").textContent;
        })"""
    )
    person.generate()
    assert person.page.evaluate("window.seen") == "Asking for your picture"
    expect(person.page.locator(".refusal")).to_contain_text("Darkroom does not answer. Your words are kept")
    expect(person.page.locator(".watch .activity")).to_be_hidden()
    assert person.history() == []


def test_escape_stops_the_picture_being_made(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="a long night", steps=40, width=512, height=512)
    person.generate()
    expect(person.page.locator(".watch .stop")).to_be_visible(timeout=PATIENCE)
    person.page.locator("body").press("Escape")
    expect(person.page.locator(".watch")).to_have_attribute("data-activity", "cancelled", timeout=PATIENCE)
    assert person.history() == []
