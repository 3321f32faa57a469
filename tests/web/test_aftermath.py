"""A fault is said with its figures, in both languages, and never as a broken connection."""

import json
from typing import Any

import pytest

from darkroom.web.views import _error
from darkroom.web.words import Language, load_words

WORDS = load_words()
FIGURES: dict[str, Any] = {
    "said": "signal 9",
    "doing": "loading",
    "part": "text_encoder_2",
    "ram": 98,
    "ram_gb": 32.0,
    "swap": None,
    "engine_gb": 20.0,
    "card_used_gb": 7.6,
    "card_gb": 8.0,
}


def said(code: str, language: Language, **changes: Any) -> str:
    return _error(code, json.dumps(FIGURES | changes), WORDS[language], failed=True)["error"]


def test_a_system_without_memory_is_named_with_what_was_being_done() -> None:
    words = said("out_of_ram", "en")
    assert words == ("The system ran out of memory (RAM 98 %, no swap) while loading the model (second text encoder).")
    assert said("out_of_ram", "zh") == "系统在加载模型（第二文本编码器）时内存耗尽（内存已用 98%，没有交换空间）。"
    assert "swap 75 %" in said("out_of_ram", "en", swap=75)


def test_a_card_without_memory_is_named_with_its_figures() -> None:
    assert "7.6 of 8.0 GB in use) while developing" in said("out_of_memory", "en", doing="denoising")
    assert "7.6 GB" in said("out_of_memory", "zh", doing="denoising")
    assert "card" not in said("out_of_memory", "en", card_gb=0.0)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("doing", ["starting", "loading", "encoding", "denoising", "decoding", "saving"])
@pytest.mark.parametrize("code", ["out_of_ram", "out_of_memory", "engine_hung"])
def test_every_stage_has_words(code: str, doing: str, language: Language) -> None:
    words = said(code, language, doing=doing, part="", seconds=125)
    assert "{" not in words
    assert "connection" not in words.lower()
    assert words.rstrip("。.") == words[:-1]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "code", ["out_of_ram", "out_of_memory", "engine_hung", "card_fault", "engine_lost", "engine_killed"]
)
def test_each_fault_says_what_a_person_can_do(code: str, language: Language) -> None:
    detail = json.dumps(FIGURES | {"seconds": 1}) if code[0] == "o" or code == "engine_hung" else "signal 11"
    told = _error(code, detail, WORDS[language], failed=True)
    assert told["next"]
    assert f"notices.{code}" in WORDS[language]
