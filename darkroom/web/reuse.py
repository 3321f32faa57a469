"""Reuse: which values of a picture go back into the form, and which cannot.

The picture may be ours, or a file of another tool; both are values named like the request's fields, and nothing that
came from a browser is trusted. Must not know: components, or how files are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from darkroom.catalog import ModelEntry
from darkroom.errors import Problem
from darkroom.history.metadata.found import Findings
from darkroom.prompts.choices import written_for
from darkroom.web.form import FIELDS, size_limits, unknown_model
from darkroom.web.loras import LoraReader

What = Literal["all", "all_but_seed", "prompt", "seed", "size", "model"]
CHOICES: tuple[What, ...] = get_args(What)

FIELDS_OF: Mapping[What, tuple[str, ...]] = {
    "all": FIELDS,
    "all_but_seed": tuple(field for field in FIELDS if field != "seed"),
    "prompt": ("prompt", "negative_prompt"),
    "seed": ("seed",),
    "size": ("width", "height"),
    "model": ("model", "width", "height", "steps", "guidance", "step_cache", "prompt_tokens"),
}
SIDES = ("width", "height")


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """`values` can go into the form as they are. `problems` say what was left out and why."""

    values: Mapping[str, object]
    problems: tuple[Problem, ...]


def reuse(values: Mapping[str, object], what: What, form_model: object, loras: LoraReader) -> Reuse:
    """`form_model` is what the form has now: it decides where the picture's own model is unknown."""
    models = loras.models
    chosen = {field: values[field] for field in FIELDS_OF[what] if field in values}
    problems: list[Problem] = []
    kept = dict(_checked(chosen, problems))
    if "model" in kept and models.get(kept["model"]) is None:
        problems.append(unknown_model(kept.pop("model"), models))
    model = models.get(kept.get("model")) or models.get(form_model)
    if model is not None:
        wrong = _wrong_sides(kept, model)
        problems += wrong
        if wrong:  # half a size would be another picture
            kept = {field: value for field, value in kept.items() if field not in SIDES}
        gone = loras.problems({"model": model.name, "loras": kept.get("loras")})
        if gone:
            problems += gone
            places = {problem.field.split(".")[1] for problem in gone}
            kept["loras"] = [use for place, use in enumerate(kept["loras"]) if str(place) not in places]
    if "prompt" in kept:
        kept["prompt"] = written_for(kept["prompt"])
    return Reuse(values=kept, problems=tuple(problems))


def _checked(chosen: Mapping[str, object], problems: list[Problem]) -> Mapping[str, Any]:
    findings = Findings("")
    for field, value in chosen.items():
        if field not in SIDES:
            findings.use(field, value, field)
    if all(side in chosen for side in SIDES):
        findings.use_size(chosen["width"], chosen["height"], "width")
    found = findings.done()
    problems += [Problem(field=one.name, value=one.value, allowed=one.allowed) for one in found.unused]
    return found.values


def _wrong_sides(kept: Mapping[str, Any], model: ModelEntry) -> list[Problem]:
    limits = size_limits(model)
    allowed = f"{limits.smallest:g} to {limits.largest:g} pixels"
    return [
        Problem(field=side, value=str(kept[side]), allowed=allowed)
        for side in SIDES
        if side in kept and not limits.smallest <= kept[side] <= limits.largest
    ]
