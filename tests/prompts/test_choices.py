"""Choices in braces."""

import random

import pytest

from darkroom.prompts.choices import count_of, prompts_of, written_for


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("a {red|green|blue} door", ["a red door", "a green door", "a blue door"]),
        ("{a|b}{1|2}", ["a1", "a2", "b1", "b2"]),
        ("{a|{b|c} d}", ["a", "b d", "c d"]),
        ("a{, at night|}", ["a, at night", "a"]),
        ("{红色|蓝色}的房子", ["红色的房子", "蓝色的房子"]),
        ("{x {a|b}}", ["{x a}", "{x b}"]),
        ("{a|b", ["{a|b"]),
        ("a|b}", ["a|b}"]),
        ("}{a|b}{", ["}a{", "}b{"]),
        ("{a}", ["{a}"]),
        ("{}", ["{}"]),
        ("", [""]),
        ('{"a": 1|2}', ['{"a": 1|2}']),
        (r"\{a|b\}", ["{a|b}"]),
        (r"\{a|b}", ["{a|b}"]),
        (r"\{a\}", [r"\{a\}"]),
        (r"\frac{a}{b}", [r"\frac{a}{b}"]),
        (r"{a\|b|c}", ["a|b", "c"]),
        (r"{a|\}}", ["a", "}"]),
        ("{a|\\", ["{a|\\"]),
        ("{a|b {c|d}", ["{a|b c", "{a|b d"]),
    ],
)
def test_each_choice_is_a_prompt(prompt: str, prompts: list[str]) -> None:
    assert list(prompts_of(prompt)) == prompts
    assert count_of(prompt) == len(prompts)


def test_the_number_is_known_without_making_them() -> None:
    assert count_of("{a|b}" * 200) == 2**200


def test_braces_however_deep_end_no_program() -> None:
    for prompt in ("{" * 5000, "{|" * 3000 + "}" * 3000, "}" * 5000, "|" * 5000, "{a|b}" * 2000):
        assert count_of(prompt) >= 1


def test_the_number_and_the_prompts_agree_whatever_is_written() -> None:
    rng = random.Random(20_26)
    for _ in range(3000):
        prompt = "".join(rng.choices(["{", "}", "|", "\\", "a", " ", '":', "夜"], k=rng.randint(0, 14)))
        assert len(prompts_of(prompt)) == count_of(prompt), prompt


def test_any_prompt_can_be_written_so_that_it_stands_for_itself() -> None:
    rng = random.Random(7)
    for _ in range(3000):
        prompt = "".join(rng.choices(["{", "}", "|", "a", " ", '":', "夜"], k=rng.randint(0, 14)))
        assert prompts_of(written_for(prompt)) == (prompt,), prompt
        prompt = prompt.replace("a", "\\")
        assert count_of(written_for(prompt)) == 1, prompt
