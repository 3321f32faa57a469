"""Several pictures from one request: the same but for the seed, which counts up. Must not know: queues or pages."""

from darkroom.errors import InvalidRequest, Problem, shown
from darkroom.request import LARGEST_SEED, GenerationRequest

MOST_PICTURES = 8


def expand(request: GenerationRequest, count: object) -> tuple[GenerationRequest, ...]:
    """`count` requests, the first of them `request` itself. After the largest seed comes 0. Raises InvalidRequest."""
    if isinstance(count, bool) or not isinstance(count, int):
        raise InvalidRequest(Problem(field="count", value=shown(count), allowed="a whole number"))
    if not 1 <= count <= MOST_PICTURES:
        limit = "at least 1" if count < 1 else f"at most {MOST_PICTURES}"
        raise InvalidRequest(Problem(field="count", value=shown(count), allowed=limit))
    seeds = ((request.seed + place) % (LARGEST_SEED + 1) for place in range(count))
    return tuple(request.model_copy(update={"seed": seed}) for seed in seeds)
