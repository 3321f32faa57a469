"""A page with a second model, handed in by whoever builds the server: the form follows the model that is chosen."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Route, expect

from darkroom.catalog import DEMO
from darkroom.web.serve import address_of, listening_socket
from tests.browser.test_access import findings
from tests.browser.visitor import Visitor
from tests.web.conftest import House
from tests.web.two_models import LARGE

pytestmark = pytest.mark.browser


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, (DEMO, LARGE))
    yield house
    house.database.close()


@pytest.fixture
def address(house: House) -> Iterator[str]:
    listener = listening_socket("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(house.app, log_level="error", ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield address_of(listener)
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def person(browser: Browser, address: str) -> Iterator[Visitor]:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB")
    visitor = Visitor(context, address)
    visitor.open()
    yield visitor
    context.close()
    assert visitor.errors == []


def choose(person: Visitor, title: str) -> None:
    choice(person).select_option(title)


def choice(person: Visitor) -> Locator:
    """Its value is the model's name."""
    return person.page.locator("#model select")


def expect_figures(person: Visitor, **values: object) -> None:
    for name, value in values.items():
        expect(person.field(name)).to_have_value(str(value))


def test_size_steps_and_guidance_follow_the_model_and_come_back_with_it(person: Visitor, house: House) -> None:
    said = person.page.locator("#model .hint")
    person.page.locator("#presets").get_by_text("Fine", exact=True).click()
    person.page.locator("#shape").get_by_text("Portrait", exact=True).click()
    expect_figures(person, width=384, height=512, steps=20)
    choose(person, "A large one")
    expect_figures(person, width=880, height=1184, steps=50, guidance=3.5)
    expect(said).to_contain_text(
        "Licence: Apache-2.0 · Size, steps and guidance follow this model: 880 × 1184, 50 steps"
    )
    expect(person.page.locator("#size-said")).to_contain_text("768 to 1536 pixels")
    person.fill(prompt="a pier", steps=31, width=1008, height=1008)
    choose(person, "Darkroom demo")
    expect_figures(person, width=384, height=512, steps=20)
    expect(said).to_contain_text("as you left them with this model")
    choose(person, "A large one")
    expect_figures(person, width=1008, height=1008, steps=31)
    expect(person.page.locator("#controls [data-wrong]")).to_have_count(0)
    person.generate()
    person.page.wait_for_function("darkroom.memory.read('jobs', []).length === 1")
    asked = house.queue.get(1).request
    assert (asked.model, asked.width, asked.steps, asked.prompt) == ("large", 1008, 31, "a pier")


def test_figures_of_ones_own_that_do_not_fit_become_the_nearest_that_do(person: Visitor) -> None:
    person.fill(width=480, height=272, steps=13)
    choose(person, "A large one")
    expect_figures(person, width=1360, height=768, steps=28, guidance=3)
    assert findings(person) == []


def test_where_a_picture_does_not_fit_one_click_chooses_the_model_that_does(person: Visitor) -> None:
    offer = {"values": {"model": "demo"}, "words": "Use Darkroom demo"}

    def lacking(route: Route) -> None:
        found = route.fetch().json()
        if (route.request.post_data_json or {})["model"] == "large":
            found["fit"] = {"fits": False, "words": "It does not fit on this graphics card.", "choice": offer}
        route.fulfill(json=found)

    person.page.route("**/api/check?*", lacking)
    choose(person, "A large one")
    person.page.locator(".fit").get_by_role("button", name="Use Darkroom demo").click()
    expect(choice(person)).to_have_value("demo")
    expect_figures(person, width=512, height=512)
    expect(person.page.locator("#model .hint")).to_contain_text("as you left them with this model")
    expect(person.page.locator(".fit button")).to_be_hidden()


def test_a_link_can_name_a_model_and_one_that_is_not_here_is_refused(person: Visitor, address: str) -> None:
    person.fill(prompt="a pier")
    person.page.goto(f"{address}/?model=large")
    expect(choice(person)).to_have_value("large")
    expect_figures(person, prompt="a pier", width=1024, height=1024)
    assert person.page.evaluate("location.search") == ""
    person.page.goto(f"{address}/?model=nonsense")
    said = "nonsense is not possible. Allowed: one of Darkroom demo, A large one"
    expect(person.page.locator(".refusal")).to_contain_text(said)
    expect(choice(person)).to_have_value("large")
    expect_figures(person, prompt="a pier", width=1024)


def test_the_model_is_remembered_and_a_reused_picture_brings_its_own(person: Visitor, house: House) -> None:
    house.picture(model="large", width=1024, height=768, steps=30)
    choose(person, "A large one")
    expect_figures(person, width=1024, height=1024)
    person.page.reload()
    person.open()
    expect(choice(person)).to_have_value("large")
    expect_figures(person, width=1024, height=1024)
    choose(person, "Darkroom demo")
    person.reuse(0)
    expect(choice(person)).to_have_value("large")
    expect_figures(person, width=1024, height=768, steps=30)
    expect(person.page.locator("#controls [data-wrong]")).to_have_count(0)
