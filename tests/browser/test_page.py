"""The page itself: languages, limits said in words, and a memory for what was typed. No picture is made here."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import pictureless

pytestmark = pytest.mark.browser

darkroom = pictureless


@pytest.mark.parametrize(
    ("locale", "word"), [("en-GB", "Generate"), ("zh-CN", "生成"), ("zh", "生成"), ("fr", "Generate")]
)
def test_the_page_speaks_the_language_of_the_browser(locale: str, word: str, visit: Visit) -> None:
    person = visit(locale=locale)
    expect(person.page.locator("#generate")).to_contain_text(word)
    expect(person.page.locator("html")).to_have_attribute("lang", "zh" if word == "生成" else "en")


def test_another_language_is_remembered_and_nothing_typed_is_lost(visit: Visit) -> None:
    person = visit(width=390)
    person.fill(prompt="a lake", steps=7, width=384)
    person.page.get_by_role("button", name="中文").click()
    expect(person.page.locator("#generate")).to_contain_text("生成")
    expect(person.field("prompt")).to_have_value("a lake")
    expect(person.field("steps")).to_have_value("7")
    expect(person.field("width")).to_have_value("384")
    expect(person.page.locator("html")).to_have_attribute("lang", "zh")
    person.page.reload()
    expect(person.page.locator("#generate")).to_contain_text("生成")
    assert person.sideways() == 0


@pytest.mark.parametrize(
    ("locale", "field", "value", "words"),
    [
        ("en-GB", "width", "300", "Width: 300 is not possible. Allowed: 256 to 512 pixels, a multiple of 16."),
        ("en-GB", "height", "1024", "Height: 1024 is not possible. Allowed: 256 to 512 pixels, a multiple of 16."),
        ("en-GB", "seed", "-7", "Seed: -7 is not possible."),
        ("zh-CN", "width", "300", "宽度不能是 300，允许：256 到 512 像素，16 的倍数。"),
        ("zh-CN", "seed", "", "种子没有填写"),
        ("en-GB", "steps", "500", "Steps: 500 is not possible. Allowed: a whole number from 1 to 100."),
        ("en-GB", "guidance", "-1", "Guidance (distilled CFG): -1 is not possible."),
        ("en-GB", "count", "501", "Number of pictures: 501 is not possible. Allowed: a whole number from 1 to 500."),
    ],
)
def test_a_value_that_is_not_allowed_is_named_and_nothing_is_started(
    locale: str, field: str, value: str, words: str, visit: Visit
) -> None:
    person = visit(locale=locale)
    person.fill(**{field: value})
    person.generate()
    expect(person.page.locator(".refusal")).to_contain_text(words)
    assert person.history() == []
    assert person.page.request.get(f"{person.page.url}api/jobs/1").status == 404


def test_a_prompt_that_is_too_long_is_refused_whole_and_not_cut(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="x" * 20_000)
    expect(person.page.locator(".unread")).to_contain_text("at most 10000 characters")
    person.generate()
    expect(person.page.locator(".refusal")).to_contain_text("at most 10000 characters")
    assert len(person.field("prompt").input_value()) == 20_000


def test_control_and_enter_is_the_same_as_generate(visit: Visit) -> None:
    person = visit()
    person.fill(width=300)
    person.field("prompt").press("Control+Enter")
    expect(person.page.locator(".refusal")).to_contain_text("Width: 300 is not possible.")
