"""Earlier prompts by the arrow keys: from the first line that is seen, and back, with nothing lost that was typed."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

LONG = "a harbour in the morning with many small boats, fishermen, nets and gulls " * 3
TWO_LINES = "first line\nsecond line"

darkroom = stocked([{"prompt": prompt} for prompt in ("the oldest", TWO_LINES, LONG)])


def put_caret(person: Visitor, place: int) -> None:
    person.field("prompt").evaluate("(field, place) => field.setSelectionRange(place, place)", place)


def caret(person: Visitor) -> int:
    place: int = person.field("prompt").evaluate("field => field.selectionStart")
    return place


def press(person: Visitor, *keys: str) -> None:
    for key in keys:
        person.page.keyboard.press(key)


def test_up_recalls_from_anywhere_in_the_first_line_and_down_leads_back(visit: Visit) -> None:
    person = visit()
    prompt = person.field("prompt")
    prompt.fill("what I was writing")
    put_caret(person, 8)
    for key, text in (
        ("ArrowUp", LONG),
        ("ArrowUp", TWO_LINES),
        ("ArrowUp", "the oldest"),
        ("ArrowUp", "the oldest"),
        ("ArrowDown", TWO_LINES),
        ("ArrowDown", LONG),
        ("ArrowDown", "what I was writing"),
    ):
        press(person, key)
        expect(prompt).to_have_value(text)
    press(person, "ArrowDown")
    expect(prompt).to_have_value("what I was writing")


@pytest.mark.parametrize("width", [1280, 390])
def test_inside_a_wrapped_prompt_the_arrows_move_the_caret(width: int, visit: Visit) -> None:
    person = visit(width=width)
    prompt = person.field("prompt")
    mine = "a long one of my own " * 12
    prompt.fill(mine)
    put_caret(person, len(mine))
    before = caret(person)
    press(person, "ArrowUp")
    assert caret(person) < before
    expect(prompt).to_have_value(mine)
    put_caret(person, 3)
    press(person, "ArrowUp")
    expect(prompt).to_have_value(LONG)
    put_caret(person, len(LONG) // 2)
    press(person, "ArrowDown")
    expect(prompt).to_have_value(LONG)
    put_caret(person, len(LONG))
    press(person, "ArrowDown")
    expect(prompt).to_have_value(mine)


def test_what_was_typed_over_an_earlier_prompt_is_kept_and_so_is_what_was_typed_before(visit: Visit) -> None:
    person = visit()
    prompt = person.field("prompt")
    prompt.fill("my draft")
    press(person, "ArrowUp")
    expect(prompt).to_have_value(LONG)
    prompt.fill("changed while leafing")
    put_caret(person, 0)
    press(person, "ArrowUp")
    expect(prompt).to_have_value(TWO_LINES)
    press(person, "ArrowDown")
    expect(prompt).to_have_value("changed while leafing")
    put_caret(person, 0)
    press(person, "ArrowDown")
    expect(prompt).to_have_value("my draft")
    press(person, "ArrowUp")
    expect(prompt).to_have_value("changed while leafing")


def test_what_was_typed_is_still_found_after_an_example_took_its_place(visit: Visit) -> None:
    person = visit()
    prompt = person.field("prompt")
    prompt.fill("my draft")
    person.page.route(
        "**/api/jobs?*", lambda route: route.abort() if route.request.method == "POST" else route.fallback()
    )
    # There are pictures here already, so that the examples are not offered.
    person.page.evaluate("document.querySelector('.examples button').click()")
    expect(prompt).not_to_have_value("my draft")
    prompt.focus()
    put_caret(person, 0)
    press(person, "ArrowUp")
    expect(prompt).to_have_value("my draft")


def test_a_draft_is_still_found_after_another_prompt_was_sent(visit: Visit) -> None:
    person = visit()
    prompt = person.field("prompt")
    prompt.fill("my draft")
    press(person, "ArrowUp")
    expect(prompt).to_have_value(LONG)
    person.page.route(
        "**/api/jobs?*", lambda route: route.fulfill(status=422, json={"words": "Not now.", "problems": []})
    )
    press(person, "Control+Enter")
    expect(person.page.locator(".refusal strong")).not_to_be_empty()
    put_caret(person, 0)
    press(person, "ArrowUp")
    expect(prompt).to_have_value("my draft")
