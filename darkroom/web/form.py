"""Step 1 of a picture: the form's values, by name, become a GenerationRequest.

Nothing is written twice: limits are read from the request's fields and from the model. Must not know: components.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from darkroom.catalog import ModelEntry, Preset
from darkroom.errors import InvalidRequest, Problem, shown
from darkroom.prompts.batch import MOST_PICTURES
from darkroom.request import LARGEST_SEED, RANDOM_SEED, GenerationRequest, parse_request, random_seed
from darkroom.web.models import Models

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


def starting_values(model: ModelEntry, presets: Iterable[Preset] = ()) -> dict[str, Any]:
    """What the form holds before anyone has touched it. The preset "standard" of the settings is its own."""
    standard = next((preset for preset in presets if preset.name == "standard"), None)
    return {
        "prompt": "",
        "negative_prompt": str(GenerationRequest.model_fields["negative_prompt"].default),
        "seed": RANDOM_SEED,
        "steps": standard.steps if standard else model.default_steps,
        "guidance": standard.guidance if standard else model.default_guidance,
        "cfg_scale": float(GenerationRequest.model_fields["cfg_scale"].default),
        "width": model.default_width,
        "height": model.default_height,
        "model": model.name,
        "loras": [],
        "step_cache": standard.step_cache if standard else 0.0,
        "prompt_tokens": standard.prompt_tokens if standard else 0,
    }


def request_of(values: Mapping[str, object], models: Models) -> GenerationRequest:
    """The request a form asks for, its seed chosen. Raises InvalidRequest naming every field that is wrong."""
    try:
        request = parse_request({**values, "seed": _seed(values.get("seed"))})
        _model_of(request, models).check(request)
    except InvalidRequest as error:
        raise InvalidRequest(*(of_the_form(problem, values, models) for problem in error.problems)) from error
    return request


def of_the_form(problem: Problem, values: Mapping[str, object], models: Models) -> Problem:
    """The problem with the whole of what its field allows, not only the rule that was broken first."""
    allowed = _range_of(problem.field, values, models)
    return replace(problem, allowed=allowed) if allowed else problem


def _seed(value: object) -> object:
    is_wish = isinstance(value, int) and not isinstance(value, bool) and value == RANDOM_SEED
    return random_seed() if is_wish else value


def unknown_model(name: object, models: Models) -> Problem:
    return Problem(field="model", value=shown(name), allowed=f"one of {', '.join(models.names)}")


def _model_of(request: GenerationRequest, models: Models) -> ModelEntry:
    model = models.get(request.model)
    if model is None:
        raise InvalidRequest(unknown_model(request.model, models))
    return model


def _range_of(field: str, values: Mapping[str, object], models: Models) -> str:
    match field:
        case "seed":  # the form allows one more than a request does
            return f"a whole number from −1 (a new one each time) to {LARGEST_SEED}"
        case "width" | "height":
            limits = size_limits(models.get(values.get("model")) or models.first)
            return f"{limits.smallest:g} to {limits.largest:g} pixels, a multiple of {limits.step:g}"
        case "steps":
            limits = limits_of(field)
            return f"a whole number from {limits.smallest:g} to {limits.largest:g}"
        case "step_cache" if values.get("cfg_scale") not in (1, None):
            return ""
        case "guidance" | "cfg_scale" | "step_cache":
            limits = limits_of(field)
            return f"a number from {limits.smallest:g} to {limits.largest:g}"
        case _ if field.startswith("loras.") and field.endswith(".weight"):
            return "a number from −2 to 2"
        case "count":
            return f"a whole number from 1 to {MOST_PICTURES}"
        case _:
            return ""
