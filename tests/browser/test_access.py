"""What people with screen readers, weak eyes or no mouse would stumble over, as axe-core finds it, in every state."""

import time
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Scheme, Visit
from tests.browser.darkrooms import pictureless
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

AXE = files("axe_playwright_python") / "axe.min.js"
GRAVE = ("serious", "critical")
PATIENCE = 5  # seconds

darkroom = pictureless


def findings(person: Visitor) -> list[tuple[str, str]]:
    """Rule and element of each grave finding that stays: colours on their way from one to the other are none."""
    person.page.evaluate(AXE.read_text("utf-8"))
    patient_until = time.monotonic() + PATIENCE
    while (found := _grave(person)) and time.monotonic() < patient_until:
        person.page.wait_for_timeout(200)
    return found


def _grave(person: Visitor) -> list[tuple[str, str]]:
    person.page.wait_for_function("document.getAnimations().every(one => one.playState !== 'running')")
    found: dict[str, Any] = person.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    grave = [violation for violation in found["violations"] if violation["impact"] in GRAVE]
    return [(violation["id"], node["html"][:200]) for violation in grave for node in violation["nodes"]]


@pytest.mark.parametrize(("width", "locale", "scheme"), [(1280, "en-GB", "light"), (390, "zh-CN", "dark")])
def test_nobody_stumbles_over_the_form(width: int, locale: str, scheme: Scheme, visit: Visit) -> None:
    person = visit(width=width, locale=locale, scheme=scheme)
    expect(person.page.locator(".examples .cards button")).to_have_count(4)
    assert findings(person) == []

    person.open_advanced()
    person.fill(prompt="a (red:1.3) barn " * 30, steps=0, seed=-5)
    person.generate()
    expect(person.page.locator(".refusal li")).to_have_count(2)
    expect(person.page.locator(".unread")).to_be_visible()
    assert findings(person) == []
    assert person.sideways() == 0

    person.page.locator(".toolbar .styles").click()
    expect(person.page.locator("#styles .pick").first).to_be_visible()
    assert findings(person) == []
    person.page.locator("#styles .save").click()
    assert findings(person) == []
    person.page.keyboard.press("Escape")
    person.page.locator(".toolbar .recall").click()
    assert findings(person) == []
    assert person.sideways() == 0
    person.page.keyboard.press("Escape")

    person.page.locator("body").press("?")
    expect(person.page.locator("dialog.help")).to_be_visible()
    assert findings(person) == []
