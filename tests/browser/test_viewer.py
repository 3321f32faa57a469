"""One picture held up to the light: zoom, pan, turning, keeping, copying, and a way out that leads back."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Scheme, Visit
from tests.browser.darkrooms import stocked
from tests.browser.server import DarkroomServer
from tests.browser.test_access import findings
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

PICTURES = [
    {"prompt": "the first"},
    {"prompt": "a wide one", "width": 512, "height": 256},
    {"prompt": "<b>月亮</b> " * 60, "width": 256, "height": 512, "negative_prompt": "fog"},
]

darkroom = stocked(PICTURES)


def open_newest(person: Visitor) -> Locator:
    person.open_history().first.click()
    viewer = person.page.locator("dialog.viewer")
    expect(viewer).to_be_visible()
    arrived(person)
    return viewer


def arrived(person: Visitor) -> None:
    person.page.wait_for_function("document.querySelector('.stage img').naturalWidth > 0")


def scale(person: Visitor) -> float:
    """How much larger the picture is drawn than when it fits."""
    found: float = person.page.evaluate(
        "(i => i.getBoundingClientRect().width / i.offsetWidth)(document.querySelector('.stage img'))"
    )
    return found


def test_a_picture_is_zoomed_by_wheel_keys_and_double_click_and_dragged(visit: Visit) -> None:
    person = visit()
    viewer = open_newest(person)
    assert scale(person) == pytest.approx(1)
    box = person.page.locator(".stage").bounding_box()
    assert box
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    person.page.mouse.move(*middle)
    person.page.mouse.wheel(0, -400)
    person.page.wait_for_function("document.querySelector('.stage').classList.contains('zoomed')")
    assert scale(person) > 1.5
    left = "document.querySelector('.stage img').getBoundingClientRect().top"
    before = person.page.evaluate(left)
    person.page.mouse.down()
    person.page.mouse.move(middle[0] + 10, middle[1] + 60, steps=4)
    person.page.mouse.up()
    assert person.page.evaluate(left) == pytest.approx(before + 60, abs=2)
    expect(viewer).to_be_visible()
    person.page.keyboard.press("0")
    assert scale(person) == pytest.approx(1)
    person.page.keyboard.press("+")
    assert scale(person) == pytest.approx(1.5)
    person.page.mouse.dblclick(*middle)
    assert scale(person) == pytest.approx(1)


def test_two_fingers_zoom_and_one_turns(visit: Visit) -> None:
    person = visit(width=390)
    open_newest(person)
    finger = """([kind, id, x, y]) => document.querySelector('.stage').dispatchEvent(
        new PointerEvent(kind, {pointerId: id, pointerType: 'touch', clientX: x, clientY: y, bubbles: true}))"""
    person.page.evaluate("document.querySelector('.stage').setPointerCapture = () => {}")
    for event in (("pointerdown", 1, 180, 200), ("pointerdown", 2, 220, 200), ("pointermove", 2, 300, 200)):
        person.page.evaluate(finger, list(event))
    assert scale(person) == pytest.approx(3, rel=0.05)
    for event in (("pointerup", 1, 180, 200), ("pointerup", 2, 300, 200)):
        person.page.evaluate(finger, list(event))
    person.page.keyboard.press("0")
    for event in (("pointerdown", 3, 300, 200), ("pointermove", 3, 200, 205), ("pointerup", 3, 200, 205)):
        person.page.evaluate(finger, list(event))
    expect(person.page.locator(".viewer .prompt")).to_have_text("a wide one")


def test_a_swipe_of_the_mouse_turns_and_keeps_the_viewer_open(visit: Visit) -> None:
    person = visit()
    viewer = open_newest(person)
    for place in ("the picture", "beside it"):
        box = person.page.locator(".stage").bounding_box()
        assert box
        middle = box["y"] + box["height"] / 2
        person.page.mouse.move(box["x"] + (box["width"] / 2 if place == "the picture" else box["width"] - 100), middle)
        person.page.mouse.down()
        person.page.mouse.move(box["x"] + 100, middle, steps=4)
        person.page.mouse.up()
        expect(person.page.locator(".viewer .prompt")).to_have_text("a wide one")
        expect(viewer).to_be_visible()
        person.page.keyboard.press("ArrowLeft")
        expect(person.page.locator(".viewer .prompt")).to_contain_text("<b>月亮</b>")
    person.page.mouse.click(box["x"] + 100, middle)
    expect(viewer).to_be_hidden()


def test_a_picture_follows_no_mouse_that_was_let_go_of_elsewhere(visit: Visit) -> None:
    person = visit()
    open_newest(person)
    box = person.page.locator(".stage").bounding_box()
    assert box
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    person.page.mouse.move(*middle)
    person.page.mouse.down()
    person.page.mouse.move(box["x"] + box["width"] + 100, middle[1], steps=4)
    person.page.mouse.up()
    for _ in range(4):
        person.page.keyboard.press("+")
    place = "document.querySelector('.stage img').style.transform"
    before = person.page.evaluate(place)
    person.page.mouse.move(middle[0], middle[1])
    person.page.mouse.move(middle[0], middle[1] + 80, steps=4)
    assert person.page.evaluate(place) == before


def test_a_picture_in_the_trash_gets_no_star_by_its_key(visit: Visit) -> None:
    person = visit()
    person.open_history().first.focus()
    person.page.keyboard.press("Delete")
    person.page.locator(".filter.trash").click()
    expect(person.page.locator(".sheet .tile")).to_have_count(1)
    person.page.locator(".sheet .tile").click()
    expect(person.page.locator(".viewer .restore")).to_be_visible()
    person.page.keyboard.press("s")
    person.page.locator(".viewer .restore").click()
    expect(person.word()).to_have_text("Restored.")
    assert [picture["starred"] for picture in person.history()] == [False, False, False]


def test_arrows_turn_and_escape_leads_back_to_the_picture_last_seen(visit: Visit) -> None:
    person = visit()
    viewer = open_newest(person)
    prompt = person.page.locator(".viewer .prompt")
    expect(prompt).to_contain_text("<b>月亮</b>")
    expect(person.page.locator(".stage .left")).to_be_disabled()
    person.page.keyboard.press("ArrowRight")
    expect(prompt).to_have_text("a wide one")
    person.page.keyboard.press("ArrowRight")
    expect(prompt).to_have_text("the first")
    expect(person.page.locator(".stage .right")).to_be_disabled()
    person.page.keyboard.press("ArrowLeft")
    expect(prompt).to_have_text("a wide one")
    person.page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(person.page.locator('.sheet .tile[data-id="2"]')).to_be_focused()


def test_the_focus_stays_in_the_viewer(visit: Visit) -> None:
    person = visit()
    open_newest(person)
    for _ in range(30):
        person.page.keyboard.press("Tab")
        inside = "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        assert person.page.evaluate(inside)


def test_a_download_is_the_stored_file_byte_by_byte(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    open_newest(person)
    person.page.keyboard.press("ArrowRight")
    expect(person.page.locator(".viewer .prompt")).to_have_text("a wide one")
    with person.page.expect_download() as download:
        person.page.locator(".viewer a.download").click()
    assert download.value.suggested_filename == "darkroom-000002-a-wide-one-7.png"
    stored = darkroom.history / person.ask("/api/pictures/2")["rows"][-1][1]
    assert Path(download.value.path()).read_bytes() == stored.read_bytes()


def test_a_copied_picture_is_a_png_in_the_clipboard(visit: Visit) -> None:
    person = visit()
    person.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_newest(person)
    person.page.locator(".viewer .copy").last.click()
    expect(person.word()).to_have_text("The picture is in the clipboard.")
    size = person.page.evaluate(
        """async () => {
            const [item] = await navigator.clipboard.read();
            const picture = await createImageBitmap(await item.getType("image/png"));
            return [picture.width, picture.height];
        }"""
    )
    assert size == [256, 512]


def test_a_browser_that_forbids_copying_is_said(visit: Visit) -> None:
    person = visit()
    person.page.evaluate("Object.defineProperty(window, 'isSecureContext', {value: false})")
    open_newest(person)
    person.page.locator(".viewer .copy").last.click()
    expect(person.word()).to_contain_text("only from https or localhost")


def test_full_screen_fills_the_screen_with_the_picture(visit: Visit) -> None:
    person = visit()
    open_newest(person)
    person.page.keyboard.press("f")
    person.page.wait_for_function("document.fullscreenElement?.classList.contains('stage')")
    person.page.keyboard.press("f")
    person.page.wait_for_function("!document.fullscreenElement")


def test_a_deleted_picture_gives_way_to_the_next_and_undo_brings_it_back(visit: Visit) -> None:
    person = visit(width=390)
    open_newest(person)
    person.page.locator(".viewer .star").click()
    expect(person.page.locator(".viewer .star")).to_have_attribute("aria-pressed", "true")
    person.page.keyboard.press("Delete")
    expect(person.page.locator(".viewer .prompt")).to_have_text("a wide one")
    assert [picture["id"] for picture in person.history()] == [2, 1]
    person.page.locator(".toast .do").click()
    person.page.keyboard.press("Escape")
    expect(person.page.locator(".sheet .tile")).to_have_count(3)
    assert [(picture["id"], picture["starred"]) for picture in person.history()] == [(3, True), (2, False), (1, False)]
    person.page.locator('.sheet .tile[data-id="3"]').focus()
    person.page.keyboard.press("s")
    expect(person.page.locator(".sheet .tile.starred")).to_have_count(0)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_nobody_stumbles_in_the_viewer_or_the_history(width: int, scheme: Scheme, visit: Visit) -> None:
    person = visit(width=width, scheme=scheme)
    expect(person.tiles()).to_have_count(3)
    assert findings(person) == []
    open_newest(person)
    assert findings(person) == []
    person.page.keyboard.press("Escape")
    assert findings(person) == []
    assert person.sideways() == 0


def test_a_wide_picture_is_shown_whole_in_the_tray(visit: Visit) -> None:
    for width in (1280, 390):
        person = visit(width=width)
        person.choose(1)
        person.page.wait_for_function("document.querySelector('.print img').naturalWidth === 512")
        shape = "(i => i.offsetWidth / i.offsetHeight)(document.querySelector('.print img'))"
        assert person.page.evaluate(shape) == pytest.approx(2, rel=0.01)
        assert person.sideways() == 0
