"""Many pictures from one order."""

import pytest

from darkroom.errors import InvalidRequest
from darkroom.prompts.batch import MOST_PICTURES, all_prompts, counted, expand, written_prompts
from darkroom.request import LARGEST_SEED, GenerationRequest, parse_request


def request(seed: int = 7, prompt: str = "a tent") -> GenerationRequest:
    values = {"prompt": prompt, "steps": 8, "guidance": 3.5, "width": 512, "height": 512, "model": "demo"}
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


def test_each_prompt_is_made_as_often_with_the_same_seeds() -> None:
    made = [(each.prompt, each.seed) for each in expand(request(5), 2, ("a", "b"))]
    assert made == [("a", 5), ("a", 6), ("b", 5), ("b", 6)]


def test_where_every_picture_has_a_new_seed_no_two_have_the_same() -> None:
    made = [each.seed for each in expand(request(LARGEST_SEED), 2, ("a", "b"), seeds_go_on=True)]
    assert made == [LARGEST_SEED, 0, 1, 2]


def test_a_text_is_one_prompt_or_one_for_each_line_with_words() -> None:
    text = "a lake\r\n\n  a pond \n\t\na {red|blue} boat"
    assert written_prompts(text, each_line=False) == (text,)
    assert written_prompts(text, each_line=True) == ("a lake", "a pond", "a {red|blue} boat")
    assert all_prompts(written_prompts(text, each_line=True)) == ("a lake", "a pond", "a red boat", "a blue boat")


def test_a_range_of_seeds_says_how_many() -> None:
    assert counted(1, 10, 14) == 5
    assert counted(3) == 3


@pytest.mark.parametrize(
    ("seed", "last"), [(-1, 5), (5, -1), (5, 4), (0, 2**32), (0, True), ("0", 5), (0, 1.5), (0, MOST_PICTURES)]
)
def test_a_range_that_is_none_is_refused(seed: object, last: object) -> None:
    with pytest.raises(InvalidRequest):
        counted(1, seed, last)


@pytest.mark.parametrize("text", ["{a|b}" * 9, "{a|b}" * 300])
def test_too_many_are_refused_before_any_is_made_and_the_number_is_said(text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"allowed: at most {MOST_PICTURES} pictures at once"):
        all_prompts([text])


def test_prompts_and_pictures_of_each_count_together() -> None:
    with pytest.raises(InvalidRequest, match="pictures is 502"):
        all_prompts(["a", "b"], 251)
    with pytest.raises(InvalidRequest, match="pictures is 502"):
        expand(request(), 251, ("a", "b"))


def test_a_prompt_of_several_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="prompt"):
        expand(request(), 1, ("a", "b\x07"))


@pytest.mark.parametrize(
    ("count", "allowed"),
    [
        (0, "at least 1"),
        (-3, "at least 1"),
        (MOST_PICTURES + 1, f"at most {MOST_PICTURES}"),
        (10**30, f"at most {MOST_PICTURES}"),
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
        expand(request(), count)
    assert str(refused.value).startswith("count is ")
    assert str(refused.value).endswith(f"; allowed: {allowed}")
