"""Several pictures from one request."""

import pytest

from darkroom.errors import InvalidRequest
from darkroom.prompts.batch import MOST_PICTURES, expand
from darkroom.request import LARGEST_SEED, GenerationRequest, parse_request


def request(seed: int = 7) -> GenerationRequest:
    values = {"prompt": "a tent", "steps": 8, "guidance": 3.5, "width": 512, "height": 512, "model": "demo"}
    return parse_request({**values, "seed": seed})


def test_one_picture_is_the_request_itself() -> None:
    assert expand(request(), 1) == (request(),)


def test_seeds_count_up_and_nothing_else_changes() -> None:
    assert expand(request(5), 3) == (request(5), request(6), request(7))


def test_after_the_largest_seed_comes_zero() -> None:
    assert [each.seed for each in expand(request(LARGEST_SEED - 1), 4)] == [LARGEST_SEED - 1, LARGEST_SEED, 0, 1]


def test_every_expanded_request_is_a_valid_request() -> None:
    for each in expand(request(LARGEST_SEED), MOST_PICTURES):
        assert parse_request(each.model_dump()) == each


@pytest.mark.parametrize(
    ("count", "allowed"),
    [
        (0, "at least 1"),
        (-3, "at least 1"),
        (9, "at most 8"),
        (10**30, "at most 8"),
        (2.5, "a whole number"),
        (2.0, "a whole number"),
        (float("nan"), "a whole number"),
        ("3", "a whole number"),
        (True, "a whole number"),
        (None, "a whole number"),
    ],
)
def test_another_number_is_refused_by_name(count: object, allowed: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        expand(request(), count)  # type: ignore[arg-type]
    assert str(refused.value).startswith("count is ")
    assert str(refused.value).endswith(f"; allowed: {allowed}")
