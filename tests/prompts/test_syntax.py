"""Other tools' syntax is found, ordinary prose is not."""

import random

import pytest

from darkroom.prompts.syntax import KINDS, find_foreign_syntax
from darkroom.request import LONGEST_PROMPT


def found(prompt: str) -> list[tuple[str, str]]:
    return [(finding.text, finding.kind) for finding in find_foreign_syntax(prompt)]


@pytest.mark.parametrize(
    ("prompt", "text", "kind"),
    [
        ("a (red:1.2) house", "(red:1.2)", "weight"),
        ("a (red house : 0.8 ) by a lake", "(red house : 0.8 )", "weight"),
        ("(masterpiece:2), a cat", "(masterpiece:2)", "weight"),
        ("(2girls:1.3)", "(2girls:1.3)", "weight"),
        ("(year 1920:1.2)", "(year 1920:1.2)", "weight"),
        ("(house:.5)", "(house:.5)", "weight"),
        ("(bad:-1)", "(bad:-1)", "weight"),
        ("(a (red) house:1.2)", "(a (red) house:1.2)", "weight"),
        ("（红色的房子：1.2），雪", "（红色的房子：1.2）", "weight"),
        ("(红色:1.3)的房子", "(红色:1.3)", "weight"),
        ("((red)) house", "((red))", "weight"),
        ("(((best quality))), a cat", "(((best quality)))", "weight"),
        ("( (red) ) house", "( (red) )", "weight"),
        ("((red:1.4))", "((red:1.4))", "weight"),
        ("{{masterpiece}}, a cat", "{{masterpiece}}", "weight"),
        ("a [blurry] house", "[blurry]", "weight"),
        ("[[bad hands]], a cat", "[[bad hands]]", "weight"),
        ("[out of focus]", "[out of focus]", "weight"),
        ("房子，[模糊]，雪", "[模糊]", "weight"),
        ("(red house)++ by a lake", "(red house)++", "weight"),
        ("(red house)+, a lake", "(red house)+", "weight"),
        ("(red house)--, a lake", "(red house)--", "weight"),
        ("(red house)1.4 by a lake", "(red house)1.4", "weight"),
        ("a [cat:dog:0.5] runs", "[cat:dog:0.5]", "schedule"),
        ("a [dog:0.5] runs", "[dog:0.5]", "schedule"),
        ("a [cat::0.5] runs", "[cat::0.5]", "schedule"),
        ("a [cat:dog:10] runs", "[cat:dog:10]", "schedule"),
        ("a [(cat:1.2):dog:.5] runs", "[(cat:1.2):dog:.5]", "schedule"),
        ("a [cat|dog] runs", "[cat|dog]", "schedule"),
        ("a cat BREAK a house", "BREAK", "break"),
        ("a cat,\nBREAK\na house", "BREAK", "break"),
        ("a cat,BREAK,a house", "BREAK", "break"),
        ("8K BREAK a house", "BREAK", "break"),
        ("一只猫 BREAK 一座房子", "BREAK", "break"),
        ("a cat AND a dog", "AND", "and"),
        ("<hypernet:paint:1>", "<hypernet:paint:1>", "hypernet"),
        ("a cat <Hypernet: 水彩:0.8>", "<Hypernet: 水彩:0.8>", "hypernet"),
        ("bad, embedding:easynegative.pt, dog", "embedding:easynegative.pt", "embedding"),
        ("(embedding:bad-hands:1.2)", "(embedding:bad-hands:1.2)", "weight"),
        ("a {red|blue} house", "{red|blue}", "choice"),
        ("a {2$$red|blue|green} house", "{2$$red|blue|green}", "choice"),
        ("a {red|{light|dark} blue} house", "{red|{light|dark} blue}", "choice"),
        ("一座{红色|蓝色}的房子", "{红色|蓝色}", "choice"),
        ("a __colour__ house", "__colour__", "wildcard"),
        ("__clothes/winter-hats__, a cat", "__clothes/winter-hats__", "wildcard"),
    ],
)
def test_other_tools_syntax_is_found_where_it_stands(prompt: str, text: str, kind: str) -> None:
    assert found(prompt) == [(text, kind)]


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a red house by a lake at night",
        "a house (red, with a blue door) by a lake",
        "a house (red) by a lake (frozen)",
        "一座房子（红色的），湖边（结冰）",
        "a poster (ratio 16:9)",
        "a photo (16:9)",
        "a clock (at 12:30) on the wall",
        "a clock (12:30:15)",
        "a map (scale 1:25000)",
        "a church window (John 3:16)",
        "a box (width: 30)",
        "(note: 15)",
        "two things ((one) and (two))",
        "a smile :) and another :-) ((",
        "f((x)) on a blackboard",
        "f(x)++ on a blackboard",
        "a (semi)-transparent veil",
        "a house (red)- and a tree",
        "C++ code on a screen",
        "a + b on a blackboard",
        "(1)2.5",
        "he said [sic] nothing",
        "the crowd [1] and the sky [23]",
        "[Scene 1] a house, [Scene 2] a lake",
        "a note [the house is red. the door is blue.]",
        "a note [one two three four five six]",
        "[a link](https://example.org)",
        "a[i] on a blackboard",
        "a clock [12:30] and [00:12.5]",
        "a clock [at 12:30]",
        "a button that says \"[ok]\"",
        "【红色的房子】，雪",
        "a sign that says \"SALT AND PEPPER\"",
        "a sign that says “BREAK”",
        "牌子上写着「BREAK」",
        "SALT AND PEPPER on a table",
        "A RED HOUSE AND A BLUE LAKE",
        "a poster of SPRING BREAK",
        "PRISON BREAK poster",
        "sand, android, breakfast, Break and bandana",
        "a BREAKDOWN, a R-AND-B singer, AND-gate",
        "x < lora and y > 2",
        "<b>bold</b>",
        "a word embedding: what is it",
        "{prompt}",
        "{a set}",
        '{"scene": "a house|a lake", "light": "night"}',
        "snake_case and __ and ____ and a__b__c",
        "ganyu \\(genshin impact\\), \\[x\\]",
        "(unclosed (twice",
        "closed) twice)",
        "((", "))", "[", "{|", "(:1.2", ":1.2)", "()", "(())", "[]", "[[]]", "{}", "(:)", "[|]",
    ],
)  # fmt: skip
def test_ordinary_prose_is_left_alone(prompt: str) -> None:
    assert found(prompt) == []


def test_many_findings_come_in_order() -> None:
    prompt = "(masterpiece:1.2), a [cat|dog] BREAK __place__ <hypernet:x:1>, {red|blue} embedding:y"
    assert [kind for _, kind in found(prompt)] == [
        "weight", "schedule", "break", "wildcard", "hypernet", "choice", "embedding",
    ]  # fmt: skip


def test_what_lies_inside_a_finding_is_not_found_again() -> None:
    assert found("{a (cat:1.2)|<lora:dog:1> BREAK [x]}") == [("{a (cat:1.2)|<lora:dog:1> BREAK [x]}", "choice")]


@pytest.mark.parametrize("tag", ["<lora:ink:0.7>", "<lora:a (v1:1.2) AND __b__:1>", "<lyco: 水彩 ：0.8>"])
def test_a_lora_in_the_prompt_is_no_foreign_syntax_nor_is_anything_in_it(tag: str) -> None:
    assert found(f"a cat {tag}") == []


def test_every_kind_can_be_found() -> None:
    prompt = "(a:1.2) [a|b] BREAK x AND y <hypernet:a:1> embedding:z {a|b} __c__"
    assert {kind for _, kind in found(prompt)} == set(KINDS)


def test_any_text_can_be_searched_and_findings_fit_the_text() -> None:
    rng = random.Random(3)
    pieces = [*'()[]{}|:\\a \n"红', "1.2", "BREAK", "AND", "__", "<lora:", ">", "++"]
    for _ in range(2_000):
        prompt = "".join(rng.choices(pieces, k=rng.randint(0, 40)))
        end = 0
        for finding in find_foreign_syntax(prompt):
            assert end <= finding.start < finding.end
            assert prompt[finding.start : finding.end] == finding.text
            end = finding.end


@pytest.mark.parametrize(
    "piece", ["(", "[", "{", "()", "((", "(a", "[a", "{a|", "__a", "<lora:", "(a:1", '"', "\\", "AND ", "(a)+"]
)
def test_the_longest_prompt_is_searched_to_its_end(piece: str) -> None:
    closing = {"(": ")", "[": "]", "{": "}"}
    half = piece * (LONGEST_PROMPT // 2 // len(piece))
    other_half = "".join(closing.get(letter, "") for letter in reversed(half))
    for prompt in (half + half, half + other_half):
        assert found(prompt + " __colour__")[-1][1] in KINDS
