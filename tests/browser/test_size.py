"""The lock between both sides of a picture: what is typed and what comes from elsewhere. No picture is made here."""

import json

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

darkroom = stocked([{"prompt": "a wide one", "width": 512, "height": 384}])


def lock(person: Visitor) -> Locator:
    return person.page.get_by_role("button", name="Keep the proportions")


def expect_size(person: Visitor, width: int, height: int) -> None:
    expect(person.field("width")).to_have_value(str(width))
    expect(person.field("height")).to_have_value(str(height))


def test_the_key_orders_what_the_lock_makes_of_a_typed_side(visit: Visit) -> None:
    person = visit()
    ordered: list[dict[str, object]] = []
    person.page.route(
        "**/api/jobs?*",
        lambda route: (
            (ordered.append(json.loads(route.request.post_data or "{}")), route.abort())
            if route.request.method == "POST"
            else route.fallback()
        ),
    )
    person.fill(prompt="a pond", width=512, height=512)
    lock(person).click()
    person.field("width").fill("256")
    person.field("width").press("Control+Enter")
    expect(person.page.locator(".refusal")).to_be_visible()
    assert [(values["width"], values["height"]) for values in ordered] == [(256, 256)]
    expect_size(person, 256, 256)
    expect(person.field("width")).to_be_focused()


def test_a_size_that_comes_with_a_picture_has_the_proportions_to_keep(visit: Visit) -> None:
    person = visit()
    person.fill(width=512, height=512)
    lock(person).click()
    person.reuse(0)
    expect_size(person, 512, 384)
    person.fill(height=288)
    expect_size(person, 384, 288)


def test_a_size_that_a_button_fills_in_has_the_proportions_to_keep(visit: Visit) -> None:
    person = visit()
    person.fill(width=512, height=512)
    lock(person).click()
    # As the offer of a size that fits does it.
    person.page.evaluate("darkroom.form.set('width', 512); darkroom.form.set('height', 384)")
    person.fill(height=288)
    expect_size(person, 384, 288)


def test_what_follows_from_the_lock_leaves_the_proportions_as_they_are(visit: Visit) -> None:
    person = visit()
    person.fill(width=512, height=384)
    lock(person).click()
    person.fill(width=320)
    expect_size(person, 320, 256)  # 240 is less than the model can make
    person.fill(prompt="a pond")
    person.page.get_by_role("button", name="Swap width and height").click()
    expect_size(person, 256, 320)
    person.fill(width=384)
    expect_size(person, 384, 512)
    person.page.reload()
    person.page.wait_for_function("window.darkroom?.form?.restored")
    expect(lock(person)).to_have_attribute("aria-pressed", "true")
    person.fill(width=288)
    expect_size(person, 288, 384)
