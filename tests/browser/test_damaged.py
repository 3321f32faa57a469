"""A picture that lost its file or its model: its words are never those of another one, and it says so."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.server import DarkroomServer
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

DAMAGED = "The file of this picture is missing or damaged."

darkroom = stocked(
    [{"prompt": "whole", "model": "long gone"}, {"prompt": "broken"}, {"prompt": "whole too"}], scope="function"
)


def overwrite(file: Path) -> None:
    file.write_bytes(b"no picture")


def cut_off(file: Path) -> None:
    """In the middle of its pixels, of which a browser shows the upper part."""
    with Image.open(file) as whole:
        noise = Image.effect_noise(whole.size, 80).convert("RGB")
    noise.save(file, "PNG")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


BREAKS: list[Callable[[Path], None]] = [Path.unlink, overwrite, cut_off]


def file_of(person: Visitor, darkroom: DarkroomServer, id: int) -> Path:
    return darkroom.history / person.ask(f"/api/pictures/{id}")["rows"][-1][1]


@pytest.mark.parametrize("damage", BREAKS)
def test_the_tray_shows_no_other_picture_in_its_place(
    damage: Callable[[Path], None], visit: Visit, darkroom: DarkroomServer
) -> None:
    person = visit()
    image = person.page.locator(".print img")
    expect(image).to_be_visible()
    damage(file_of(person, darkroom, 2))
    person.choose(1)
    expect(person.page.locator(".print .empty")).to_have_text(DAMAGED)
    expect(image).to_be_hidden()
    expect(person.page.locator(".watch .caption")).to_contain_text("#2")
    person.choose(2)
    expect(image).to_be_visible()
    expect(person.page.locator(".print .empty")).to_be_hidden()


@pytest.mark.parametrize("damage", BREAKS)
def test_the_viewer_says_so_and_copying_does_not_blame_the_browser(
    damage: Callable[[Path], None], visit: Visit, darkroom: DarkroomServer
) -> None:
    person = visit(locale="zh-CN")
    person.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    damage(file_of(person, darkroom, 2))
    person.open_history().first.click()
    image = person.page.locator(".stage img")
    expect(image).to_be_visible()
    person.page.keyboard.press("ArrowRight")
    expect(person.page.locator(".stage .damaged")).to_have_text("这张图片的文件已丢失或损坏。")
    expect(image).to_be_hidden()
    person.page.locator(".viewer .keeping .copy").click()
    expect(person.word()).to_have_text("这张图片的文件已丢失或损坏。")
    person.page.keyboard.press("ArrowRight")
    expect(image).to_be_visible()
    expect(person.page.locator(".stage .damaged")).to_be_hidden()


def test_where_the_model_is_gone_finer_says_so(visit: Visit) -> None:
    person = visit()
    finer = person.page.locator(".watch .again-finer")
    person.choose(2)
    expect(person.page.locator(".watch .caption")).to_contain_text("#1")
    expect(finer).to_be_disabled()
    expect(finer).to_have_attribute("title", "The model of this picture is not here")
    person.choose(0)
    expect(finer).to_be_enabled()
