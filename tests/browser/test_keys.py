"""Keys that order and stop pictures: only where it is meant, and where it can be seen. No picture is made here."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import pictureless
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

darkroom = pictureless


def notice_stops(person: Visitor) -> None:
    """As if a picture was being made."""
    person.page.evaluate(
        """() => {
            document.querySelector(".watch .stop").hidden = false;
            window.stops = 0;
            document.addEventListener("click", (event) => {
                if (!event.target.closest(".watch .stop")) return;
                window.stops += 1;
                event.stopPropagation();
            }, true);
        }"""
    )


def stops(person: Visitor) -> int:
    count: int = person.page.evaluate("window.stops")
    return count


def notice_orders(person: Visitor) -> list[str]:
    """What was ordered. None of it reaches the server."""
    orders: list[str] = []
    person.page.route(
        "**/api/jobs?*",
        lambda route: (
            (orders.append(route.request.post_data or ""), route.abort())
            if route.request.method == "POST"
            else route.fallback()
        ),
    )
    return orders


def test_escape_stops_a_picture_only_where_it_can_be_seen(visit: Visit) -> None:
    person = visit()
    notice_stops(person)
    for view, count in (("history", 0), ("models", 0), ("create", 1), ("queue", 2)):
        person.page.locator(f'.views a[data-view="{view}"]').click()
        expect(person.page.locator("html")).to_have_attribute("data-view", view)
        person.page.evaluate("document.activeElement.blur()")
        person.page.keyboard.press("Escape")
        assert stops(person) == count, view


def test_escape_that_closes_a_list_stops_no_picture(visit: Visit) -> None:
    person = visit()
    notice_stops(person)
    # As lists do that are no part of the browser.
    person.page.evaluate(
        """() => {
            const field = darkroom.make("input", { role: "combobox", "aria-expanded": "true" });
            field.addEventListener("keydown", () => field.setAttribute("aria-expanded", "false"));
            document.querySelector("#controls").append(field);
            field.focus();
        }"""
    )
    person.page.keyboard.press("Escape")
    assert stops(person) == 0
    person.page.keyboard.press("Escape")
    assert stops(person) == 1


@pytest.mark.parametrize("opener", [".under-prompt .recall", ".under-prompt .styles", ".loras .add"])
def test_a_sheet_orders_nothing(opener: str, visit: Visit) -> None:
    person = visit()
    orders = notice_orders(person)
    person.fill(prompt="a pond")
    person.page.locator(opener).click()
    sheet = person.page.locator("[popover]:popover-open")
    sheet.get_by_role("searchbox").press("Control+Enter")
    person.page.evaluate("document.activeElement.blur()")
    person.page.keyboard.press("Control+Enter")
    person.page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    assert orders == []
    person.page.keyboard.press("Control+Enter")
    expect(person.page.locator(".refusal")).to_be_visible()
    assert len(orders) == 1


@pytest.mark.parametrize("field", ["Name of the style", "Prompt of the style"])
def test_in_the_style_editor_the_key_saves(field: str, visit: Visit) -> None:
    person = visit()
    orders = notice_orders(person)
    sheet = person.page.locator("#styles")
    person.fill(prompt="thin mist")
    person.page.get_by_role("button", name="Styles").click()
    sheet.get_by_role("button", name="Save the prompt as a style").click()
    sheet.get_by_label("Name of the style").fill(f"By key in {field}")
    sheet.get_by_label(field, exact=True).press("Control+Enter")
    expect(sheet.get_by_role("button", name=f"By key in {field}")).to_be_visible()
    assert orders == []


def test_where_the_form_is_not_seen_the_key_orders_nothing(visit: Visit) -> None:
    person = visit()
    orders = notice_orders(person)
    person.fill(prompt="a pond")
    for view in ("history", "create"):
        assert orders == []
        person.page.locator(f'.views a[data-view="{view}"]').click()
        expect(person.page.locator("html")).to_have_attribute("data-view", view)
        person.page.evaluate("document.activeElement.blur()")
        person.page.keyboard.press("Control+Enter")
    expect(person.page.locator(".refusal")).to_contain_text("Darkroom does not answer")
    assert len(orders) == 1
