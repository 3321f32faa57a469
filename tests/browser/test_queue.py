"""The queue's own view: on the desk and on the phone, from any browser, through closed tabs and dying engines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from darkroom.history.database import Database, sqlite_url
from darkroom.jobs.queue import JobQueue
from darkroom.request import parse_request
from tests.browser.conftest import Scheme, Visit
from tests.browser.darkrooms import emptied
from tests.browser.server import DarkroomServer
from tests.browser.stock import VALUES
from tests.browser.test_access import findings
from tests.browser.test_crashes import start_a_long_picture
from tests.browser.visitor import PATIENCE, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SMALL = {"width": 256, "height": 256, "steps": 1}

darkroom = emptied


def open_queue(person: Visitor) -> Locator:
    """Its rows."""
    person.page.locator('.views a[data-view="queue"]').click()
    expect(person.page.locator(".queueing .toolbar")).to_be_visible()
    return person.page.locator(".queueing ol.jobs > .job")


def numbers(person: Visitor) -> list[str]:
    ids: list[str] = person.page.locator(".queueing ol.jobs > .job").evaluate_all(
        "rows => rows.map(row => row.dataset.id)"
    )
    return ids


def post(person: Visitor, darkroom: DarkroomServer, path: str, values: object = None) -> Any:
    """As a program does."""
    answer = person.page.request.post(f"{darkroom.address}/api/v1{path}", data=values)
    assert answer.ok, answer.text()
    return answer.json()


def test_ten_are_ordered_and_another_browser_sees_them_through(visit: Visit, darkroom: DarkroomServer) -> None:
    see_through(visit, darkroom, width=1280)


def test_ten_are_ordered_and_a_phone_sees_them_through(visit: Visit, darkroom: DarkroomServer) -> None:
    see_through(visit, darkroom, width=390)


def see_through(visit: Visit, darkroom: DarkroomServer, *, width: int) -> None:
    desk = visit()
    start_a_long_picture(desk, "the first")
    with darkroom.engine_held():
        desk.fill(prompt="a pond", count=10, **SMALL)
        expect(desk.page.locator(".batch .pictures")).to_have_text("This makes 10 pictures.")
        desk.generate()
        expect(desk.page.locator('.views a[data-view="queue"]')).to_have_attribute("data-count", "11")
        desk.page.close()

        other = visit(width=width)
        rows = open_queue(other)
        expect(rows).to_have_count(11)
        expect(rows.nth(3).locator(".facts")).to_contain_text("Another browser")
        first, *waiting = numbers(other)
        rows.last.locator(".front").click()
        expect(rows.nth(1)).to_have_attribute("data-id", waiting[-1])
        rows.nth(3).locator(".up").click()
        expect(rows.nth(2)).to_have_attribute("data-id", waiting[1])
        assert numbers(other) == [first, waiting[-1], waiting[1], waiting[0], *waiting[2:-1]]
        for count in (10, 9):
            rows.nth(4).locator(".away").click()
            expect(rows).to_have_count(count)
        assert other.sideways() == 0

        other.page.locator(".deed.pause").click()
        expect(other.page.locator(".queueing .state")).to_have_text("The queue is paused. Nothing new begins.")
        darkroom.kill_engine()
    expect(rows.first).to_have_attribute("data-state", "waiting", timeout=PATIENCE)
    assert numbers(other)[0] == first
    other.page.locator(".deed.resume").click()
    expect(other.page.locator(".queueing .nothing")).to_be_visible(timeout=PATIENCE)
    expect(other.page.locator(".queueing .state")).to_be_hidden()
    made = [picture["request"]["prompt"] for picture in other.history()]
    assert sorted(made) == ["a pond"] * 8 + ["the first"]
    assert other.sideways() == 0


def test_a_picture_rests_and_goes_on_and_the_queue_pauses_after_it(visit: Visit) -> None:
    person = visit(locale="zh-CN")
    person.fill(prompt="a long night", steps=30, width=512, height=512)
    person.generate()
    expect(person.page.locator(".watch .detail")).to_contain_text("第", timeout=PATIENCE)
    rows = open_queue(person)
    rows.first.locator(".lay").click()
    expect(rows.first).to_have_attribute("data-state", "paused", timeout=PATIENCE)
    expect(rows.first.locator(".doing")).to_contain_text("已暂停")
    rows.first.locator(".on").click()
    expect(rows.first).to_have_attribute("data-state", "running", timeout=PATIENCE)
    rows.first.locator(".more").click()
    person.page.get_by_role("menuitem", name="做完这张后暂停").click()
    expect(rows.first.locator(".mark")).to_be_visible()
    rows.first.locator(".more").click()
    person.page.get_by_role("menuitem", name="做完这张后不暂停").click()
    expect(rows.first.locator(".mark")).to_be_hidden()
    rows.first.locator(".more").click()
    person.page.get_by_role("menuitem", name="做完这张后暂停").click()
    expect(rows.first.locator(".mark")).to_be_visible()
    rows.first.locator(".finish").click(timeout=PATIENCE)
    expect(person.page.locator(".queueing")).to_have_class("queueing is-paused", timeout=PATIENCE)
    (made,) = person.history()
    assert made["request"]["prompt"] == "a long night"
    person.page.locator(".deed.resume").click()
    expect(person.page.locator(".deed.pause")).to_be_visible()


def test_what_was_cancelled_comes_back_to_its_place(visit: Visit) -> None:
    person = visit()
    rows = open_queue(person)
    person.page.locator(".deed.pause").click()
    person.page.locator(".views a").first.click()
    person.fill(prompt="{one|two|three} ponds", **SMALL)
    expect(person.page.locator(".batch .pictures")).to_have_text("This makes 3 pictures.")
    person.generate()
    open_queue(person)
    expect(rows).to_have_count(3)
    before = numbers(person)
    rows.nth(1).locator(".away").click()
    expect(rows).to_have_count(2)
    person.page.locator(".toast .do").last.click()
    expect(rows.nth(1)).to_have_attribute("data-id", before[1])
    rows.first.locator(".more").click()
    person.page.get_by_role("menuitem", name="Cancel this order").click()
    expect(rows).to_have_count(0)
    expect(person.word()).to_have_text("3 were taken out of the queue.")


def test_beyond_the_rows_that_are_shown_the_line_goes_on(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    rows = open_queue(person)
    person.page.locator(".deed.pause").click()
    expect(person.page.locator(".queueing")).to_have_class("queueing is-paused")
    values = {**VALUES, **SMALL, "prompt": "a pond", "count": 53}
    order = [job["id"] for job in post(person, darkroom, "/jobs", values)["jobs"]]

    def line() -> list[int]:
        return [job["id"] for job in person.ask("/api/v1/queue/jobs")["jobs"]]

    expect(rows).to_have_count(50)
    expect(rows.last).to_have_attribute("data-id", str(order[49]))
    rows.last.locator(".lower").click()
    order[49], order[50] = order[50], order[49]
    expect(rows.last).to_have_attribute("data-id", str(order[49]))
    assert line() == order
    rows.last.locator(".away").click()
    expect(rows.last).to_have_attribute("data-id", str(order[50]))
    person.page.locator(".toast .do").last.click()
    expect(rows.last).to_have_attribute("data-id", str(order[49]))
    assert line() == order
    rows.last.locator(".front").click()
    order = [order[49], *order[:49], *order[50:]]
    expect(rows.first).to_have_attribute("data-id", str(order[0]))
    person.page.locator(".deed.clear").click()
    person.page.locator("dialog.sure .yes").click()
    expect(rows).to_have_count(0)
    expect(person.word()).to_have_text("53 were taken out of the queue.")
    person.page.locator(".toast .do").last.click()
    expect(rows).to_have_count(50)
    assert line() == order


def test_earlier_said_in_the_moment_in_which_another_begins_is_not_the_end_of_the_line(
    visit: Visit, darkroom: DarkroomServer
) -> None:
    person = visit()
    post(person, darkroom, "/queue/pause")
    order = [
        job["id"]
        for job in post(person, darkroom, "/jobs", {**VALUES, "prompt": "a pond", "steps": 40, "count": 4})["jobs"]
    ]
    rows = open_queue(person)
    expect(rows).to_have_count(4)
    # The page looks no more, so that it still shows what begins as waiting.
    person.page.route("**/api/jobs?*", lambda _: None)
    post(person, darkroom, "/queue/resume")
    person.wait_for_the_middle()
    with darkroom.engine_held():
        rows.nth(1).locator(".up").click()
        person.page.unroute("**/api/jobs?*")
        person.page.reload()
        expect(rows.first).to_have_attribute("data-state", "running")
        assert numbers(person) == [str(job) for job in order]


def test_prompts_come_from_a_file_and_each_line_is_a_picture(visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a lake\n\n山上的灯塔\n", "utf-8")
    person = visit(width=390)
    person.fill(**SMALL)
    person.page.locator(".batch input[type=file]").set_input_files(file)
    expect(person.page.locator(".batch .lines input")).to_be_checked()
    expect(person.page.locator(".batch .pictures")).to_have_text("This makes 2 pictures.")
    assert person.sideways() == 0
    person.generate()
    expect(person.tiles()).to_have_count(2, timeout=PATIENCE)
    assert [picture["request"]["prompt"] for picture in person.history()] == ["山上的灯塔", "a lake"]
    person.page.reload()
    expect(person.page.locator(".batch .lines input")).to_be_checked()


def test_a_browser_that_wishes_it_is_called_when_all_it_asked_for_is_done(visit: Visit) -> None:
    person, other = visit(), visit()
    for each in (person, other):
        each.page.evaluate("window.called = 0; addEventListener('darkroom:called', () => (window.called += 1))")
    open_queue(person)
    person.page.locator(".deed.sound").click()
    expect(person.page.locator(".deed.sound")).to_have_attribute("aria-pressed", "true")
    person.page.locator(".views a").first.click()
    person.fill(prompt="a pond", count=3, **SMALL)
    person.generate()
    person.page.wait_for_function("window.called === 1", timeout=PATIENCE)
    assert len(person.history()) == 3
    assert other.page.evaluate("window.called") == 0
    person.page.reload()
    open_queue(person)
    expect(person.page.locator(".deed.sound")).to_have_attribute("aria-pressed", "true")


@pytest.fixture
def with_a_failure(root: Path, tmp_path: Path) -> Iterator[DarkroomServer]:
    """A server whose history begins with a job that failed."""
    server = DarkroomServer(root, tmp_path)
    server.history.mkdir()
    database = Database(sqlite_url(server.history))
    database.open()
    queue = JobQueue(database)
    queue.submit(parse_request({**VALUES, "prompt": "a tall ship", "steps": 1}))
    queue.claim()
    queue.fail(1, "not_saved", "no room on the disk")
    queue.pause_queue("not_saved", "no room on the disk")
    database.close()
    server.start()
    yield server
    server.close()


@pytest.mark.parametrize(("width", "locale", "scheme"), [(1280, "en-GB", "light"), (390, "zh-CN", "dark")])
def test_nobody_stumbles_over_the_queue_and_what_failed_is_tried_again(
    width: int, locale: str, scheme: Scheme, browser: Browser, with_a_failure: DarkroomServer
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 860}, locale=locale, color_scheme=scheme)
    person = Visitor(context, with_a_failure.address)
    person.open()
    person.fill(prompt="{a lake|a pond}", **SMALL)
    person.generate()
    rows = open_queue(person)
    expect(rows).to_have_count(2)
    expect(person.page.locator(".queueing .state")).to_contain_text(
        "连续两张图" if locale == "zh-CN" else "two pictures"
    )
    failed = person.page.locator(".failures .job")
    expect(failed.locator(".doing")).to_contain_text("no room on the disk")
    assert findings(person) == []
    rows.first.locator(".more").click()
    expect(rows.first.locator("[role=menuitem]")).to_have_count(2)
    assert findings(person) == []
    person.page.keyboard.press("Escape")
    failed.locator(".drop").click()
    expect(failed).to_have_count(0)
    # Its own word in the message brings it back into the line.
    person.page.locator(".toast button").first.click()
    expect(rows).to_have_count(3)
    person.page.locator(".deed.resume").click()
    expect(rows).to_have_count(0, timeout=PATIENCE)
    assert sorted(picture["request"]["prompt"] for picture in person.history()) == ["a lake", "a pond", "a tall ship"]
    assert (person.sideways(), person.errors, person.outside) == (0, [], [])
    context.close()
