"""Watching: in another tab, on a phone, through a tunnel that drops; several at once; and one more after the last."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import emptied
from tests.browser.server import DarkroomServer
from tests.browser.test_crashes import start_a_long_picture
from tests.browser.tunnel import Tunnel
from tests.browser.visitor import PATIENCE, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SMALL = {"width": 256, "height": 256, "steps": 1}
CUT_SECONDS = 5

darkroom = emptied


@pytest.fixture
def tunnel(darkroom: DarkroomServer) -> Iterator[Tunnel]:
    tunnel = Tunnel(int(darkroom.address.rsplit(":", 1)[1]))
    yield tunnel
    tunnel.cut()


def test_a_phone_sees_what_the_desk_is_making_and_both_see_its_end(visit: Visit, darkroom: DarkroomServer) -> None:
    desk = visit()
    start_a_long_picture(desk, "a lighthouse")
    with darkroom.engine_held():
        expect(desk.page).to_have_title(re.compile(r"\d+ % · Darkroom"))
        phone = visit(width=390, locale="zh-CN")
        phone.see_steps(r"第 \d+ 步")
        phone.see_preview()
        expect(phone.page.locator(".strip .job")).to_have_count(1)
    assert phone.see_picture() == desk.see_picture()
    expect(desk.page).to_have_title("Darkroom")
    assert phone.sideways() == 0


def test_several_pictures_stand_in_line_and_one_can_be_taken_out(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    line = person.page.locator(".strip .job")
    start_a_long_picture(person, "the first")
    with darkroom.engine_held():
        person.fill(prompt="the others", count=3, **SMALL)
        person.generate()
        expect(line).to_have_count(4)
        expect(person.page.locator(".strip .job.waiting")).to_have_count(3)
        person.page.get_by_role("button", name="Take out of the queue: the others").first.click()
        expect(line).to_have_count(3)
    person.page.locator(".watch .stop").click()
    expect(person.tiles()).to_have_count(2, timeout=PATIENCE)
    expect(line).to_have_count(0)
    assert [picture["request"]["prompt"] for picture in person.history()] == ["the others", "the others"]


def test_a_picture_looked_at_stays_while_another_is_made(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    person.fill(prompt="a pond", **SMALL)
    person.generate()
    address = person.see_picture()
    start_a_long_picture(person, "a long night")
    with darkroom.engine_held():
        person.choose(0)
        expect(person.page.locator(".print img")).to_have_attribute("src", address)
        person.see_steps()
        expect(person.page.locator(".print img")).to_have_attribute("src", address)
        person.page.locator(".watch .follow").click()
        person.see_preview()


def test_a_picture_laid_aside_leaves_the_tray_to_the_finished_one(visit: Visit) -> None:
    person = visit()
    start_a_long_picture(person, "laid aside")
    (aside,) = person.ask("/api/jobs")["ids"]
    person.post(f"/api/v1/jobs/{aside}/pause")
    frame = person.page.locator(".strip .job")
    expect(frame.locator(".look")).to_have_attribute("title", "Laid aside; it can go on in the queue: laid aside")
    expect(person.page.locator(".print img"), "its preview goes with it").to_be_hidden()
    person.fill(prompt="a pond", **SMALL)
    person.generate()
    address = person.see_picture()
    person.see_a_look()
    person.see_a_look()
    expect(frame).to_have_class("job resting")
    expect(person.page.locator(".print img")).to_have_attribute("src", address)
    expect(person.page.locator(".watch .again")).to_be_visible()
    for part in (".stop", ".progress", ".activity", ".notice"):
        expect(person.page.locator(f".watch {part}")).to_be_hidden()
    expect(person.page).to_have_title("Darkroom")
    begun = time.monotonic()
    person.see_a_look()
    assert time.monotonic() - begun > 1, "nothing is made, and nothing is asked often"
    frame.locator(".look").click()
    expect(person.page.locator(".queueing .job .on")).to_be_visible()


def test_while_the_queue_is_paused_the_tray_keeps_the_finished_picture(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    start_a_long_picture(person, "the first")
    (first,) = person.ask("/api/jobs")["ids"]
    with darkroom.engine_held():
        person.fill(prompt="the second", **SMALL)
        person.generate()
        expect(person.page.locator(".strip .job.waiting")).to_have_count(1)
        person.post("/api/v1/queue/stop-after", {"job": first})
    notice = person.page.locator(".watch .notice")
    expect(notice).to_have_text("The queue is paused. Nothing new begins.", timeout=PATIENCE)
    picture = person.page.locator(".print img")
    expect(picture).to_have_attribute("src", person.history()[0]["picture"])
    expect(picture).to_have_css("opacity", "1")
    expect(person.page.locator(".watch .again")).to_be_visible()
    expect(person.page.locator(".watch .activity")).to_be_hidden()
    expect(person.page).to_have_title("Darkroom")
    # An order in a paused queue is answered by its place in the line.
    person.generate()
    expect(person.page.locator(".strip .job.waiting")).to_have_count(2)
    expect(person.page.locator(".watch .activity")).to_be_hidden()
    expect(person.page.locator(".watch .progress")).to_be_hidden()
    expect(picture).to_have_css("opacity", "1")
    person.post("/api/v1/queue/resume")
    expect(person.tiles()).to_have_count(3, timeout=PATIENCE)
    expect(notice).to_be_hidden()


def test_hundreds_that_end_at_once_are_asked_for_together_and_no_end_is_lost(visit: Visit) -> None:
    person = visit()
    line = person.page.locator(".strip .job")
    person.post("/api/v1/queue/pause")
    person.post("/api/v1/jobs", {"prompt": "a pond", "count": 300, **SMALL})
    expect(line).to_have_count(24)
    asked: list[str] = []

    def note(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.abort()
        else:
            route.continue_()

    # Not of previews: how many there are hangs on how long a step takes.
    person.page.route(re.compile(r"/api/jobs/(\d+(?!.*/preview)|ends)"), note)
    cancelled = person.post("/api/v1/queue/cancel")["cancelled"]
    assert len(cancelled) == 300
    expect(line).to_have_count(0)
    person.page.wait_for_function("localStorage.getItem('darkroom.jobs') === '[]'", timeout=PATIENCE)
    assert len(asked) == 3, "one that failed, and two that were answered"
    person.post("/api/v1/queue/resume")
    asked.clear()
    person.fill(prompt="after them", **SMALL)
    person.generate()
    person.see_picture()
    assert len(asked) == 2


def test_a_picture_made_between_two_looks_comes_to_the_page(visit: Visit) -> None:
    person = visit()
    sheet = person.open_history()
    person.see_a_look()
    person.page.go_back()
    person.page.route("**/api/jobs?*", lambda route: route.abort())
    for count in (1, 2):
        person.post("/api/v1/jobs", {"prompt": "a pond", "seed": 70 + count, **SMALL})
        while len(person.ask("/api/history")["pictures"]) < count:
            person.page.wait_for_timeout(100)
    expect(person.tiles()).to_have_count(0)
    person.page.unroute("**/api/jobs?*")
    expect(person.tiles()).to_have_count(2)
    person.page.locator("#last-seed").click()
    expect(person.field("seed")).to_have_value("72")
    person.open_history()
    expect(sheet).to_have_count(2)


def test_where_more_was_made_than_one_answer_holds_the_strip_begins_anew(visit: Visit) -> None:
    person = visit()
    person.see_a_look()

    def hundreds(route: Route) -> None:
        found = route.fetch().json()
        (tile,) = found["pictures"]
        route.fulfill(json=found | {"pictures": [tile | {"id": tile["id"] + number} for number in range(200)]})

    person.page.route("**/api/history?limit=200*", hundreds)
    with person.page.expect_request("**/api/history?limit=30*"):
        person.fill(prompt="a pond", **SMALL)
        person.generate()
    expect(person.tiles()).to_have_count(1)


def test_again_another_seed_and_finer(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="a pond", seed=7, **SMALL)
    person.generate()
    person.see_picture()
    for button, count in (("again", 2), ("again-seed", 3)):
        person.page.locator(f".watch .{button}").click()
        expect(person.tiles()).to_have_count(count, timeout=PATIENCE)
        person.see_picture()
    person.choose(2)
    person.page.locator(".watch .again-finer").click()
    expect(person.tiles()).to_have_count(4, timeout=PATIENCE)
    finer, other, again, first = (picture["request"] for picture in person.history())
    assert again == first
    assert other["seed"] != first["seed"]
    assert other | {"seed": 7} == first
    assert finer == first | {"steps": 20}
    expect(person.page.locator(".watch .again-finer")).to_be_disabled()


def test_a_cut_tunnel_costs_nothing(browser: Browser, tunnel: Tunnel, darkroom: DarkroomServer) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB")
    person = Visitor(context, tunnel.address)
    person.open()
    person.page.evaluate("window.openedBefore = true")
    start_a_long_picture(person, "through a tunnel")
    with darkroom.engine_held():
        person.field("prompt").fill("typed after that")
        tunnel.cut()
        expect(person.page.locator(".watch .cut-off")).to_contain_text("does not answer", timeout=PATIENCE)
    person.page.wait_for_timeout(CUT_SECONDS * 1000)
    tunnel.restore()
    person.see_picture()
    expect(person.page.locator(".watch .cut-off")).to_be_hidden()
    expect(person.tiles()).to_have_count(1)
    expect(person.field("prompt")).to_have_value("typed after that")
    assert person.page.evaluate("window.openedBefore")
    assert person.errors == []
    context.close()
