"""The form as a person uses it: everything that is chosen before a picture is made. No picture is made here."""

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import pictureless
from tests.browser.server import DarkroomServer
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

LONG = "a lighthouse on a rocky coast, " * 30

darkroom = pictureless


def chosen(person: Visitor, group: str) -> Locator:
    return person.page.locator(f"{group} input:checked")


def choose(person: Visitor, group: str, name: str) -> None:
    person.page.locator(group).get_by_text(name, exact=True).click()


def test_the_prompt_is_counted_and_what_is_not_read_is_pale_and_said(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="a lighthouse")
    expect(person.page.locator(".tokens")).to_contain_text(re.compile(r"^\d+ / 96 tokens$"))
    expect(person.page.locator(".unread")).to_be_hidden()
    height = person.field("prompt").bounding_box()
    person.fill(prompt=LONG)
    said = re.compile(r"From “.+” on nothing is read: \d+ tokens too many")
    expect(person.page.locator(".unread")).to_contain_text(said)
    assert (person.field("prompt").bounding_box() or {})["height"] > (height or {})["height"]
    pale = person.page.locator(".glass s").inner_text()
    assert LONG.rstrip().endswith(pale.rstrip("\u200b ").strip())
    person.page.get_by_role("button", name="Show").click()
    selected = person.page.evaluate("document.activeElement.value.slice(document.activeElement.selectionStart)")
    assert selected == LONG[-len(selected) :]
    assert 0 < len(selected) < len(LONG)


def test_syntax_of_other_tools_is_pointed_out_where_it_stands(visit: Visit) -> None:
    person = visit(locale="zh-CN", width=390)
    person.fill(prompt="a (red:1.3) barn BREAK a pond")
    expect(person.page.locator(".notes li")).to_have_count(2)
    expect(person.page.locator(".notes")).to_contain_text("FLUX 会把括号和权重当作普通文字读取")
    expect(person.page.locator(".glass u")).to_have_text(["(red:1.3)", "BREAK"])
    person.page.locator(".notes .piece").nth(1).click()
    assert person.page.evaluate("getSelection().toString()") == "BREAK"
    assert person.sideways() == 0


def test_presets_set_steps_and_guidance_and_other_figures_are_custom(visit: Visit) -> None:
    person = visit()
    expect(chosen(person, "#presets")).to_have_value("standard")
    choose(person, "#presets", "Fine")
    expect(person.field("steps")).to_have_value("20")
    person.fill(steps=13)
    expect(chosen(person, "#presets")).to_have_value("custom")
    choose(person, "#presets", "Fast")
    expect(person.field("steps")).to_have_value("4")
    expect(chosen(person, "#presets")).to_have_value("fast")


def test_a_handle_moves_a_number_and_never_repairs_what_was_typed(visit: Visit) -> None:
    person = visit()
    handle = person.page.get_by_role("slider", name="Steps")
    handle.focus()
    handle.press("ArrowRight")
    expect(person.field("steps")).to_have_value("9")
    person.fill(steps=500)
    expect(person.page.locator(".figure .wrong").first).to_contain_text("Steps: 500 is not possible.")
    expect(person.field("steps")).to_have_value("500")
    expect(person.field("steps")).to_have_attribute("aria-invalid", "true")


def test_shapes_fill_both_sides_and_a_typed_size_is_no_shape(visit: Visit) -> None:
    person = visit()
    expect(chosen(person, "#shape")).to_have_value("square")
    choose(person, "#shape", "Portrait")
    expect(person.field("width")).to_have_value("384")
    expect(chosen(person, "#shape")).to_have_value("portrait")
    person.fill(height=256)
    expect(chosen(person, "#shape")).to_have_count(0)
    expect(person.page.locator("#size-said")).to_contain_text("0.10 megapixels")


def test_sides_are_swapped_and_their_proportions_kept(visit: Visit) -> None:
    person = visit()
    person.fill(width=512, height=256)
    person.page.get_by_role("button", name="Swap width and height").click()
    expect(person.field("width")).to_have_value("256")
    expect(person.field("height")).to_have_value("512")
    person.page.get_by_role("button", name="Keep the proportions").click()
    person.page.get_by_role("button", name="Swap width and height").click()
    person.fill(width=512)
    expect(person.field("height")).to_have_value("256")
    person.fill(width=320)
    expect(person.field("height")).to_have_value("256")  # 160 is less than the model can make


def test_a_seed_is_new_each_time_or_kept(visit: Visit) -> None:
    person = visit()
    expect(person.page.locator("#random-seed")).to_have_attribute("aria-pressed", "true")
    person.page.locator("#keep-seed").click()
    expect(person.field("seed")).to_have_value(re.compile(r"^\d+$"))
    expect(person.page.locator("#keep-seed")).to_have_attribute("aria-pressed", "true")
    person.page.locator("#random-seed").click()
    expect(person.field("seed")).to_have_value("-1")
    expect(person.page.locator("#last-seed")).to_be_disabled()
    person.fill(seed=7)
    expect(person.page.locator("#keep-seed")).to_have_attribute("aria-pressed", "true")


def test_keep_makes_a_seed_of_whatever_is_none(visit: Visit) -> None:
    person = visit()
    for nothing in ("", "2.5", "-7", "4294967296"):
        person.fill(seed=nothing)
        person.page.locator("#keep-seed").click()
        expect(person.field("seed")).to_have_value(re.compile(r"^\d+$"))
        assert 0 <= int(person.field("seed").input_value()) < 2**32
        expect(person.page.locator("#keep-seed")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("wrong", ["501", "0", "2.5", ""])
def test_a_wrong_number_of_pictures_is_said_in_words(wrong: str, visit: Visit) -> None:
    person = visit()
    said = person.page.locator(".batch .pictures")
    person.fill(prompt="a pond", count=wrong)
    expect(said).to_have_text(re.compile(r"^Number of pictures.* Allowed: a whole number from 1 to 500\.$"))
    expect(said).to_have_class(re.compile("wrong"))
    person.fill(count=2)
    expect(said).to_have_text("This makes 2 pictures.")
    # A model that is gone has no place of its own on the page.
    person.page.evaluate("darkroom.form.set('model', 'gone')")
    expect(said).to_have_text("Model: gone is not possible. Allowed: one of Darkroom demo.")


def test_the_rest_of_the_form_unfolds_where_the_browser_keeps_nothing(visit: Visit) -> None:
    person = visit()
    person.page.add_init_script(
        """for (const name of ["getItem", "setItem"]) {
            Storage.prototype[name] = () => { throw new DOMException("forbidden", "SecurityError"); };
        }"""
    )
    person.open()
    button = person.page.locator("#fold-advanced button")
    for state in ("true", "false", "true"):
        button.click()
        expect(button).to_have_attribute("aria-expanded", state)
    expect(person.field("negative_prompt")).to_be_visible()


def test_styles_are_put_in_as_text_and_undone_as_text(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="a fox")
    person.page.get_by_role("button", name="Styles").click()
    person.page.get_by_role("button", name="Ink 水墨").click()
    expect(person.field("prompt")).to_have_value("an ink and wash drawing of a fox, pen and ink")
    person.page.get_by_role("button", name="Snow 雪景").click()
    expect(person.field("prompt")).to_have_value(re.compile("pen and ink, in the snow"))
    person.page.keyboard.press("Escape")
    person.field("prompt").focus()
    person.page.keyboard.press("Control+z")
    expect(person.field("prompt")).to_have_value("an ink and wash drawing of a fox, pen and ink")


def test_a_style_of_ones_own_is_kept_changed_removed_and_brought_back(visit: Visit) -> None:
    person = visit()
    sheet = person.page.locator("#styles")
    person.fill(prompt="{prompt}, thin mist")
    person.page.get_by_role("button", name="Styles").click()
    sheet.get_by_role("button", name="Save the prompt as a style").click()
    sheet.get_by_role("button", name="Save").click()
    expect(sheet.locator(".edit .wrong")).to_contain_text("Name of the style is empty")
    sheet.get_by_label("Name of the style").fill("Mist")
    sheet.get_by_role("button", name="Save").click()
    expect(sheet.get_by_role("button", name="Mist")).to_be_visible()
    sheet.get_by_role("button", name="Manage").click()
    sheet.get_by_role("button", name="Change: Mist").click()
    sheet.get_by_label("Name of the style").fill("Thin mist")
    sheet.get_by_role("button", name="Save").click()
    sheet.get_by_role("button", name="Remove: Thin mist").click()
    expect(sheet.locator(".said")).to_contain_text("“Thin mist” was removed.")
    expect(sheet.locator(".managing .name", has_text="Thin mist")).to_have_count(0)
    sheet.get_by_role("button", name="Undo").click()
    expect(sheet.locator(".managing .name", has_text="Thin mist")).to_have_count(1)
    expect(sheet.get_by_role("button", name="Remove: Thin mist")).to_be_focused()
    sheet.get_by_role("button", name="Change: Thin mist").click()
    sheet.get_by_label("Prompt of the style", exact=True).fill(" ")
    sheet.get_by_role("button", name="Save").click()
    expect(sheet.locator(".edit .wrong")).to_contain_text("words here or in the negative prompt")


def test_removing_styles_by_keyboard_goes_on_in_the_list(visit: Visit) -> None:
    person = visit()
    sheet = person.page.locator("#styles")
    person.page.get_by_role("button", name="Styles").click()
    sheet.get_by_role("button", name="Manage").click()
    names = sheet.locator(".managing .name").all_inner_texts()
    # What is brought back comes last.
    for name, beside in ((names[1], names[2]), (names[1], names[-1])):
        sheet.get_by_role("button", name=f"Remove: {name}").press("Enter")
        expect(sheet.get_by_role("button", name=f"Remove: {beside}")).to_be_focused()
        sheet.get_by_role("button", name="Undo").press("Enter")
        expect(sheet.get_by_role("button", name=f"Remove: {name}")).to_be_focused()


@pytest.mark.parametrize(
    ("locale", "said", "name"),
    [("en-GB", "Darkroom does not answer. Try again in a moment.", "Manage"), ("zh-CN", "没有回应", "管理")],
)
def test_without_an_answer_the_sheet_of_styles_says_so(locale: str, said: str, name: str, visit: Visit) -> None:
    person = visit(locale=locale)
    person.page.route("**/api/styles?*", lambda route: route.abort())
    person.page.locator(".under-prompt .styles").click()
    expect(person.page.locator("#styles .said")).to_contain_text(said)
    expect(person.page.locator("#styles .manage")).to_have_text(name)
    expect(person.page.locator("#styles .nothing")).to_be_hidden()
    person.page.unroute("**/api/styles?*")
    person.page.keyboard.press("Escape")
    person.page.locator(".under-prompt .styles").click()
    expect(person.page.locator("#styles .pick").first).to_be_visible()
    expect(person.page.locator("#styles .said")).to_be_hidden()


def test_where_each_line_is_a_prompt_a_style_goes_around_each(visit: Visit) -> None:
    person = visit()
    person.fill(prompt="a fox\na pond")
    person.page.locator(".batch .lines input").check()
    person.page.get_by_role("button", name="Styles").click()
    person.page.get_by_role("button", name="Snow 雪景").click()
    expect(person.field("prompt")).to_have_value(re.compile("^a fox, in the snow.*\na pond, in the snow"))


def test_a_dropped_styles_csv_is_imported_and_said(visit: Visit) -> None:
    person = visit(locale="zh-CN", width=390)
    person.page.evaluate(
        """text => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([text], "styles.csv", { type: "text/csv" }));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        "name,prompt,negative_prompt\nFog,thick fog,sun\nInk 水墨,x,\n",
    )
    said = person.page.locator("#styles .said")
    expect(said).to_contain_text("已添加 1 个风格。")
    expect(said).to_contain_text("已有同名风格。")
    person.page.get_by_role("button", name="Fog").click()
    expect(person.field("prompt")).to_have_value("thick fog")
    assert person.values()["negative_prompt"] == "sun"


def test_form_theme_and_layout_survive_a_reload_and_a_restart(visit: Visit, darkroom: DarkroomServer) -> None:
    person = visit()
    person.open_advanced()
    person.fill(prompt="kept 🙂", negative_prompt="fog", seed=5, steps=7, cfg_scale=2, width=384, count=3)
    person.page.get_by_role("button", name="Dark", exact=True).click()
    before = person.values()
    darkroom.stop()
    darkroom.start()
    person.open()
    expect(person.field("negative_prompt")).to_be_visible()
    assert person.values() == before
    expect(person.field("count")).to_have_value("3")
    expect(person.page.locator("body")).to_have_class(re.compile(r"\bdark\b"))
    person.page.get_by_role("button", name="Light", exact=True).click()
    expect(person.page.locator("body")).not_to_have_class(re.compile(r"\bdark\b"))


def test_the_theme_follows_the_system_until_someone_chooses(visit: Visit) -> None:
    person = visit()
    person.page.emulate_media(color_scheme="dark")
    expect(person.page.locator("body")).to_have_class(re.compile(r"\bdark\b"))
    person.page.get_by_role("button", name="Light", exact=True).click()
    expect(person.page.locator("body")).not_to_have_class(re.compile(r"\bdark\b"))
    person.page.get_by_role("button", name="As the system").click()
    expect(person.page.locator("body")).to_have_class(re.compile(r"\bdark\b"))


def test_shortcuts_are_on_a_sheet_and_work(visit: Visit) -> None:
    person = visit()
    sheet = person.page.locator("dialog.help")
    person.field("prompt").press("?")
    expect(sheet).to_be_hidden()
    expect(person.field("prompt")).to_have_value("?")
    person.field("prompt").blur()
    person.page.keyboard.press("?")
    expect(sheet).to_be_visible()
    person.page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    person.page.keyboard.press("/")
    expect(person.page.locator("#history input[type=search]")).to_be_focused()


def test_everything_in_the_form_is_reached_by_the_keyboard_in_order(visit: Visit) -> None:
    person = visit()
    person.open_advanced()
    person.field("prompt").focus()
    reached: list[str] = []
    for _ in range(32):
        person.page.keyboard.press("Tab")
        reached.append(
            person.page.evaluate(
                "(e => e.closest('#controls') && (e.name || e.id || e.closest('[id]').id))(document.activeElement)"
            )
        )
    order = ["generate", "count", "preset", "steps", "guidance", "shape", "width", "height", "seed", "random-seed"]
    order += ["keep-seed", "unfold-advanced", "cfg_scale", "negative_prompt"]
    assert set(order) <= set(reached), reached
    places = [reached.index(name) for name in order]
    assert places == sorted(places), reached
