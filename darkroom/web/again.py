"""From a finished picture to the next: the same again, with another seed, or finer.

Must not know: queues, routes, or pages.
"""

from typing import Literal

from darkroom.catalog import Preset, find_model
from darkroom.config import Settings
from darkroom.errors import InvalidRequest, NotFound, Problem
from darkroom.prompts.presets import presets_for
from darkroom.request import RANDOM_SEED, GenerationRequest
from darkroom.web.form import request_of

How = Literal["same", "seed", "finer"]


def again(request: GenerationRequest, how: How, settings: Settings) -> GenerationRequest:
    """Raises InvalidRequest when it cannot be asked for any more, or is as fine as it gets already."""
    changes: dict[str, object] = {}
    if how == "seed":
        changes = {"seed": RANDOM_SEED}
    elif how == "finer":
        fine = _fine_preset(request, settings)
        if fine is None or request.steps >= fine.steps:
            allowed = f"at most {fine.steps - 1}" if fine else "a preset of its model"
            raise InvalidRequest(Problem(field="steps", value=str(request.steps), allowed=allowed))
        changes = {"steps": fine.steps}
        if _is_of_a_preset(request, settings):  # a guidance of the person's own is kept
            changes["guidance"] = fine.guidance
    return request_of({**request.model_dump(), **changes})


def can_be_finer(request: GenerationRequest, settings: Settings) -> bool:
    fine = _fine_preset(request, settings)
    return fine is not None and request.steps < fine.steps


def _fine_preset(request: GenerationRequest, settings: Settings) -> Preset | None:
    return next((preset for preset in _presets(request, settings) if preset.name == "fine"), None)


def _is_of_a_preset(request: GenerationRequest, settings: Settings) -> bool:
    return any(preset.guidance == request.guidance for preset in _presets(request, settings))


def _presets(request: GenerationRequest, settings: Settings) -> tuple[Preset, ...]:
    try:
        return presets_for(find_model(request.model), settings)
    except NotFound:
        return ()
