"""Several pictures of the history at once: chosen by mouse, finger and keys; starred, thrown away, downloaded."""

import zipfile

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.conftest import Scheme, Visit
from tests.browser.darkrooms import stocked
from tests.browser.server import DarkroomServer
from tests.browser.test_access import findings
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

COUNT = 120  # more than the sheet has at first

darkroom = stocked([{"prompt": f"number {id}"} for id in range(1, COUNT + 1)])


def tile(person: Visitor, id: int) -> Locator:
    return person.page.locator(f'.sheet .tile[data-id="{id}"]')


def bar(person: Visitor, deed: str) -> Locator:
    return person.page.locator(f".selecting .to-{deed}")


def chosen(person: Visitor) -> list[int]:
    found: list[int] = person.page.evaluate(
        "[...document.querySelectorAll('.sheet .tile[aria-pressed=true]')].map(tile => Number(tile.dataset.id))"
    )
    return found


def expect_chosen(person: Visitor, count: int) -> None:
    expect(person.page.locator(".selecting .chosen")).to_have_text(f"{count} selected")


def test_clicks_choose_one_by_one_or_a_span_and_one_undo_brings_all_back(visit: Visit) -> None:
    person = visit()
    person.open_history()
    tile(person, 118).click(modifiers=["Control"])
    tile(person, 114).click(modifiers=["Shift"])
    tile(person, 116).click()
    expect_chosen(person, 4)
    assert chosen(person) == [118, 117, 115, 114]
    bar(person, "trash").click()
    expect(person.word()).to_have_text("4 pictures are in the trash.")
    expect(person.page.locator(".history .count")).to_have_text(f"{COUNT - 4} pictures")
    expect(bar(person, "trash")).to_be_hidden()
    person.page.locator(".toast .do").click()
    expect(person.page.locator(".history .count")).to_have_text(f"{COUNT} pictures")
    expect(tile(person, 117)).to_be_visible()
    assert chosen(person) == []


def test_keys_choose_and_escape_leaves(visit: Visit) -> None:
    person = visit()
    person.open_history()
    tile(person, 120).focus()
    person.page.keyboard.press("x")
    expect_chosen(person, 1)
    person.page.keyboard.press("ArrowRight")
    person.page.keyboard.press("Space")
    expect_chosen(person, 2)
    person.page.keyboard.press("Space")
    expect_chosen(person, 1)
    for _ in range(2):
        person.page.keyboard.press("Shift+ArrowRight")
    expect_chosen(person, 4)
    person.page.keyboard.press("s")
    expect(person.word()).to_have_text("4 pictures have a star now.")
    expect(bar(person, "star")).to_have_text("Unstar")
    bar(person, "star").click()
    expect(person.word()).to_have_text("The star was taken from 4 pictures.")
    person.page.keyboard.press("Escape")
    expect(bar(person, "star")).to_be_hidden()
    tile(person, 119).focus()
    person.page.keyboard.press("Enter")
    expect(person.page.locator(".viewer .prompt")).to_have_text("number 119")


def test_a_long_press_begins_and_further_taps_choose(visit: Visit) -> None:
    person = visit(width=390)
    person.open_history()
    finger = """(tile, kind) => tile.dispatchEvent(new PointerEvent(kind,
        {pointerId: 1, pointerType: 'touch', isPrimary: true, clientX: 50, clientY: 300, bubbles: true}))"""
    tile(person, 120).evaluate(finger, "pointerdown")
    expect_chosen(person, 1)
    tile(person, 120).evaluate(finger, "pointerup")
    tile(person, 120).evaluate("tile => tile.click()")  # which ends the long press, and is no tap
    tile(person, 119).click()
    expect_chosen(person, 2)
    assert chosen(person) == [120, 119]
    assert person.sideways() == 0


def test_all_are_chosen_also_those_not_scrolled_to_and_download_as_they_are_stored(
    visit: Visit, darkroom: DarkroomServer
) -> None:
    person = visit()
    person.open_history()
    person.page.locator(".filter.select").click()
    bar(person, "all").click()
    expect_chosen(person, COUNT)
    tile(person, 120).click()
    expect_chosen(person, COUNT - 1)
    with person.page.expect_download() as download:
        bar(person, "download").click()
    assert download.value.suggested_filename == "darkroom-000001-000119.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len(archive.namelist()) == COUNT - 1
        for id in (1, 60, 119):
            stored = darkroom.history / person.ask(f"/api/pictures/{id}")["rows"][-1][1]
            assert archive.read(f"darkroom-{id:06d}-number-{id}-7.png") == stored.read_bytes()


def test_all_are_thrown_away_and_brought_back_also_those_not_scrolled_to(visit: Visit) -> None:
    person = visit(locale="zh-CN")
    person.open_history()
    person.page.locator(".filter.select").click()
    bar(person, "all").click()
    bar(person, "trash").click()
    expect(person.word()).to_have_text(f"已将 {COUNT} 张图片移到回收站。")
    expect(person.page.locator(".history .nothing")).to_have_text("还没有图片。做好的图片会保存在这里，最新的在前。")
    person.page.locator(".toast .do").click()
    expect(person.page.locator(".history .count")).to_have_text(f"{COUNT} 张图片")
    expect(tile(person, 120)).to_be_visible()


def test_what_was_found_and_thrown_away_is_found_again_after_undo(visit: Visit) -> None:
    person = visit()
    person.open_history()
    person.page.locator(".history input").fill("number 11")
    expect(person.page.locator(".history .count")).to_have_text("11 pictures")
    person.page.locator(".filter.select").click()
    bar(person, "all").click()
    bar(person, "trash").click()
    expect(person.page.locator(".history .nothing")).to_have_text("No picture has these words in its prompt.")
    person.page.locator(".toast .do").click()
    expect(person.page.locator(".history .count")).to_have_text("11 pictures")


def test_the_pictures_do_not_move_when_choosing_begins(visit: Visit) -> None:
    for width in (1280, 390):
        person = visit(width=width)
        person.open_history()
        expect(tile(person, 120)).to_be_visible()
        before = tile(person, 120).bounding_box()
        person.page.locator(".filter.select").click()
        expect(bar(person, "leave")).to_be_visible()
        assert tile(person, 120).bounding_box() == before
        assert person.sideways() == 0


def test_a_tile_that_is_pointed_at_has_small_buttons(visit: Visit) -> None:
    person = visit()
    person.open_history()
    cell = person.page.locator('.cell:has([data-id="110"])')
    expect(cell.locator(".on-tile")).to_have_count(0)
    cell.hover()
    cell.get_by_role("button", name="Star").click()
    expect(tile(person, 110)).to_have_class("tile starred")
    expect(cell.get_by_role("button", name="Star")).to_have_attribute("aria-pressed", "true")
    cell.get_by_role("button", name="Star").click()
    expect(tile(person, 110)).to_have_class("tile")
    cell.get_by_role("button", name="Delete").click()
    expect(tile(person, 110)).to_have_count(0)
    expect(person.word()).to_have_text("In the trash.")
    person.page.locator(".filter.trash").first.click()
    cell.hover()
    cell.get_by_role("button", name="Restore").click()
    expect(person.page.locator(".history .nothing")).to_have_text("The trash is empty.")


def test_more_than_the_server_takes_at_once_are_sent_in_parts(visit: Visit) -> None:
    person = visit()
    parts: list[int] = []

    def answer(route: Route) -> None:
        ids = route.request.post_data_json["ids"]
        parts.append(len(ids))
        route.fulfill(json={"pictures": [{"id": id, "starred": True} for id in ids]})

    person.page.route("**/api/selection/star?*", answer)
    person.page.evaluate("darkroom.pictures.star(Array.from({ length: 45000 }, (_, place) => 1000 + place), true)")
    expect(person.word()).to_have_text("45,000 pictures have a star now.")
    assert parts == [20_000, 20_000, 5_000]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_nobody_stumbles_while_choosing(width: int, scheme: Scheme, visit: Visit) -> None:
    person = visit(width=width, scheme=scheme)
    person.open_history()
    tile(person, 120).focus()
    person.page.keyboard.press("ArrowRight")
    expect(person.page.locator(".on-tile.trash").last).to_be_visible()
    assert findings(person) == []
    person.page.keyboard.press("x")
    expect_chosen(person, 1)
    assert findings(person) == []
