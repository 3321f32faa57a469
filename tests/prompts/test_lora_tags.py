"""LoRAs that stand in a prompt are found, and the prompt reads as if they had never stood there."""

import random

import pytest

from darkroom.prompts.lora_tags import find_lora_tags, without


def read(prompt: str) -> tuple[str, list[tuple[str, float | None]]]:
    tags = find_lora_tags(prompt)
    return without(prompt, tags), [(tag.name, tag.weight) for tag in tags]


@pytest.mark.parametrize(
    ("prompt", "left", "tags"),
    [
        ("a <lora:ink:0.7> house", "a house", [("ink", 0.7)]),
        ("a house <lora:ink:0.7>", "a house", [("ink", 0.7)]),
        ("a house, <lora:ink:0.7>", "a house", [("ink", 0.7)]),
        ("<lora:ink:0.7>, a house", "a house", [("ink", 0.7)]),
        ("a house, <lora:ink:0.7>, snow", "a house, snow", [("ink", 0.7)]),
        ("a house,<lora:ink>,snow", "a house, snow", [("ink", 1.0)]),
        ("a <lora:ink:0.7><lora:b:1> house", "a house", [("ink", 0.7), ("b", 1.0)]),
        ("a, <lora:x:1>, <lora:y:1>, b", "a, b", [("x", 1.0), ("y", 1.0)]),
        ("a house.\n<lora:ink:1>\nsnow", "a house.\n\nsnow", [("ink", 1.0)]),
        ("一座<lora：水墨：0.8>房子", "一座房子", [("水墨", 0.8)]),
        ("一座房子，<lora:水墨:0.8>。", "一座房子。", [("水墨", 0.8)]),
        ("a < LoRA : drawings/ink v2 : -.5 > house", "a house", [("drawings/ink v2", -0.5)]),
        ("(a <lora:x:+1>)", "(a)", [("x", 1.0)]),
        ("a <lyco:x:2.> b", "a b", [("x", 2.0)]),
        # Text encoders first, then the transformer: the latter counts.
        ("<lora:x:1:0.4>", "", [("x", 0.4)]),
        ("<lora:x:unet=0.3:te=1>", "", [("x", 0.3)]),
        ("<lora:x:0.3:lbw=OUTS>", "", [("x", None)]),
        ("<lora:x:strong>", "", [("x", None)]),
        ("<lora:x:nan>", "", [("x", None)]),
        ("<lora:x:1:1:1>", "", [("x", None)]),
        ("nothing here", "nothing here", []),
        ("<lora:>, <lora:\n>, <lora x:1>, lora:x:1", "<lora:>, <lora:\n>, <lora x:1>, lora:x:1", []),
    ],
)
def test_tags_are_taken_out_with_what_stood_there_for_their_sake(
    prompt: str, left: str, tags: list[tuple[str, float | None]]
) -> None:
    assert read(prompt) == (left, tags)


def test_only_those_that_are_meant_are_taken_out() -> None:
    prompt = "a <lora:known:1> and <lora:unknown:1> house"
    (known, _) = find_lora_tags(prompt)
    assert without(prompt, [known]) == "a and <lora:unknown:1> house"


def test_any_text_can_be_read_and_keeps_its_words() -> None:
    chance = random.Random(5)
    pieces = ["a", "b", " ", ", ", ",", "\n", "。", "，", "<lora:x:1>", "<lora:y>", "<lora:", ">", "<", ":", "\t"]
    for _ in range(3000):
        prompt = "".join(chance.choices(pieces, k=chance.randrange(20)))
        tags = find_lora_tags(prompt)
        for tag in tags:
            assert prompt[tag.start : tag.end] == tag.text
        plain = prompt
        for tag in tags:
            plain = plain.replace(tag.text, "")
        kept = "".join(plain.split()).translate(str.maketrans("", "", ",，"))
        assert "".join(without(prompt, tags).split()).translate(str.maketrans("", "", ",，")) == kept
