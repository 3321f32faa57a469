"""The queue's own view by hand and by keys, when Darkroom is gone, and how it calls those who look elsewhere."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import emptied
from tests.browser.server import DarkroomServer
from tests.browser.test_crashes import start_a_long_picture
from tests.browser.test_queue import open_queue
from tests.browser.visitor import PATIENCE, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SMALL = {"width": 256, "height": 256, "steps": 1}

darkroom = emptied


def order_while_paused(person: Visitor, count: int) -> list[int]:
    """Their numbers, in the order of the line."""
    person.post("/api/v1/queue/pause")
    person.fill(prompt="a pond", count=count, **SMALL)
    with person.page.expect_response("**/api/jobs?lang=en") as answer:
        person.generate()
    ids: list[int] = answer.value.json()["jobs"]
    return ids


def hide(person: Visitor) -> None:
    person.page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })")


def test_each_end_calls_once_whatever_its_number(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    person.page.evaluate(
        "window.called = []; addEventListener('darkroom:called', ({detail}) => called.push(detail.id))"
    )
    # As another history left it in this browser.
    calls = [f"{number} 2020-01-01T00:00:00Z" for number in range(1, 40)]
    person.page.evaluate("calls => darkroom.memory.write('calls', calls)", calls)
    person.page.evaluate("darkroom.memory.write('called', 40)")
    first, second = order_while_paused(person, 2)
    person.post(f"/api/v1/jobs/{first}/cancel")
    person.post("/api/v1/queue/resume")
    person.page.wait_for_function(f"String(called) === '{second}'", timeout=PATIENCE)
    with darkroom.engine_held():
        person.post(f"/api/v1/jobs/{first}/retry")
        expect(person.page.locator(".strip .job")).to_have_count(1)
    person.page.wait_for_function(f"String(called) === '{second},{first}'", timeout=PATIENCE)


def test_the_title_of_a_hidden_tab_says_how_it_ended(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    start_a_long_picture(person, "stopped elsewhere")
    hide(person)
    with darkroom.engine_held():
        expect(person.page).to_have_title(re.compile(r"\d+ % · Darkroom"), timeout=PATIENCE)
    (job,) = person.ask("/api/jobs")["ids"]
    person.post(f"/api/v1/jobs/{job}/cancel")
    expect(person.page).to_have_title("Darkroom", timeout=PATIENCE)

    person.fill(prompt="a pond", **SMALL)
    person.generate()
    expect(person.page).to_have_title("✓ Darkroom", timeout=PATIENCE)

    def fail(route: Route) -> None:
        found = route.fetch().json()
        ended = [
            job | {"state": "failed", "words": job["words"] | {"error": "x", "next": "y"}} for job in found["ended"]
        ]
        route.fulfill(json=found | {"ended": ended})

    person.page.route("**/api/jobs/ends?*", fail)
    person.generate()
    expect(person.page).to_have_title("Not made · Darkroom", timeout=PATIENCE)


@pytest.mark.parametrize(("width", "least"), [(1280, 34), (390, 42)])
def test_what_can_be_done_with_a_row_is_large_enough_for_a_finger(width: int, least: int, visit: Visit) -> None:
    person = visit(width=width)
    order_while_paused(person, 2)
    rows = open_queue(person)
    rows.first.locator(".more").click()
    entries = rows.first.locator("[role=menuitem]")
    expect(entries).to_have_count(2)
    expect(entries.first).to_be_visible()
    for entry in entries.all():
        box = entry.bounding_box()
        assert box is not None
        assert box["height"] >= least
        assert box["x"] >= 0
        assert entry.evaluate("entry => parseFloat(getComputedStyle(entry).paddingLeft)") >= 10
    assert person.sideways() == 0


def test_the_queue_says_when_darkroom_is_gone_and_when_it_is_back(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit(width=390, locale="zh-CN")
    open_queue(person)
    gone, nothing = person.page.locator(".queueing .cut-off"), person.page.locator(".queueing .nothing")
    expect(nothing).to_be_visible()
    darkroom.kill()
    expect(gone).to_have_text("Darkroom 没有回应。图片是安全的，本页会自动重试。", timeout=PATIENCE)
    expect(nothing).to_be_hidden()
    assert person.sideways() == 0
    darkroom.start()
    expect(gone).to_be_hidden(timeout=PATIENCE)
    expect(nothing).to_be_visible()


def test_keys_go_on_where_a_button_or_its_row_was(visit: Visit) -> None:
    person = visit()
    order = order_while_paused(person, 3)
    rows = open_queue(person)
    expect(rows).to_have_count(3)
    expect(rows.first.locator(".facts")).to_have_text(f"Job {order[0]} · Yours · 256 × 256, 1 step")
    rows.nth(1).locator(".up").press("Enter")
    expect(rows.first).to_have_attribute("data-id", str(order[1]))
    expect(rows.first.locator(".lower")).to_be_focused()
    rows.nth(1).locator(".lower").press("Enter")
    expect(rows.last).to_have_attribute("data-id", str(order[0]))
    expect(rows.last.locator(".up")).to_be_focused()
    rows.nth(1).locator(".away").press("Enter")
    expect(rows.nth(1)).to_have_attribute("data-id", str(order[0]))
    for row in (rows.nth(1), rows.first):
        expect(row.locator(".away")).to_be_focused()
        row.locator(".away").press("Enter")
    expect(person.page.locator(".deed.resume")).to_be_focused()
