"""LoRAs in the form: picked, weighed, named in the prompt, dropped as files, and gone again."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.server import DarkroomServer
from tests.browser.stock import stock
from tests.browser.visitor import Visitor
from tests.loras.files import FLUX_KOHYA, SDXL, write

pytestmark = pytest.mark.browser

LORAS = [{"name": "ink", "weight": 0.5}]


@pytest.fixture(scope="module")
def models(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(root / "models" / "demo", folder / "demo")
    write(folder / "loras" / "pony.safetensors", SDXL)
    return folder


@pytest.fixture(scope="module")
def darkroom(root: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DarkroomServer]:
    folder = tmp_path_factory.mktemp("darkroom")
    server = DarkroomServer(root, folder)
    settings = f"folders: {{models: '{models.as_posix()}', history: history}}\nengine: {{device: cpu}}\n"
    (folder / "config.yaml").write_text(settings, encoding="utf-8")
    stock(server.history, [{"prompt": "with", "loras": LORAS}, {"prompt": "without"}])
    server.start()
    yield server
    server.close()


def rows(person: Visitor) -> Locator:
    return person.page.locator(".loras .uses > li")


def wanted(person: Visitor) -> list[dict[str, object]]:
    found: list[dict[str, object]] = person.page.evaluate("darkroom.form.read().loras")
    return found


def open_sheet(person: Visitor) -> Locator:
    person.page.locator(".loras .add").click()
    sheet = person.page.locator("#lora-sheet")
    expect(sheet.locator(".lora").first).to_be_visible()
    return sheet


def drop(person: Visitor, *paths: Path) -> None:
    """As a file manager does it: the browser is handed the files, not their places."""
    files = [{"name": path.name, "bytes": list(path.read_bytes())} for path in paths]
    person.page.evaluate(
        """(files) => {
            const transfer = new DataTransfer();
            for (const { name, bytes } of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
            const event = { dataTransfer: transfer, bubbles: true, cancelable: true };
            for (const kind of ["dragenter", "dragover", "drop"]) {
                document.body.dispatchEvent(new DragEvent(kind, event));
            }
        }""",
        files,
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_a_lora_is_picked_weighed_and_taken_off(width: int, visit: Visit) -> None:
    person = visit(width=width)
    expect(rows(person)).to_have_count(0)
    sheet = open_sheet(person)
    expect(sheet.locator(".lora[aria-disabled]")).to_contain_text("Made for SDXL")
    sheet.get_by_role("searchbox").fill("ink draw")
    expect(sheet.locator(".lora")).to_have_count(1)
    sheet.locator(".lora").click()
    expect(sheet.locator(".lora")).to_have_attribute("aria-pressed", "true")
    assert person.sideways() == 0
    person.page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    row = rows(person)
    expect(row).to_contain_text("Ink drawing")
    expect(row).to_contain_text("Darkroom demo · rank 8 · 1.5 MB")
    assert wanted(person) == [{"name": "ink", "weight": 1}]
    row.get_by_role("spinbutton").fill("0.35")
    expect(row.get_by_role("slider")).to_have_value("0.35")
    row.get_by_role("slider").focus()
    person.page.keyboard.press("ArrowRight")
    expect(row.get_by_role("spinbutton")).to_have_value("0.4")
    assert wanted(person) == [{"name": "ink", "weight": 0.4}]
    row.get_by_role("spinbutton").fill("7")
    expect(row.locator(".wrong")).to_contain_text("a number from −2 to 2")
    row.get_by_role("button", name="Take off").click()
    expect(rows(person)).to_have_count(0)
    expect(person.page.locator(".loras .add")).to_be_focused()
    assert wanted(person) == []


def test_everything_can_be_done_by_keyboard(visit: Visit) -> None:
    person = visit()
    page = person.page
    page.locator(".loras .add").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#lora-sheet input[type=search]")).to_be_focused()
    expect(page.locator("#lora-sheet .lora").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(rows(person)).to_have_count(1)
    expect(page.locator("#lora-sheet .lora").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".loras .add")).to_be_focused()
    page.keyboard.press("Tab")
    expect(rows(person).get_by_role("spinbutton")).to_be_focused()
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(rows(person).locator(".waker")).to_be_focused()
    page.keyboard.press("Enter")
    expect(person.field("prompt")).to_have_value("ink drawing")
    expect(rows(person).locator(".waker")).to_be_focused()


def test_words_that_wake_it_go_into_the_prompt_once(visit: Visit) -> None:
    person = visit(locale="zh-CN")
    person.fill(prompt="湖边的房子")
    open_sheet(person).locator(".lora").first.click()
    person.page.keyboard.press("Escape")
    waker = rows(person).locator(".waker")
    expect(waker).to_have_attribute("aria-label", "把“ink drawing”加入提示词")
    waker.click()
    expect(person.field("prompt")).to_have_value("湖边的房子，ink drawing")
    expect(waker).to_have_attribute("aria-label", "提示词中已有“ink drawing”")
    waker.click()
    expect(person.field("prompt")).to_have_value("湖边的房子，ink drawing")


def test_one_that_is_named_in_the_prompt_moves_into_its_row(visit: Visit) -> None:
    person = visit()
    person.field("prompt").press_sequentially("a red house <lora:Ink:0.7>")
    expect(person.field("prompt")).to_have_value("a red house")
    expect(rows(person).get_by_role("spinbutton")).to_have_value("0.7")
    expect(person.page.locator(".loras .told")).to_have_text("Taken out of the prompt: ink × 0.7")
    person.page.keyboard.type(" by a lake")
    expect(person.field("prompt")).to_have_value("a red house by a lake")
    # In the middle: the caret stays among the same words.
    person.page.evaluate("darkroom.form.input('prompt').setSelectionRange(5, 5)")
    person.page.keyboard.insert_text(" <lora:ink:-0.4>")
    expect(person.field("prompt")).to_have_value("a red house by a lake")
    expect(rows(person).get_by_role("spinbutton")).to_have_value("-0.4")
    person.page.keyboard.type("dish")
    expect(person.field("prompt")).to_have_value("a reddish house by a lake")
    expect(rows(person)).to_have_count(1)
    person.fill(prompt="a house <lora:gone:1>")
    expect(person.page.locator(".under-prompt .unread")).to_contain_text("There is no LoRA named gone")
    expect(person.field("prompt")).to_have_value("a house <lora:gone:1>")
    person.generate()
    expect(person.page.locator(".refusal")).to_contain_text("There is no LoRA named gone")


def test_what_was_taken_out_of_the_prompt_is_said_no_longer_than_it_is_used(visit: Visit) -> None:
    person = visit()
    told = person.page.locator(".loras .told")
    person.fill(prompt="a red house <lora:ink:0.5>")
    expect(told).to_have_text("Taken out of the prompt: ink × 0.5")
    person.fill(prompt="a red house by a lake")
    expect(told).to_be_visible()
    rows(person).get_by_role("button", name="Take off").click()
    expect(told).to_be_hidden()


def test_a_word_that_wakes_it_is_no_part_of_another_word(visit: Visit) -> None:
    person = visit()
    is_there = "([prompt, word]) => darkroom.triggerWords.isIn({ prompt }, word)"
    for prompt, word, found in (
        ("a cart", "art", False),
        ("an Artist's cart", "art", False),
        ("art2", "art", False),
        ("ART, a cart", "art", True),
        ("a cart with art", "art", True),
        ("naïve", "na", False),
        ("湖边的钢笔画作品", "钢笔画", True),
        ("水墨art风格", "art", True),
        ("(ink drawing)", "ink drawing", True),
        ("", "art", False),
    ):
        assert person.page.evaluate(is_there, [prompt, word]) is found, (prompt, word)


def test_where_each_line_is_a_prompt_each_has_the_words_that_wake_it(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="a house\n\nink drawing of a fox\n一片湖")
    person.page.locator(".batch .lines input").check()
    open_sheet(person).locator(".lora").first.click()
    person.page.keyboard.press("Escape")
    waker = rows(person).locator(".waker")
    expect(waker).not_to_have_attribute("data-there", "")
    waker.click()
    expect(person.field("prompt")).to_have_value("a house, ink drawing\n\nink drawing of a fox\n一片湖，ink drawing")
    expect(waker).to_have_attribute("data-there", "")


def test_two_of_one_title_are_told_apart_by_their_files(visit: Visit, models: Path) -> None:
    path = models / "loras" / "ink, older.safetensors"
    shutil.copy(models / "demo" / "loras" / "ink.safetensors", path)
    person = visit()
    person.page.evaluate("darkroom.form.set('loras', [{name: 'ink', weight: 1}, {name: 'ink, older', weight: 1}])")
    expect(rows(person).locator(".name")).to_have_text(["Ink drawing", "Ink drawing"])
    expect(rows(person).locator(".file")).to_have_text(["ink", "ink, older"])
    rows(person).first.get_by_role("button", name="Take off").click()
    expect(rows(person)).to_have_count(1)
    expect(rows(person).locator(".file")).to_be_hidden()
    path.unlink()


def test_loras_come_with_a_picture_survive_a_reload_and_are_taken_off(visit: Visit) -> None:
    person = visit()
    person.reuse(1)
    expect(rows(person).get_by_role("spinbutton")).to_have_value("0.5")
    assert wanted(person) == LORAS
    person.fill(prompt="typed after")
    person.page.reload()
    expect(rows(person)).to_contain_text("Ink drawing")
    assert wanted(person) == LORAS
    rows(person).get_by_role("button", name="Take off").click()
    expect(rows(person)).to_have_count(0)
    # Another part of a picture does not bring them back.
    person.choose(1)
    person.page.locator(".watch .menu-holder .more").click()
    person.page.get_by_role("menuitem", name="Prompt only", exact=True).click()
    expect(person.field("prompt")).to_have_value("with")
    assert wanted(person) == []
    person.reuse(1)
    expect(rows(person)).to_have_count(1)
    person.reuse(0)
    expect(person.field("prompt")).to_have_value("without")
    expect(rows(person)).to_have_count(0)


def test_one_that_is_gone_is_said_in_its_row_before_anything_is_started(visit: Visit) -> None:
    person = visit(locale="zh-CN")
    # A remembered form may name a file that is gone meanwhile.
    person.page.evaluate("darkroom.form.set('loras', [{name: 'gone', weight: 1}])")
    expect(rows(person).locator(".wrong")).to_contain_text("都没有名为 gone 的 LoRA。")
    before = len(person.history())
    person.generate()
    expect(person.page.locator(".refusal")).to_contain_text("都没有名为 gone 的 LoRA。")
    assert person.ask("/api/jobs")["ids"] == []
    assert len(person.history()) == before


def test_from_a_dropped_file_to_a_picture(visit: Visit, models: Path, tmp_path: Path) -> None:
    person = visit()
    file = tmp_path / "my ink.safetensors"
    shutil.copy(models / "demo" / "loras" / "ink.safetensors", file)
    drop(person, file)
    expect(person.word()).to_have_text("“Ink drawing” was added.")
    expect(rows(person)).to_have_count(1)
    assert wanted(person) == [{"name": "my ink", "weight": 1}]
    assert (models / "loras" / "my ink.safetensors").read_bytes() == file.read_bytes()
    person.fill(prompt="a red house by a lake", seed=3, steps=3, width=256, height=256)
    rows(person).locator(".waker").click()
    rows(person).get_by_role("spinbutton").fill("0.8")
    person.generate()
    person.see_picture()
    newest = person.history()[0]
    assert newest["request"]["loras"] == [{"name": "my ink", "weight": 0.8}]
    assert newest["request"]["prompt"] == "a red house by a lake, ink drawing"
    assert ["LoRAs", "my ink × 0.8"] in newest["rows"]


def test_a_lora_that_was_exchanged_is_named_when_its_picture_is_made_again(visit: Visit, models: Path) -> None:
    path = models / "loras" / "soon.safetensors"
    shutil.copy(models / "demo" / "loras" / "ink.safetensors", path)
    then = time.time() - 60
    os.utime(path, (then, then))
    person = visit()
    person.page.evaluate("darkroom.form.set('loras', [{name: 'soon', weight: 0.5}])")
    person.fill(prompt="a red house", seed=3, steps=2, width=256, height=256)
    person.generate()
    person.see_picture()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    newest = person.history()[0]["id"]
    person.choose(0)
    person.page.locator(".watch .again").click()
    expect(
        person.page.get_by_text("The file of the LoRA soon is not the one this picture was made with.")
    ).to_be_visible()
    person.page.wait_for_function("(id) => darkroom.ask('/api/history').then((h) => h.pictures[0].id > id)", arg=newest)
    path.unlink()
    person.page.locator(".watch .again").click()
    expect(person.page.get_by_text("There is no LoRA named soon")).to_be_visible()
    person.reuse(0)
    expect(rows(person)).to_have_count(0)
    expect(person.page.locator(".refusal")).to_contain_text("There is no LoRA named soon")


def test_a_dropped_file_that_cannot_be_used_is_refused_in_words(visit: Visit, models: Path, tmp_path: Path) -> None:
    person = visit()
    before = sorted(path.name for path in (models / "loras").iterdir())
    for name, shapes, words in (
        ("sdxl.safetensors", SDXL, "was made for SDXL"),
        ("model.safetensors", {"img_in.weight": (4, 4)}, "is no LoRA"),
        ("old.ckpt", {}, "no .safetensors file"),
    ):
        drop(person, write(tmp_path / name, shapes))
        expect(person.word()).to_contain_text(words)
        expect(rows(person)).to_have_count(0)
    assert sorted(path.name for path in (models / "loras").iterdir()) == before
    # For another model of ours: kept, but not for this one.
    path = write(tmp_path / "large.safetensors", FLUX_KOHYA)
    person.page.locator("#lora-sheet input[type=file]").set_input_files(path)
    expect(person.word()).to_contain_text("was made for FLUX.1")
    assert (models / "loras" / "large.safetensors").exists()
    assert json.dumps(wanted(person)) == "[]"


def test_a_file_put_into_the_folder_is_there_when_the_sheet_opens_again(visit: Visit, models: Path) -> None:
    person = visit()
    sheet = open_sheet(person)
    expect(sheet.locator("[data-name='late']")).to_have_count(0)
    person.page.keyboard.press("Escape")
    shutil.copy(models / "demo" / "loras" / "ink.safetensors", models / "loras" / "late.safetensors")
    open_sheet(person).locator("[data-name='late']").click()
    expect(rows(person)).to_have_count(1)
    (models / "loras" / "late.safetensors").unlink()
