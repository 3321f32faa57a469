"""GenerationRequest: every field's edges, the words for what is refused, and text of every script."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from darkroom.catalog import DEMO
from darkroom.errors import InvalidRequest
from darkroom.request import LARGEST_SEED, LONGEST_PROMPT, GenerationRequest, parse_request, random_seed

GOOD: dict[str, Any] = {
    "prompt": "a red house by the sea",
    "seed": 7,
    "steps": 8,
    "guidance": 3.5,
    "width": 512,
    "height": 512,
    "model": "demo",
}


UNTRADED = {"step_cache": 0.0, "prompt_tokens": 0}


def refused(**values: Any) -> dict[str, tuple[str, str]]:
    """Each field named by the refusal, with the value shown and what is allowed."""
    with pytest.raises(InvalidRequest) as refusal:
        parse_request(GOOD | values)
    return {problem.field: (problem.value, problem.allowed) for problem in refusal.value.problems}


def test_a_good_request_keeps_its_values_and_fills_in_those_that_may_be_left_out() -> None:
    request = parse_request(GOOD)
    assert request.model_dump() == GOOD | {"negative_prompt": "", "cfg_scale": 1.0, "loras": (), **UNTRADED}


@pytest.mark.parametrize(
    ("field", "smallest", "largest"),
    [
        ("seed", 0, LARGEST_SEED),
        ("steps", 1, 100),
        ("guidance", 0, 30),
        ("cfg_scale", 1, 20),
        ("width", 64, 4096),
        ("height", 64, 4096),
    ],
)
def test_numbers_are_accepted_up_to_their_edges_and_refused_beyond(field: str, smallest: int, largest: int) -> None:
    step = 16 if field in ("width", "height") else 1
    for value in (smallest, largest):
        assert getattr(parse_request(GOOD | {field: value}), field) == value
    assert refused(**{field: smallest - step}) == {field: (str(smallest - step), f"at least {smallest}")}
    assert refused(**{field: largest + step}) == {field: (str(largest + step), f"at most {largest}")}


@pytest.mark.parametrize("field", ["width", "height"])
@pytest.mark.parametrize("side", [65, 511, 1000])
def test_sides_that_are_not_multiples_of_16_are_refused_and_not_rounded(field: str, side: int) -> None:
    assert refused(**{field: side}) == {field: (str(side), "a multiple of 16")}


@pytest.mark.parametrize("field", ["seed", "steps", "width", "height"])
@pytest.mark.parametrize("value", ["8", 8.0, 8.5, True, None, [8], {"a": 8}, math.nan, math.inf])
def test_whole_numbers_are_refused_as_any_other_type(field: str, value: object) -> None:
    assert list(refused(**{field: value})) == [field]


@pytest.mark.parametrize("field", ["guidance", "cfg_scale"])
@pytest.mark.parametrize("value", ["3.5", True, None, [3.5], math.nan, math.inf, -math.inf])
def test_numbers_are_refused_as_any_other_type_and_when_not_finite(field: str, value: object) -> None:
    assert list(refused(**{field: value})) == [field]


@pytest.mark.parametrize("field", ["seed", "steps", "guidance", "cfg_scale", "width", "height"])
@pytest.mark.parametrize("value", [10**30, -(10**30)])
def test_huge_numbers_are_refused_in_a_few_words(field: str, value: int) -> None:
    ((shown, allowed),) = refused(**{field: value}).values()
    assert len(shown) + len(allowed) < 120


@pytest.mark.parametrize("field", ["prompt", "negative_prompt", "model"])
@pytest.mark.parametrize("value", [None, 5, b"bytes", ["a list"]])
def test_texts_are_refused_as_any_other_type(field: str, value: object) -> None:
    assert refused(**{field: value})[field][1] == "text"


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "two\nlines,\ta tab, a\r\nWindows line",
        "一座红色的房子，海边",
        "بيت أحمر بجانب البحر",
        "\u202ebackwards\u202c",
        "👩‍👩‍👧‍👦 at the sea 🌊",
        "e\u0301 and é",
        "x" * LONGEST_PROMPT,
    ],
)
def test_text_of_every_script_is_kept_to_the_letter(field: str, text: str) -> None:
    assert getattr(parse_request(GOOD | {field: text}), field) == text


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\ud800"])
def test_control_characters_and_half_characters_are_refused_and_not_shown(field: str, character: str) -> None:
    problems = refused(**{field: f"a house{character}"})
    assert list(problems) == [field]
    assert character not in problems[field][0]


def test_a_prompt_that_is_too_long_is_refused_without_being_repeated() -> None:
    ((shown, allowed),) = refused(prompt="x" * (LONGEST_PROMPT + 1)).values()
    assert len(shown) < 100
    assert allowed == f"at most {LONGEST_PROMPT} characters"


@pytest.mark.parametrize("field", list(GOOD))
def test_a_field_that_is_left_out_is_named(field: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_request({name: value for name, value in GOOD.items() if name != field})
    assert str(refusal.value) == f"{field} is missing; allowed: a value"


def test_a_field_that_does_not_exist_is_named() -> None:
    assert refused(sampler="euler") == {"sampler": ("euler", "no such field")}


def test_everything_that_is_wrong_is_named_at_once() -> None:
    assert set(refused(seed=-1, steps=0, width=100)) == {"seed", "steps", "width"}


def test_a_model_without_a_name_is_refused() -> None:
    assert refused(model="") == {"model": ("", "at least 1 character")}
    assert list(refused(model="m" * 101)) == ["model"]


def test_loras_are_named_and_weighted() -> None:
    values = [{"name": "ink"}, {"name": "drawings/ink 2.1", "weight": -2}, {"name": "水墨", "weight": 0.5}]
    request = parse_request(GOOD | {"loras": values})
    assert [(use.name, use.weight) for use in request.loras] == [
        ("ink", 1.0),
        ("drawings/ink 2.1", -2.0),
        ("水墨", 0.5),
    ]
    assert len({request, parse_request(request.model_dump()), parse_request(request.model_dump(mode="json"))}) == 1
    assert parse_request(GOOD | {"loras": [{"name": str(number)} for number in range(8)]}).loras


@pytest.mark.parametrize(
    ("loras", "field", "allowed"),
    [
        ("ink", "loras", "a list"),
        (None, "loras", "a list"),
        ({"name": "ink"}, "loras", "a list"),
        (["ink"], "loras.0", "a section with values"),
        ([{"weight": 1}], "loras.0.name", "a value"),
        ([{"name": 5}], "loras.0.name", "text"),
        ([{"name": ""}], "loras.0.name", "at least 1 character"),
        ([{"name": "x" * 201}], "loras.0.name", "at most 200 characters"),
        ([{"name": "a\0"}], "loras.0.name", "text without control characters"),
        ([{"name": "ink", "weight": 2.1}], "loras.0.weight", "at most 2"),
        ([{"name": "ink", "weight": -3}], "loras.0.weight", "at least -2"),
        ([{"name": "ink", "weight": math.nan}], "loras.0.weight", "a number"),
        ([{"name": "ink", "weight": "1"}], "loras.0.weight", "a number"),
        ([{"name": "ink", "rank": 1}], "loras.0.rank", "no such field"),
        ([{"name": "ink"}, {"name": "ink"}], "loras", "each LoRA once"),
        ([{"name": str(number)} for number in range(9)], "loras", "at most 8 of them"),
    ],
)
def test_what_is_no_list_of_loras_is_refused(loras: object, field: str, allowed: str) -> None:
    problems = refused(loras=loras)
    assert list(problems) == [field]
    assert problems[field][1] == allowed


@pytest.mark.parametrize(
    "name",
    ["../ink", "/ink", "a/../../ink", "a//b", "a/", "..", ".", ".hidden", "C:ink", "a\\b", " ink", "ink ", "ink."],
)
def test_a_lora_is_never_looked_for_outside_of_its_folder(name: str) -> None:
    assert refused(loras=[{"name": name}])["loras.0.name"][1] == "the name of a file, such as ink or drawings/ink"


def test_what_trades_likeness_for_speed_is_part_of_a_request() -> None:
    request = parse_request(GOOD | {"step_cache": 0.25, "prompt_tokens": 256})
    assert (request.step_cache, request.prompt_tokens) == (0.25, 256)
    assert parse_request(request.model_dump(mode="json")) == request
    assert parse_request(GOOD | {"step_cache": 0, "cfg_scale": 3.0}).step_cache == 0


@pytest.mark.parametrize(
    ("values", "field", "allowed"),
    [
        ({"step_cache": -0.1}, "step_cache", "at least 0"),
        ({"step_cache": 1.1}, "step_cache", "at most 1"),
        ({"step_cache": math.nan}, "step_cache", "a number"),
        ({"step_cache": "0.2"}, "step_cache", "a number"),
        ({"step_cache": 0.2, "cfg_scale": 1.5}, "step_cache", "0 where true CFG (cfg_scale) is not 1"),
        ({"prompt_tokens": -16}, "prompt_tokens", "at least 0"),
        ({"prompt_tokens": 528}, "prompt_tokens", "at most 512"),
        ({"prompt_tokens": 100}, "prompt_tokens", "a multiple of 16"),
        ({"prompt_tokens": 48.5}, "prompt_tokens", "a whole number"),
    ],
)
def test_trades_outside_of_what_they_may_be_are_refused(values: dict[str, Any], field: str, allowed: str) -> None:
    problems = refused(**values)
    assert list(problems) == [field]
    assert problems[field][1] == allowed


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse_request(GOOD).seed = 8  # type: ignore[misc]


def test_a_request_survives_the_way_through_json_to_the_letter() -> None:
    request = parse_request(GOOD | {"prompt": "雪 👩‍👧 \u202e", "seed": LARGEST_SEED, "guidance": 0.1})
    assert GenerationRequest.model_validate_json(request.model_dump_json()) == request


def test_random_seeds_are_seeds() -> None:
    seeds = {random_seed() for _ in range(100)}
    assert len(seeds) > 90
    assert all(parse_request(GOOD | {"seed": seed}).seed == seed for seed in seeds)


def test_a_model_refuses_the_sizes_it_cannot_make() -> None:
    DEMO.check(parse_request(GOOD))
    with pytest.raises(InvalidRequest) as refusal:
        DEMO.check(parse_request(GOOD | {"width": 1024, "height": 64}))
    assert [(problem.field, problem.allowed) for problem in refusal.value.problems] == [
        ("width", f"{DEMO.smallest_side} to {DEMO.largest_side} pixels"),
        ("height", f"{DEMO.smallest_side} to {DEMO.largest_side} pixels"),
    ]
