"""Processes that die in the middle of a picture: the page says so, and no picture is lost."""

import signal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import emptied
from tests.browser.server import DarkroomServer
from tests.browser.visitor import PATIENCE, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GOES_ON = "The engine was ended from outside Darkroom. This picture goes on."

darkroom = emptied


def start_a_long_picture(person: Visitor, prompt: str) -> None:
    person.fill(prompt=prompt, steps=24, width=512, height=512)
    person.generate()
    person.wait_for_the_middle()


def test_a_killed_engine_is_said_in_words_and_the_picture_is_made_after_all(
    visit: Visit, darkroom: DarkroomServer
) -> None:
    person = visit()
    start_a_long_picture(person, "a lighthouse")
    darkroom.kill_engine()
    expect(person.page.locator(".watch .notice")).to_have_text(GOES_ON, timeout=PATIENCE)
    person.see_picture()
    expect(person.page.locator(".watch .notice")).to_be_hidden()
    assert [picture["request"]["prompt"] for picture in person.history()] == ["a lighthouse"]


def test_an_engine_that_dies_twice_ends_the_picture_in_words_and_the_next_one_is_made(
    visit: Visit, darkroom: DarkroomServer
) -> None:
    person = visit(locale="zh-CN")
    person.fill(prompt="灯塔", steps=24)
    person.generate()
    for _ in range(2):
        person.see_steps(r"第 ([2-9]|\d\d) 步")
        darkroom.kill_engine(signal.SIGSEGV)
        expect(person.page.locator(".watch .detail")).not_to_contain_text("步", timeout=PATIENCE)
    expect(person.page.locator(".watch .failure")).to_contain_text("引擎在制作这张图时多次停止", timeout=PATIENCE)
    expect(person.page.locator(".watch .failure .next")).not_to_be_empty()
    person.fill(prompt="小船", steps=2)
    person.generate()
    person.see_picture()
    assert [picture["request"]["prompt"] for picture in person.history()] == ["小船"]


def test_a_killed_server_loses_no_picture_and_finishes_what_was_begun(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    person.fill(prompt="a finished boat", steps=2)
    person.generate()
    person.see_picture()
    start_a_long_picture(person, "an unfinished boat")
    darkroom.kill()
    expect(person.page.locator(".watch .cut-off")).to_contain_text("does not answer", timeout=PATIENCE)
    darkroom.start()
    person.see_picture()
    expect(person.tiles()).to_have_count(2, timeout=PATIENCE)
    expect(person.field("prompt")).to_have_value("an unfinished boat")
    kept = [picture["request"]["prompt"] for picture in person.history()]
    assert kept == ["an unfinished boat", "a finished boat"]


def test_a_reload_shows_the_running_picture_again_and_it_can_be_stopped(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit(width=390)
    start_a_long_picture(person, "a long night")
    with darkroom.engine_held():
        person.page.reload()
        person.see_steps()
        person.see_preview()
    person.page.locator(".watch .stop").click()
    expect(person.page.locator(".watch")).to_have_attribute("data-activity", "cancelled", timeout=PATIENCE)
    assert person.history() == []


def test_a_page_left_open_works_on_after_the_server_was_started_anew(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    person.fill(prompt="typed while nobody answers", steps=1)
    darkroom.stop()
    person.generate()
    expect(person.page.locator(".refusal")).to_contain_text("Darkroom does not answer. Your words are kept")
    darkroom.start()
    expect(person.field("prompt")).to_have_value("typed while nobody answers")
    person.generate()
    person.see_picture()
    assert person.history()[0]["request"]["prompt"] == "typed while nobody answers"
