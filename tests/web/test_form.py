"""From the form's values to a request, and back."""

import pytest

from darkroom.catalog import DEMO, Preset
from darkroom.errors import InvalidRequest
from darkroom.request import LARGEST_SEED, parse_request
from darkroom.shapes import shapes_for
from darkroom.web.form import limits_of, request_of, size_limits, starting_values
from tests.web.two_models import LARGE, ONE, TWO

LORAS = {"loras": [{"name": "ink", "weight": 0.5}]}


def test_what_the_form_starts_with_can_be_made() -> None:
    request = request_of(starting_values(DEMO), ONE)
    assert 0 <= request.seed <= LARGEST_SEED


def test_the_form_starts_with_the_standard_preset_of_the_settings() -> None:
    presets = [Preset(name="fast", steps=1, guidance=1.0), Preset(name="standard", steps=12, guidance=2.5)]
    start = starting_values(DEMO, presets)
    assert (start["steps"], start["guidance"]) == (12, 2.5)


def test_a_random_seed_is_a_new_one_each_time() -> None:
    assert len({request_of(starting_values(DEMO), ONE).seed for _ in range(20)}) > 1


def test_a_chosen_seed_is_kept() -> None:
    for seed in (0, 7, LARGEST_SEED):
        assert request_of(starting_values(DEMO) | {"seed": seed}, ONE).seed == seed


def test_a_form_filled_from_a_request_asks_for_the_same_request() -> None:
    request = request_of(
        starting_values(DEMO) | {"prompt": "一只猫\n<b>", "cfg_scale": 2.5, "negative_prompt": "fog"} | LORAS, ONE
    )
    assert request_of(request.model_dump(mode="json"), ONE) == request


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        request_of(starting_values(DEMO) | {"seed": True, "steps": 0, "width": "wide"}, ONE)
    assert {problem.field for problem in caught.value.problems} == {"seed", "steps", "width"}


def test_limits_come_from_the_request_and_the_model() -> None:
    steps, width = limits_of("steps"), size_limits(DEMO)
    for value, fits in ((steps.smallest, True), (steps.largest, True), (steps.largest + 1, False)):
        values = starting_values(DEMO) | {"seed": 1, "steps": int(value)}
        if fits:
            assert parse_request(values).steps == value
        else:
            with pytest.raises(InvalidRequest):
                parse_request(values)
    assert (width.smallest, width.largest, width.step) == (DEMO.smallest_side, DEMO.largest_side, 16)


def test_every_shape_can_be_made() -> None:
    for shape in shapes_for(DEMO):
        request_of(starting_values(DEMO) | {"width": shape.width, "height": shape.height}, ONE)


def test_each_model_has_its_own_limits_and_only_models_handed_in_are_known() -> None:
    values = starting_values(LARGE, TWO.presets["large"])
    assert (values["width"], values["steps"], values["guidance"]) == (1024, 28, 3.0)
    assert request_of(values, TWO).model == "large"
    for wrong, models, said in (
        ({"width": 512}, TWO, "768 to 1536 pixels, a multiple of 16"),
        ({"model": "demo"}, TWO, "256 to 512 pixels, a multiple of 16"),
        ({}, ONE, "one of demo"),
        ({"model": "other"}, TWO, "one of demo, large"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            request_of(values | wrong, models)
        assert {problem.allowed for problem in caught.value.problems} == {said}
