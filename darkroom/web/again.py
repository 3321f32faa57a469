"""From a finished picture to the next: the same again, with another seed, or finer; and why it may look different.

Must not know: queues, routes, or pages.
"""

from typing import Literal

from darkroom.catalog import Preset
from darkroom.errors import InvalidRequest, Problem
from darkroom.history.library import Picture
from darkroom.origins import Origins
from darkroom.request import RANDOM_SEED, GenerationRequest
from darkroom.web.form import request_of
from darkroom.web.loras import LoraReader
from darkroom.web.models import Models
from darkroom.web.words import Words

How = Literal["same", "seed", "finer"]


def again(request: GenerationRequest, how: How, loras: LoraReader) -> GenerationRequest:
    """Raises InvalidRequest when it cannot be asked for any more, or is as fine as it gets already."""
    models = loras.models
    changes: dict[str, object] = {}
    if how == "seed":
        changes = {"seed": RANDOM_SEED}
    elif how == "finer":
        fine = _fine_preset(request, models)
        if fine is None or not _is_coarser(request, fine):
            allowed = f"at most {fine.steps - 1}" if fine else "a preset of its model"
            raise InvalidRequest(Problem(field="steps", value=str(request.steps), allowed=allowed))
        # How much of the prompt is read stays: another length would be another picture.
        changes = {
            "steps": max(request.steps, fine.steps),
            "step_cache": min(request.step_cache, fine.step_cache),
        }
        if _is_of_a_preset(request, models):  # a guidance of the person's own is kept
            changes["guidance"] = fine.guidance
    (placed,) = loras.placed([request_of({**request.model_dump(), **changes}, models)])
    return placed


def differences(picture: Picture, origins: Origins, words: Words) -> list[str]:
    """A sentence for each of its files that is another one now."""
    changes = origins.changes(picture.request, picture.facts)
    return [words.say(f"reuse.other_{change.kind}", name=change.name) for change in changes]


def can_be_finer(request: GenerationRequest, models: Models) -> bool:
    fine = _fine_preset(request, models)
    return fine is not None and _is_coarser(request, fine)


def _is_coarser(request: GenerationRequest, fine: Preset) -> bool:
    return request.steps < fine.steps or request.step_cache > fine.step_cache


def _fine_preset(request: GenerationRequest, models: Models) -> Preset | None:
    return next((preset for preset in _presets(request, models) if preset.name == "fine"), None)


def _is_of_a_preset(request: GenerationRequest, models: Models) -> bool:
    return any(preset.guidance == request.guidance for preset in _presets(request, models))


def _presets(request: GenerationRequest, models: Models) -> tuple[Preset, ...]:
    return models.presets.get(request.model, ())
