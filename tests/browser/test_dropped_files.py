"""Files of prompts and styles that are dropped onto the page, or chosen: read as they were written, and seen."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

CHINESE = "一只狐狸，水墨画\n雪中的小屋"
STYLES = b"name,prompt,negative_prompt\nFog,thick fog,\n"

darkroom = stocked([{"prompt": "a pond"}])


def drop(person: Visitor, name: str, content: bytes) -> None:
    person.page.evaluate(
        """([name, bytes]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(bytes)], name));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [name, list(content)],
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_prompts_are_read_in_whatever_way_they_were_written(encoding: str, visit: Visit) -> None:
    person = visit(locale="zh-CN")
    drop(person, "prompts.txt", CHINESE.encode(encoding))
    expect(person.field("prompt")).to_have_value(CHINESE)
    expect(person.word()).to_contain_text("2")


@pytest.mark.parametrize(
    ("locale", "content", "said"),
    [
        ("en-GB", b"", "There is nothing in prompts.txt."),
        ("zh-CN", b"\xef\xbb\xbf \r\n\r\n", "prompts.txt 里没有内容。"),
        ("en-GB", b"\xff\xfe\x00", "prompts.txt is no text file."),
        ("zh-CN", b"\x89PNG\xff\xff\xff", "prompts.txt 不是文本文件。"),
    ],
)
def test_a_file_without_prompts_changes_nothing_and_says_so(
    locale: str, content: bytes, said: str, visit: Visit
) -> None:
    person = visit(locale=locale)
    person.fill(prompt="my own words")
    drop(person, "prompts.txt", content)
    expect(person.word()).to_have_text(said)
    expect(person.field("prompt")).to_have_value("my own words")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_picture_that_is_looked_at_makes_room_for_what_a_file_brings(width: int, visit: Visit) -> None:
    person = visit(width=width)
    viewer = person.page.locator("dialog.viewer")
    for name, content in (("styles.csv", STYLES), ("prompts.txt", CHINESE.encode())):
        person.open_history().first.click()
        expect(viewer).to_be_visible()
        drop(person, name, content)
        expect(viewer).to_be_hidden()
        expect(person.page.locator("html")).to_have_attribute("data-view", "create")
        if name == "styles.csv":
            person.page.locator("#styles").get_by_role("button", name="Fog").click()
            expect(person.field("prompt")).to_have_value("thick fog")
            person.page.keyboard.press("Escape")
    expect(person.field("prompt")).to_have_value(CHINESE)
    expect(person.field("prompt")).to_be_focused()
