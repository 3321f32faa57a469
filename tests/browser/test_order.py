"""Asking for pictures on the page: at once, several, from an example, again from an earlier prompt, and stopping."""

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import emptied
from tests.browser.visitor import PATIENCE, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SMALL = {"width": 256, "height": 256, "steps": 1}

darkroom = emptied


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
    person.page.evaluate(
        "window.made = 0; addEventListener('darkroom:made', ({ detail }) => (window.made += detail.tiles.length))"
    )
    person.field("prompt").press("Control+Enter")
    person.page.wait_for_function("window.made === 3", timeout=PATIENCE)
    assert [made["seed"] for made in person.history()] == [43, 42, 41]


def test_an_order_whose_answer_was_lost_is_made_once_however_often_it_is_pressed(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="a pond", **SMALL)
    lost: list[str] = []

    def lose_the_first(route: Route) -> None:
        if route.request.method == "POST" and not lost:
            lost.append(str(route.fetch().status))
            route.abort()
        else:
            route.fallback()

    person.page.route("**/api/jobs?*", lose_the_first)
    person.generate()
    expect(person.page.locator(".refusal")).to_contain_text("Darkroom does not answer. Your words are kept")
    assert lost == ["201"]
    person.generate()
    person.see_picture()
    assert len(person.history()) == 1
    person.generate()
    expect(person.tiles()).to_have_count(2, timeout=PATIENCE)


def test_two_tabs_have_a_form_each_and_a_new_one_begins_with_what_was_typed_last(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="in the first tab")
    second = Visitor(person.page.context, person.page.url.split("#")[0].rstrip("/"))
    second.open()
    expect(second.field("prompt")).to_have_value("in the first tab")
    second.fill(prompt="in the second tab")
    person.page.reload()
    expect(person.field("prompt")).to_have_value("in the first tab")
    second.page.reload()
    expect(second.field("prompt")).to_have_value("in the second tab")


def test_what_a_browser_kept_of_another_kind_is_not_taken_over(visit: Visit) -> None:
    person = visit()
    kept = {"prompt": 7, "loras": 3.5, "steps": "", "width": None, "guidance": 2.5, "nothing": 1}
    person.page.evaluate(
        "kept => { sessionStorage.clear(); localStorage.setItem('darkroom.form', JSON.stringify(kept)); }", kept
    )
    person.page.reload()
    person.page.wait_for_function("window.darkroom?.form?.restored")
    values = person.page.evaluate("darkroom.form.read()")
    found = (values["prompt"], values["loras"], values["steps"], values["width"], values["guidance"])
    assert found == ("", [], 8, 512, 2.5)
    assert "nothing" not in values


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
