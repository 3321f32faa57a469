"""Both languages say everything, and say what really happens."""

import json
import re
from pathlib import Path
from typing import Literal, get_args

import pytest
from starlette.requests import HTTPConnection

import darkroom.jobs
from darkroom.catalog import DEMO
from darkroom.errors import InvalidRequest, LoraUnusable, ModelUnusable, NotFound
from darkroom.jobs.healing import HEALABLE, KILLED
from darkroom.jobs.messages import FailureKind
from darkroom.jobs.progress import Activity
from darkroom.request import GenerationRequest
from darkroom.web.form import FIELDS, request_of, starting_values
from darkroom.web.language import accepted_language, language_of
from darkroom.web.views import _error
from darkroom.web.words import LANGUAGES, Language, load_words
from darkroom.web.words.problems import PHRASES, ProblemWords
from tests.web.two_models import ONE

WORDS = load_words()
HOLE = re.compile(r"\{(\w+)\}")


def test_both_languages_have_the_same_keys() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()


def test_both_languages_have_the_same_holes_in_each_sentence() -> None:
    for key in sorted(WORDS["en"].keys()):
        assert set(HOLE.findall(WORDS["en"].say(key))) == set(HOLE.findall(WORDS["zh"].say(key))), key


def test_no_word_is_empty() -> None:
    for words in WORDS.values():
        assert [key for key in sorted(words.keys()) if not words.say(key).strip()] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_activity_and_failure_has_words(language: str) -> None:
    words = next(words for words in WORDS.values() if words.language == language)
    failures = {*get_args(FailureKind), *HEALABLE, KILLED, "not_saved"}
    needed = [
        *(f"fields.{field}" for field in FIELDS),
        *(f"activity.{activity}" for activity in get_args(Activity)),
        *(f"errors.{code}.{part}" for code in failures for part in ("what", "next")),
        *(f"queue.why.{code}" for code in failures),
        *(f"notices.{code}" for code in {*HEALABLE, KILLED}),
        *(f"problem.allowed.{phrase}" for phrase in PHRASES),
    ]
    assert [key for key in needed if key not in words] == []


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"steps": 1000},
        {"steps": 2.5},
        {"steps": None},
        {"steps": "many"},
        {"guidance": "much"},
        {"guidance": float("nan")},
        {"width": 300},
        {"width": 4096},
        {"seed": -2},
        {"seed": 2**32},
        {"prompt": "x" * 10_001},
        {"prompt": "a\x00b"},
        {"prompt": 7},
        {"model": ""},
        {"model": "other"},
        {"loras": "ink"},
        {"step_cache": 2},
        {"step_cache": 0.2, "cfg_scale": 2.0},
        {"prompt_tokens": 17},
        {"loras": [{"name": "a/../b"}]},
        {"loras": [{"name": "ink", "weight": 7}]},
        {"loras": [{"name": "a"}, {"name": "a"}]},
        {"loras": [{"name": str(number)} for number in range(9)]},
        {"surprise": 1},
    ],
    ids=str,
)
def test_every_refusal_is_said_wholly_in_chinese(change: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request_of(starting_values(DEMO) | change, ONE)
    english = ProblemWords(WORDS["en"], WORDS["en"]).sentences(caught.value.problems)
    chinese = ProblemWords(WORDS["en"], WORDS["zh"]).sentences(caught.value.problems)
    assert len(english) == len(chinese) == 1
    allowed = chinese[0].split("允许：")[1]
    assert not re.search(r"[a-z]{3,}", allowed.replace("demo", "")), chinese


def test_an_unknown_phrase_is_said_as_it_is() -> None:
    assert ProblemWords(WORDS["en"], WORDS["zh"]).allowed("something new") == "something new"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("zh-TW", "zh"),
        ("ZH-hans", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr,zh;q=0.5,en;q=0.3", "zh"),
        ("fr", "en"),
        ("zh;q=no", "en"),
        (",;q=,\x00;;", "en"),
    ],
)
def test_auto_follows_the_browser(header: str, language: str) -> None:
    assert accepted_language(header) == language


@pytest.mark.parametrize(
    ("cookie", "preference", "language"),
    [
        ("", "auto", "zh"),
        ("", "en", "en"),
        ("darkroom_language=en", "auto", "en"),
        ("darkroom_language=en", "zh", "en"),
        ("darkroom_language=fr", "en", "en"),
    ],
)
def test_a_picked_language_comes_before_the_settings_and_these_before_the_browser(
    cookie: str, preference: Literal["auto", "en", "zh"], language: str
) -> None:
    headers = [(b"accept-language", b"zh-CN"), (b"cookie", cookie.encode())]
    assert language_of(HTTPConnection({"type": "http", "headers": headers}), preference) == language


def test_what_is_wrong_with_a_lora_is_said_of_the_loras() -> None:
    with pytest.raises(InvalidRequest) as caught:
        request_of(starting_values(DEMO) | {"loras": [{"name": "ink", "weight": 7}]}, ONE)
    said = ProblemWords(WORDS["en"], WORDS["zh"]).sentences(caught.value.problems)
    assert said == ["LoRA 权重不能是 7，允许：−2 到 2 的数字。"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", LoraUnusable.SENTENCES)
def test_a_lora_that_cannot_be_used_is_said_in_the_readers_language(code: str, language: Language) -> None:
    names = {"file": "ink.safetensors", "what": "SDXL"}
    detail = json.dumps({"code": code, **names})
    said = _error("lora_unusable", detail, WORDS[language], failed=True)
    assert said["error"] == WORDS[language].say(f"refused.{code}", **names)
    if language == "en":
        assert said["error"] == LoraUnusable.SENTENCES[code].format(**names) + "."


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", ModelUnusable.SENTENCES)
def test_a_model_that_cannot_be_used_is_said_in_the_readers_language(code: str, language: Language) -> None:
    error = ModelUnusable(code.removeprefix("model_"), "flux.safetensors", found="NF4")
    said = _error("model_unusable", json.dumps({"code": error.code, **error.details}), WORDS[language], failed=True)
    sentence = WORDS[language].say(f"refused.{code}", **error.details)
    assert sentence.rstrip(".。") in said["error"]
    if language == "en":
        assert sentence == str(error)


def test_not_found_has_words_for_each_kind() -> None:
    for kind in ("job", "picture", "model"):
        assert f"refused.{NotFound.code}_{kind}" in WORDS["en"]


def test_fields_are_those_of_the_request() -> None:
    assert set(FIELDS) == set(GenerationRequest.model_fields)


def test_every_code_that_the_supervisor_gives_is_one_that_has_words() -> None:
    """Codes are written where a fault is noticed; this finds one that was added without its words."""
    jobs = Path(darkroom.jobs.__file__).parent
    source = "".join((jobs / name).read_text("utf-8") for name in ("supervisor.py", "postmortem.py", "healing.py"))
    codes = set(re.findall(r'kind="(\w+)"', source)) | set(re.findall(r'KILLED = "(\w+)"', source))
    assert {"engine_lost", "engine_hung", "not_saved", "engine_fault", "engine_killed"} <= codes
    for words in WORDS.values():
        assert [code for code in sorted(codes) if f"queue.why.{code}" not in words] == []
        assert [code for code in sorted(codes) if f"errors.{code}.what" not in words] == []
