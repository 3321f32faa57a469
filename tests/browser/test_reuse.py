"""Parameters back into the form: from the tray, by link, and from a file that is dropped or chosen."""

from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.server import DarkroomServer
from tests.browser.test_access import findings
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

RAN = {
    "prompt": "two barns, 一轮明月, <b>&amp;",
    "negative_prompt": "rain",
    "seed": 4_000_000_000,
    "steps": 5,
    "guidance": 2.5,
    "cfg_scale": 1.5,
    "width": 384,
    "height": 256,
}
FORGE = (
    "a red barn\nNegative prompt: people\nSteps: 20, Sampler: DPM++ 2M, CFG scale: 1, Distilled CFG Scale: 3, "
    "Seed: 42, Size: 896x1152, Model: flux1-dev, Version: f2.0.1"
)
DROP = """async ([bytes, kind]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], "a.png", {type: "image/png"}));
    const target = document.querySelector("#prompt textarea");
    target.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""

darkroom = stocked([RAN, {"prompt": "another"}])


def expect_values(person: Visitor, **values: object) -> None:
    person.open_advanced()
    for name, value in values.items():
        expect(person.field(name)).to_have_value(str(value))


def use(person: Visitor, part: str) -> None:
    person.choose(1)
    person.page.locator(".watch .menu-holder .more").click()
    person.page.get_by_role("menuitem", name=part, exact=True).click()


@pytest.mark.parametrize("width", [1280, 390])
def test_everything_comes_back_into_the_form(width: int, visit: Visit) -> None:
    person = visit(width=width)
    person.reuse(1)
    expect_values(person, **RAN)
    expect(person.word()).to_have_text("Filled in from picture 1.")


def test_a_part_of_a_picture_leaves_the_rest_of_the_form_alone(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="mine", seed=5, steps=3, width=512, height=512)
    use(person, "Seed only")
    expect_values(person, seed=RAN["seed"], prompt="mine", steps=3, width=512)
    use(person, "Size only")
    expect_values(person, width=384, height=256, prompt="mine", steps=3)
    use(person, "Prompt only")
    expect_values(person, prompt=RAN["prompt"], negative_prompt="rain", steps=3)
    person.fill(seed=5)
    use(person, "Everything but the seed")
    expect_values(person, **(RAN | {"seed": 5}))


def test_a_seed_leaves_lines_that_are_prompts_of_their_own_and_a_prompt_is_one(visit: Visit) -> None:
    person = visit()
    lines = person.page.locator(".batch .lines input")
    person.fill(prompt="a red house\na blue house")
    lines.check()
    use(person, "Seed only")
    expect_values(person, seed=RAN["seed"])
    expect(lines).to_be_checked()
    expect(person.page.locator(".batch .pictures")).to_have_text("This makes 2 pictures.")
    use(person, "Prompt only")
    expect_values(person, prompt=RAN["prompt"])
    person.page.reload()
    person.page.wait_for_function("window.darkroom?.form?.restored")
    assert person.page.evaluate("darkroom.form.read().lines") is not True


@pytest.mark.parametrize(("locale", "said"), [("en-GB", "Darkroom does not answer."), ("zh-CN", "Darkroom 没有回应")])
def test_where_nobody_answers_reuse_says_so_in_our_words(locale: str, said: str, visit: Visit) -> None:
    person = visit(locale=locale)
    person.page.route("**/api/reuse?*", lambda route: route.abort())
    person.reuse(1)
    expect(person.page.locator(".refusal")).to_contain_text(said)
    assert "Attempting" not in person.page.locator("body").inner_text()


def test_the_menu_is_used_by_keyboard(visit: Visit) -> None:
    person = visit()
    person.choose(1)
    more = person.page.locator(".watch .menu-holder .more")
    more.focus()
    person.page.keyboard.press("Enter")
    expect(person.page.get_by_role("menuitem", name="Everything", exact=True)).to_be_focused()
    person.page.keyboard.press("Escape")
    expect(more).to_be_focused()
    person.page.keyboard.press("Enter")
    person.page.keyboard.press("ArrowUp")
    person.page.keyboard.press("Enter")
    expect_values(person, width=384, height=256)


def test_a_link_opens_the_page_with_the_picture_and_its_parameters(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    person.fill(prompt="typed before")
    person.page.goto(f"{darkroom.address}/?picture=1")
    expect_values(person, **RAN)
    expect(person.page.locator(".watch .caption")).to_contain_text("#1 ")
    person.fill(prompt="typed after")
    person.page.reload()
    expect(person.field("prompt")).to_have_value("typed after")
    expect(person.field("seed")).to_have_value(str(RAN["seed"]))


def test_a_link_to_nothing_is_said(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    person.page.goto(f"{darkroom.address}/?picture=99")
    expect(person.page.locator(".refusal")).to_contain_text("This picture does not exist.")


def test_a_dropped_picture_of_forge_says_what_it_holds_and_what_cannot_be_used(visit: Visit, tmp_path: Path) -> None:
    person = visit(width=390)
    text = PngInfo()
    text.add_text("parameters", FORGE)
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "a.png", pnginfo=text)
    content = list((tmp_path / "a.png").read_bytes())
    person.page.evaluate(DROP, [content, "dragenter"])
    expect(person.page.locator(".drop-veil")).to_be_visible()
    person.page.evaluate(DROP, [content, "drop"])
    dialog = person.page.locator("dialog.reading")
    expect(dialog.locator("h2")).to_have_text("Made with Forge")
    expect(dialog.locator("li").filter(has_text="Sampler: DPM++ 2M")).to_be_visible()
    expect(dialog.locator(".all")).to_be_focused()
    assert findings(person) == []
    person.page.keyboard.press("Enter")
    expect_values(person, prompt="a red barn", negative_prompt="people", seed=42, steps=20, guidance=3)
    expect(person.page.locator(".refusal")).to_contain_text("Allowed: 256 to 512 pixels")
    expect_values(person, width=512, height=512)
    assert person.sideways() == 0


def test_a_chosen_file_of_ours_fills_in_everything(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit(locale="zh-CN")
    file = darkroom.history / person.ask("/api/pictures/1")["rows"][-1][1]
    before = sorted(path for path in darkroom.history.rglob("*") if path.is_file())
    person.open_history()
    with person.page.expect_file_chooser() as chooser:
        person.page.locator(".filter.read").click()
    chooser.value.set_files(file)
    person.page.locator("dialog.reading .all").click()
    expect_values(person, **RAN)
    assert sorted(path for path in darkroom.history.rglob("*") if path.is_file()) == before


def test_a_file_that_says_nothing_is_said(visit: Visit) -> None:
    person = visit()
    person.page.evaluate(DROP, [[1, 2, 3], "drop"])
    expect(person.word()).to_contain_text("does not say how it was made")
