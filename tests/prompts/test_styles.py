"""Styles: what they do to a prompt, and how they are kept."""

import random
import threading
from pathlib import Path

import pytest
import yaml

from darkroom.errors import HistoryUnusable, InvalidRequest, NotFound, StylesUnusable
from darkroom.prompts.styles import MOST_STYLES, Style, StyleBook, apply, apply_negative, make_style, shipped_styles
from darkroom.request import LONGEST_PROMPT


@pytest.fixture
def book(tmp_path: Path) -> StyleBook:
    return StyleBook(tmp_path / "styles.yaml")


INK = Style(name="Ink", prompt="an ink drawing of {prompt}, in ink", negative_prompt="colour")
SNOW = Style(name="Snow", prompt="in the snow", negative_prompt="summer")
PLAIN = Style(name="Plain")


@pytest.mark.parametrize(
    ("styles", "prompt", "whole"),
    [
        ((), "a cat, ", "a cat, "),
        ((SNOW,), "a cat", "a cat, in the snow"),
        ((SNOW,), "a cat,  ", "a cat, in the snow"),
        ((SNOW,), "一只猫，", "一只猫, in the snow"),
        ((SNOW,), "  ", "in the snow"),
        ((INK,), "a cat ", "an ink drawing of a cat, in ink"),
        ((INK, SNOW), "a cat", "an ink drawing of a cat, in ink, in the snow"),
        ((SNOW, INK), "a cat", "an ink drawing of a cat, in the snow, in ink"),
        ((PLAIN,), "a cat ", "a cat "),
        ((Style(name="Twice", prompt="{prompt} and {prompt}"),), "a {prompt}", "a {prompt} and a {prompt}"),
    ],
)
def test_a_style_goes_around_the_prompt_or_after_it(styles: tuple[Style, ...], prompt: str, whole: str) -> None:
    assert apply(styles, prompt) == whole


def test_negative_prompts_are_joined_in_the_same_way() -> None:
    assert apply_negative((INK, PLAIN, SNOW), "rain") == "rain, colour, summer"


def test_without_a_file_the_shipped_styles_are_there_and_nothing_is_written(book: StyleBook, tmp_path: Path) -> None:
    assert book.styles() == shipped_styles()
    assert len(shipped_styles()) >= 5
    assert list(tmp_path.iterdir()) == []


def test_every_shipped_style_has_a_name_in_both_languages_and_keeps_the_prompt() -> None:
    for style in shipped_styles():
        english, chinese = style.name.rsplit(" ", 1)
        assert english.isascii()
        assert not any(letter.isascii() for letter in chinese)
        assert "a red house" in apply((style,), "a red house")


def test_styles_are_added_changed_and_removed_and_the_others_stay_in_order(book: StyleBook, tmp_path: Path) -> None:
    before = book.styles()
    book.add(INK)
    assert StyleBook(tmp_path / "styles.yaml").styles() == (*before, INK)
    changed = Style(name="Ink drawing", prompt="in ink")
    book.change("Ink", changed)
    assert book.get("Ink drawing") == changed
    book.remove(before[0].name)
    assert book.styles() == (*before[1:], changed)


def test_a_shipped_style_that_was_removed_stays_away(book: StyleBook) -> None:
    for style in shipped_styles():
        book.remove(style.name)
    assert book.styles() == ()


def test_a_name_is_given_once(book: StyleBook) -> None:
    book.add(INK)
    book.add(SNOW)
    with pytest.raises(InvalidRequest, match=r"style\.name is Ink; allowed: a name that no other style has"):
        book.add(Style(name="Ink", prompt="other"))
    with pytest.raises(InvalidRequest, match=r"style\.name is Ink"):
        book.change("Snow", Style(name="Ink", prompt="other"))
    book.change("Snow", SNOW.model_copy(update={"prompt": "much snow"}))
    assert book.get("Snow").prompt == "much snow"


def test_a_style_that_does_not_exist_is_named(book: StyleBook) -> None:
    for act in (book.get, book.remove, lambda name: book.change(name, INK)):
        with pytest.raises(NotFound, match="There is no style Nothing"):
            act("Nothing")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "style.name is missing; allowed: a value"),
        ({"name": ""}, "style.name is ; allowed: at least 1 character"),
        ({"name": "x" * 101}, "allowed: at most 100 characters"),
        ({"name": " x"}, "style.name is  x; allowed: one line of text without spaces around it"),
        ({"name": "a\nb"}, "allowed: one line of text"),
        ({"name": 5}, "style.name is 5; allowed: text"),
        ({"name": "x", "prompt": "y" * (LONGEST_PROMPT + 1)}, "style.prompt is yyy"),
        ({"name": "x", "negative_prompt": "a\x00"}, "style.negative_prompt is "),
        ({"name": "x", "surprise": 1}, "style.surprise is 1; allowed: no such field"),
    ],
)
def test_what_is_wrong_with_a_style_is_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_style(values)
    assert words in str(refused.value)


def test_a_style_without_words_is_refused_and_one_in_the_file_is_left_alone(book: StyleBook, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"style\.prompt is ; allowed: words here"):
        book.add(PLAIN)
    with pytest.raises(InvalidRequest, match=r"style\.prompt is ; allowed: words here"):
        book.change(book.styles()[0].name, PLAIN)
    (tmp_path / "styles.yaml").write_text("- name: Plain\n", "utf-8")
    assert book.styles() == (PLAIN,)


def test_each_line_can_have_the_style_and_stays_one_line() -> None:
    tall = Style(name="Tall", prompt="{prompt},\n  tall")
    assert apply((tall, SNOW), "a cat\n \na dog ", each_line=True) == (
        "a cat, tall, in the snow\n \na dog, tall, in the snow"
    )
    assert apply((SNOW,), "", each_line=True) == "in the snow"


def test_any_allowed_text_comes_back_from_the_file_as_it_was(book: StyleBook) -> None:
    rng = random.Random(5)
    letters = "ab:#-'\"{}[]|>&*!%@`,? \n\t\r\\红🦄\u0301\u0085\u2028\u200f\ufeff\u00a0~012.eyno"
    styles = [
        Style(name=f"{number} 名", prompt="".join(rng.choices(letters, k=rng.randint(0, 30))), negative_prompt="x")
        for number in range(200)
    ]
    for style in styles[:3]:
        book.add(style)
    book.change("0 名", styles[0])
    for style in styles[3:]:
        book.change("2 名", style.model_copy(update={"name": "2 名"}))
        assert book.get("2 名").prompt == style.prompt


def test_the_file_can_be_read_and_written_by_a_person(book: StyleBook, tmp_path: Path) -> None:
    book.add(Style(name="水彩", prompt="水彩画，{prompt}"))
    text = (tmp_path / "styles.yaml").read_text("utf-8")
    assert text.startswith("#")
    assert "- name: 水彩\n  prompt: 水彩画，{prompt}\n" in text
    (tmp_path / "styles.yaml").write_text("\ufeff- name: Mine\n  prompt: mine\n  negative_prompt:\n", "utf-8")
    assert book.styles() == (Style(name="Mine", prompt="mine"),)
    (tmp_path / "styles.yaml").write_text("# nothing\n", "utf-8")
    assert book.styles() == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"- name: [", "line "),
        (b"- name: a\n  prompt: x: y\n", "line 2: "),
        (b"name: a", "it is not a list of styles"),
        (b"- only words", "style 1 is only words"),
        (b"- 5: x", "style 1 is {5: 'x'}"),
        (b"- name: a\n- prompt: b", "style 2: style.name is missing"),
        (b"- name: 5", "style 1: style.name is 5; allowed: text"),
        (b"- name: a\n  promt: b", "style 1: style.promt is b; allowed: no such field"),
        (b"- name: a\n- name: a", "two styles are called a"),
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
        (b"- name: \x01", "styles.yaml cannot be used"),
        (b"[" * 5_000, "styles.yaml cannot be used"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_and_the_file_is_not_touched(
    content: bytes, words: str, book: StyleBook, tmp_path: Path
) -> None:
    file = tmp_path / "styles.yaml"
    file.write_bytes(content)
    for act in (book.styles, lambda: book.add(INK), lambda: book.import_file(b"name,prompt\na,b")):
        with pytest.raises(StylesUnusable) as refused:
            act()
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)
    assert file.read_bytes() == content


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    def add(start: int) -> None:
        book = StyleBook(tmp_path / "styles.yaml")
        for number in range(start, start + 8):
            book.add(Style(name=str(number), prompt="x"))

    writers = [threading.Thread(target=add, args=(start,)) for start in (0, 100, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(StyleBook(tmp_path / "styles.yaml").styles()) == len(shipped_styles()) + 24


def test_a_folder_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("a file, not a folder", "utf-8")
    book = StyleBook(tmp_path / "history" / "styles.yaml")
    with pytest.raises((HistoryUnusable, StylesUnusable)):
        book.add(INK)


def test_there_is_an_end_to_how_many_styles_there_may_be(book: StyleBook, tmp_path: Path) -> None:
    many = [{"name": str(number)} for number in range(MOST_STYLES)]
    (tmp_path / "styles.yaml").write_text(yaml.safe_dump(many), "utf-8")
    with pytest.raises(InvalidRequest, match="styles is 5001; allowed: at most 5000"):
        book.add(INK)
    report = book.import_file(b"name,prompt\nnew,a")
    assert [(each.name, each.reason) for each in report.skipped] == [("new", "too_many")]
