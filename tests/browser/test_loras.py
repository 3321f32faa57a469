"""LoRAs in the form: they come with a picture's parameters, are seen, asked for again, and taken off."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.server import DarkroomServer
from tests.browser.stock import stock

pytestmark = pytest.mark.browser

LORAS = [{"name": "ink", "weight": 0.5}]


@pytest.fixture(scope="module")
def darkroom(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DarkroomServer]:
    server = DarkroomServer(root, tmp_path_factory.mktemp("darkroom"))
    stock(server.history, [{"prompt": "with", "loras": LORAS}, {"prompt": "without"}])
    server.start()
    yield server
    server.close()


def test_loras_come_with_a_picture_survive_a_reload_and_are_taken_off(visit: Visit) -> None:
    person = visit()
    line = person.page.locator("#loras p")
    loras = "() => darkroom.form.read().loras"
    expect(line).to_be_hidden()
    assert person.page.evaluate(loras) == []
    person.reuse(1)
    expect(line).to_contain_text("With LoRA: ink × 0.5.")
    assert person.page.evaluate(loras) == LORAS
    person.fill(prompt="typed after")
    person.page.reload()
    expect(line).to_contain_text("ink × 0.5")
    assert person.page.evaluate(loras) == LORAS
    line.get_by_role("button", name="Take off").click()
    expect(line).to_be_hidden()
    assert person.page.evaluate(loras) == []
    # Another part of a picture does not bring them back.
    person.choose(1)
    person.page.locator(".watch .menu-holder .more").click()
    person.page.get_by_role("menuitem", name="Prompt only", exact=True).click()
    expect(person.field("prompt")).to_have_value("with")
    expect(line).to_be_hidden()
    assert person.page.evaluate(loras) == []
    person.reuse(1)
    expect(line).to_be_visible()
    person.reuse(0)
    expect(person.field("prompt")).to_have_value("without")
    expect(line).to_be_hidden()


def test_a_picture_with_a_lora_is_made_from_the_form_and_one_that_is_gone_is_said(visit: Visit) -> None:
    person = visit(locale="zh-CN")
    person.reuse(len(person.history()) - 1)
    expect(person.page.locator("#loras p")).to_contain_text("使用 LoRA：ink × 0.5。")
    person.generate()
    person.see_picture()
    newest = person.history()[0]
    assert newest["request"]["loras"] == LORAS
    assert ["LoRAs", "ink × 0.5"] in newest["rows"]
    # A remembered form may name a file that is gone meanwhile.
    person.page.evaluate("darkroom.form.set('loras', [{name: 'gone', weight: 1}])")
    expect(person.page.locator("#loras p")).to_contain_text("gone × 1")
    person.generate()
    expect(person.page.locator(".watch .failure")).to_contain_text("都没有名为 gone.safetensors 的 LoRA。")
