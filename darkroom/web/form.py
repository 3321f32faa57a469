"""Step 1 of a picture: the form's values, by name, become a GenerationRequest; and backwards for "Reuse parameters".

Nothing is written twice: limits are read from the request's fields and from the model. Must not know: components.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.catalog import MODELS, ModelEntry, find_model
from darkroom.errors import InvalidRequest, NotFound, Problem, shown
from darkroom.request import LARGEST_SEED, RANDOM_SEED, GenerationRequest, parse_request, random_seed

FIELDS = tuple(GenerationRequest.model_fields)
COUNT = "count"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a number field allows. `step` is 0 where any number between is allowed."""

    smallest: float
    largest: float
    step: float


def limits_of(field: str) -> Limits:
    rules = GenerationRequest.model_json_schema()["properties"][field]
    return Limits(smallest=rules["minimum"], largest=rules["maximum"], step=rules.get("multipleOf", 0))


def size_limits(model: ModelEntry) -> Limits:
    """Of a side: what both the request and the model allow."""
    limits = limits_of("width")
    return Limits(
        smallest=max(limits.smallest, model.smallest_side),
        largest=min(limits.largest, model.largest_side),
        step=limits.step,
    )


def starting_values(model: ModelEntry) -> dict[str, str | int | float]:
    """What the form holds before anyone has touched it."""
    return {
        "prompt": "",
        "negative_prompt": str(GenerationRequest.model_fields["negative_prompt"].default),
        "seed": RANDOM_SEED,
        "steps": model.default_steps,
        "guidance": model.default_guidance,
        "cfg_scale": float(GenerationRequest.model_fields["cfg_scale"].default),
        "width": model.default_width,
        "height": model.default_height,
        "model": model.name,
    }


def request_of(values: Mapping[str, object]) -> GenerationRequest:
    """The request a form asks for, its seed chosen. Raises InvalidRequest naming every field that is wrong."""
    problems: tuple[Problem, ...] = ()
    try:
        request = parse_request({**values, "seed": _seed(values.get("seed"))})
    except InvalidRequest as error:
        problems = tuple(_of_the_form(problem) for problem in error.problems)
        raise InvalidRequest(*problems) from error
    try:
        model = find_model(request.model)
    except NotFound as error:
        names = ", ".join(entry.name for entry in MODELS)
        raise InvalidRequest(Problem(field="model", value=shown(request.model), allowed=f"one of {names}")) from error
    model.check(request)
    return request


def values_of(request: GenerationRequest) -> dict[str, str | int | float]:
    """The form's values that ask for exactly this request again."""
    return dict(request.model_dump())


def _seed(value: object) -> object:
    is_wish = isinstance(value, int) and not isinstance(value, bool) and value == RANDOM_SEED
    return random_seed() if is_wish else value


def _of_the_form(problem: Problem) -> Problem:
    """The form allows one seed more than a request does."""
    if problem.field != "seed":
        return problem
    allowed = f"a whole number from −1 (a new one each time) to {LARGEST_SEED}"
    return Problem(field=problem.field, value=problem.value, allowed=allowed)
