"""Many pictures from one order: several prompts, choices within them, and seeds that count up.

Must not know: queues or pages.
"""

from collections.abc import Sequence

from darkroom.errors import InvalidRequest, Problem, shown
from darkroom.prompts.choices import count_of, prompts_of
from darkroom.request import LARGEST_SEED, GenerationRequest, parse_request

MOST_PICTURES = 500
"""Of one order."""


def written_prompts(text: str, *, each_line: bool) -> tuple[str, ...]:
    """The prompts as they were written: the whole text, or each line that is not empty."""
    if not each_line:
        return (text,)
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def all_prompts(written: Sequence[str], count: int = 1) -> tuple[str, ...]:
    """Every prompt that these stand for. Raises InvalidRequest when, each made `count` times, they are too many."""
    pictures = sum(count_of(text) for text in written) * count
    if pictures > MOST_PICTURES:
        raise InvalidRequest(too_many(pictures))
    return tuple(prompt for text in written for prompt in prompts_of(text))


def too_many(pictures: int) -> Problem:
    allowed = f"at most {MOST_PICTURES} pictures at once"
    return Problem(field="pictures", value=shown(pictures), allowed=allowed)


def counted(count: object, seed: object = None, last_seed: object = None) -> int:
    """How many pictures of each prompt: said as a number, or as the last seed of a range. Raises InvalidRequest."""
    if last_seed is None:
        return _checked_count(count)
    if not _is_seed(last_seed) or not _is_seed(seed):
        allowed = f"a whole number from 0 to {LARGEST_SEED}, with a seed that is not −1"
        raise InvalidRequest(Problem(field="last_seed", value=shown(last_seed), allowed=allowed))
    assert isinstance(seed, int)
    assert isinstance(last_seed, int)
    if last_seed < seed:
        raise InvalidRequest(Problem(field="last_seed", value=shown(last_seed), allowed=f"at least {seed}"))
    pictures = last_seed - seed + 1
    if pictures > MOST_PICTURES:
        raise InvalidRequest(too_many(pictures))
    return pictures


def expand(
    request: GenerationRequest, count: object, prompts: Sequence[str] = (), *, seeds_go_on: bool = False
) -> tuple[GenerationRequest, ...]:
    """`count` requests of each prompt, the same but for the seed, which counts up. After the largest comes 0.

    No prompts means the request's own. `seeds_go_on`: no two have the same seed; else each prompt begins with the
    request's, so that pictures of different prompts differ by their words. Raises InvalidRequest.
    """
    each = _checked_count(count)
    wanted = prompts or (request.prompt,)
    if each * len(wanted) > MOST_PICTURES:
        raise InvalidRequest(too_many(each * len(wanted)))
    return tuple(
        _with(request, prompt, request.seed + number + (place * each if seeds_go_on else 0))
        for place, prompt in enumerate(wanted)
        for number in range(each)
    )


def _with(request: GenerationRequest, prompt: str, seed: int) -> GenerationRequest:
    changes = {"prompt": prompt, "seed": seed % (LARGEST_SEED + 1)}
    if prompt == request.prompt:
        return request.model_copy(update=changes)
    return parse_request({**request.model_dump(), **changes})


def _checked_count(count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int):
        raise InvalidRequest(Problem(field="count", value=shown(count), allowed="a whole number"))
    if not 1 <= count <= MOST_PICTURES:
        limit = "at least 1" if count < 1 else f"at most {MOST_PICTURES}"
        raise InvalidRequest(Problem(field="count", value=shown(count), allowed=limit))
    return count


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_SEED
