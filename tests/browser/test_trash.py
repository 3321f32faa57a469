"""The trash: emptied after one question, and only of what a person was told of."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.server import DarkroomServer
from tests.browser.test_access import findings
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

darkroom = stocked([{"prompt": f"number {id}"} for id in range(1, 7)], scope="function")


def throw_away(person: Visitor, *ids: int) -> None:
    for id in ids:
        person.page.locator(f'.sheet .tile[data-id="{id}"]').focus()
        person.page.keyboard.press("Delete")
        expect(person.page.locator(f'.sheet .tile[data-id="{id}"]')).to_have_count(0)


def files(darkroom: DarkroomServer) -> int:
    return len([path for path in darkroom.history.rglob("*") if path.suffix in (".png", ".webp")])


def test_the_trash_is_emptied_after_one_question(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    person.open_history()
    throw_away(person, 6, 3)
    person.page.locator(".filter.trash").click()
    empty = person.page.locator(".empty-trash")
    expect(empty).to_contain_text("Empty the trash: 2 pictures, ")
    assert findings(person) == []
    empty.click()
    question = person.page.locator("dialog.sure")
    expect(question).to_contain_text("Remove all 2 pictures of the trash for good?")
    person.page.keyboard.press("Enter")  # the careful answer has the focus
    expect(question).to_have_count(0)
    assert files(darkroom) == 12
    empty.click()
    question.locator(".yes").click()
    expect(person.page.locator(".history .nothing")).to_have_text("The trash is empty.")
    expect(person.word()).to_have_text("2 pictures were removed for good.")
    expect(empty).to_be_hidden()
    assert files(darkroom) == 8
    person.page.locator(".filter.trash").click()
    expect(person.page.locator(".sheet .tile")).to_have_count(4)


def test_nothing_is_offered_to_be_undone_once_the_trash_is_emptied(visit: Visit) -> None:
    person = visit()
    person.open_history()
    throw_away(person, 6, 3)
    person.page.locator(".filter.trash").click()
    expect(person.page.locator(".toast .do")).not_to_have_count(0)
    person.page.locator(".empty-trash").click()
    person.page.locator("dialog.sure .yes").click()
    expect(person.word()).to_have_text("2 pictures were removed for good.")
    assert person.page.locator(".toast .do").count() == 0


def test_several_of_the_trash_are_brought_back_or_removed_for_good(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit(width=390, locale="zh-CN")
    person.open_history()
    throw_away(person, 6, 5, 4, 3)
    person.page.locator(".filter.trash").click()
    tiles = person.page.locator(".sheet .tile")
    expect(tiles).to_have_count(4)
    person.page.locator(".filter.select").click()
    tiles.nth(0).click()
    tiles.nth(1).click()
    person.page.locator(".selecting .to-restore").click()
    expect(person.word()).to_have_text("已恢复 2 张图片。")
    expect(tiles).to_have_count(2)
    person.page.locator(".filter.select").click()
    person.page.locator(".selecting .to-all").click()
    person.page.locator(".selecting .to-purge").click()
    expect(person.page.locator("dialog.sure")).to_contain_text("彻底删除 2 张图片？")
    person.page.locator("dialog.sure .yes").click()
    expect(tiles).to_have_count(0)
    assert [picture["id"] for picture in person.history()] == [6, 5, 2, 1]
    assert files(darkroom) == 8
    assert person.sideways() == 0
