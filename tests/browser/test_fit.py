"""Under the button: what the picture will take, learned from others, and a click that makes it one that fits."""

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Visit
from tests.browser.visitor import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize(
    ("width", "locale", "first", "ram"),
    [(1280, "en-GB", "first time here", "GB of RAM"), (390, "zh-CN", "本机首次", "内存")],
)
def test_what_it_will_take_stands_under_the_button_and_is_learned(
    width: int, locale: str, first: str, ram: str, visit: Visit
) -> None:
    person = visit(width=width, locale=locale)
    fit = person.page.locator(".fit p")
    expect(fit).to_contain_text(ram)
    expect(fit).to_contain_text(first)
    button = person.page.locator("#generate").bounding_box()
    said = fit.bounding_box()
    assert button is not None
    assert said is not None
    assert 0 <= said["y"] - (button["y"] + button["height"]) <= 40
    person.fill(prompt="a pond", width=256, height=256, steps=1)
    person.generate()
    person.see_picture()
    person.fill(steps=2)
    expect(fit).not_to_contain_text(first, timeout=PATIENCE)
    expect(fit).to_contain_text(ram)
    assert person.sideways() == 0


def test_one_click_makes_it_a_size_that_fits(visit: Visit) -> None:
    person = visit(width=390)
    choice = {"values": {"width": 384, "height": 256}, "words": "Make it 384 × 256"}

    def lacking(route: Route) -> None:
        found = route.fetch().json()
        asked = route.request.post_data_json or {}
        if asked["width"] != 384:
            found["fit"] = {
                "fits": False,
                "words": "512 × 512 pixels do not fit on this graphics card.",
                "choice": choice,
            }
        route.fulfill(json=found)

    person.page.route("**/api/check?*", lacking)
    person.fill(width=512, height=512)
    box = person.page.locator(".fit")
    expect(box.locator("p")).to_contain_text("do not fit")
    expect(box).to_have_class("fit lacking")
    assert person.sideways() == 0
    box.get_by_role("button", name="Make it 384 × 256").click()
    expect(person.field("width")).to_have_value("384")
    expect(person.field("height")).to_have_value("256")
    expect(box.locator("p")).to_contain_text("GB of RAM")
    expect(box.locator("button")).to_be_hidden()
