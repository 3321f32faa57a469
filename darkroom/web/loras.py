"""LoRAs of an order: those a prompt names are taken out of it, and all of them are there and for the model.

What is wrong is a problem with a field, as of any other value. Must not know: routes, or what a LoRA does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from darkroom.catalog import ModelEntry
from darkroom.errors import InvalidRequest, LoraUnusable, Problem, shown
from darkroom.history.metadata.found import FoundLora, Reason, UnusedParameter
from darkroom.loras.family import family_of_model
from darkroom.loras.folders import LoraFile, LoraFolders, is_lora_name
from darkroom.prompts.batch import written_prompts
from darkroom.prompts.lora_tags import Cut, LoraTag, cuts_for, find_lora_tags, without
from darkroom.request import LONGEST_PROMPT, MOST_LORAS, GenerationRequest, LoraUse, parse_request
from darkroom.web.models import Models

LARGEST_WEIGHT = 2.0
MOST_PROBLEMS = 8
KNOWN = "a LoRA that lies in the folder loras of this model, or of all models"
TAG = "<lora:name:0.7>, with a weight from −2 to 2"
TAG_ONCE = "each LoRA once in a prompt"
WEIGHT, MOST = "a number from −2 to 2", f"at most {MOST_LORAS} of them"
# By the reason why a LoRA cannot be used: what could be.
ALLOWED: Mapping[str, str] = {
    "missing": KNOWN,
    "damaged": "a LoRA that is whole, and this one is damaged",
    "other_model": "a LoRA for {wanted}, and this one is for another model",
    "other_family": "a LoRA for {wanted}, and this one is for {what}",
    "layout": "a LoRA of pairs of matrices, and this one is of another kind",
    "kind": "a LoRA of pairs of matrices, and this one is a {what}",
    "none": "a LoRA, and this file is none",
}


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a form does with LoRAs that its prompt names: `cuts` take them out of it, and `loras` is its list then."""

    cuts: tuple[Cut, ...]
    loras: list[dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class Meant:
    """`uses` are LoRAs that are here; `unused` says of the others why not."""

    uses: tuple[LoraUse, ...]
    unused: tuple[UnusedParameter, ...]


@dataclass(frozen=True, kw_only=True)
class _Read:
    """Of one prompt: the tags that can be used, with the LoRAs they mean, and what is wrong with the others."""

    tags: Mapping[str, LoraTag]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class LoraReader:
    folders: LoraFolders
    models: Models

    def placed(self, requests: Sequence[GenerationRequest]) -> tuple[GenerationRequest, ...]:
        """The requests of one order, as they are stored. Raises InvalidRequest."""
        problems: dict[Problem, None] = {}
        read: dict[str, tuple[str, tuple[LoraUse, ...]]] = {}
        for request in requests:
            entry = self.models.get(request.model)
            if request.prompt in read or entry is None:
                continue
            found = self._read(request.prompt, entry)
            problems |= dict.fromkeys(found.problems)
            weights = {name: tag.weight or 0.0 for name, tag in found.tags.items()}
            uses = joined(request.loras, weights)
            read[request.prompt] = without(request.prompt, tuple(found.tags.values())), uses
            problems |= dict.fromkeys(self._of_list(request.loras, entry))
        if problems:
            raise InvalidRequest(*tuple(problems)[:MOST_PROBLEMS])
        return tuple(
            _with(request, *read[request.prompt]) if request.prompt in read else request for request in requests
        )

    def problems(self, values: Mapping[str, object]) -> tuple[Problem, ...]:
        """With the list, in an order that is refused for something else."""
        entry, uses = self.models.get(values.get("model")), values.get("loras")
        if entry is None or not isinstance(uses, list | tuple):
            return ()
        known = [LoraUse(name=name) for use in uses if is_lora_name(name := _name(use))]
        return self._of_list(known, entry) if len(known) == len(uses) else ()

    def taken(self, values: Mapping[str, object]) -> Taken | None:
        """Where a prompt stands for several, each has its own: nothing is taken out of it. Nor is what is beyond the
        most that a picture can have.
        """
        entry, prompt, uses = self.models.get(values.get("model")), values.get("prompt"), values.get("loras")
        if entry is None or not isinstance(prompt, str) or len(prompt) > LONGEST_PROMPT:
            return None
        if values.get("lines") and len(written_prompts(prompt, each_line=True)) > 1:
            return None
        try:
            before = [LoraUse.model_validate(use) for use in uses] if isinstance(uses, list) else []
        except ValidationError:
            return None
        tags = _that_fit(self._read(prompt, entry).tags, before)
        if not tags or any(_is_inside_a_choice(prompt, tag) for tag in tags.values()):
            return None
        loras = joined(before, {name: tag.weight or 0.0 for name, tag in tags.items()})
        return Taken(cuts=cuts_for(prompt, tuple(tags.values())), loras=[use.model_dump() for use in loras])

    def meant(self, found: Sequence[FoundLora], entry: ModelEntry) -> Meant:
        """What another tool's picture names, as this Darkroom has it."""
        uses: dict[str, LoraUse] = {}
        unused: list[UnusedParameter] = []
        for lora in found:
            file = self.folders.meant(lora.name, entry)
            said = f"{lora.name}:{lora.weight:g}"
            if file is None:
                unused.append(_unused(lora.name, "missing_lora"))
            elif file.problem is not None:
                unused.append(_unused(lora.name, "not_allowed", _allowed(file.problem, entry)))
            elif abs(lora.weight) > LARGEST_WEIGHT:
                unused.append(_unused(said, "not_allowed", WEIGHT))
            elif len(uses) == MOST_LORAS and file.name not in uses:
                unused.append(_unused(said, "not_allowed", MOST))
            else:
                uses.setdefault(file.name, LoraUse(name=file.name, weight=lora.weight))
        return Meant(uses=tuple(uses.values()), unused=tuple(unused))

    def _read(self, prompt: str, entry: ModelEntry) -> _Read:
        problems: list[Problem] = []
        tags: dict[str, LoraTag] = {}
        for tag in find_lora_tags(prompt):
            file = self.folders.meant(tag.name, entry)
            if (problem := _of_tag(tag, file, entry)) is not None:
                problems.append(problem)
            elif file is not None and file.name in tags:
                problems.append(Problem(field="prompt", value=shown(tag.text), allowed=TAG_ONCE))
            elif file is not None:
                tags[file.name] = tag
        return _Read(tags=tags, problems=tuple(problems))

    def _of_list(self, loras: Sequence[LoraUse], entry: ModelEntry) -> tuple[Problem, ...]:
        problems = []
        for place, use in enumerate(loras):
            file = self.folders.find(use.name, entry)
            if file is None or file.problem is not None:
                allowed = _allowed(file.problem, entry) if file and file.problem else KNOWN
                problems.append(Problem(field=f"loras.{place}.name", value=shown(use.name), allowed=allowed))
        return tuple(problems)


def _unused(value: str, reason: Reason, allowed: str = "") -> UnusedParameter:
    return UnusedParameter(name="LoRA", value=shown(value), reason=reason, allowed=allowed)


def joined(loras: Sequence[LoraUse], weights: Mapping[str, float]) -> tuple[LoraUse, ...]:
    """What the prompt says of a LoRA counts, also where it was in the list already."""
    kept = (LoraUse(name=use.name, weight=weights.get(use.name, use.weight)) for use in loras)
    names = {use.name for use in loras}
    return *kept, *(LoraUse(name=name, weight=weight) for name, weight in weights.items() if name not in names)


def _that_fit(tags: Mapping[str, LoraTag], loras: Sequence[LoraUse]) -> dict[str, LoraTag]:
    """Beside those in the list."""
    used = {use.name for use in loras}
    fit: dict[str, LoraTag] = {}
    for name, tag in tags.items():
        if len(used | {name}) <= MOST_LORAS:
            used.add(name)
            fit[name] = tag
    return fit


def _with(request: GenerationRequest, prompt: str, loras: tuple[LoraUse, ...]) -> GenerationRequest:
    if (prompt, loras) == (request.prompt, request.loras):
        return request
    uses = [use.model_dump() for use in loras]
    return parse_request({**request.model_dump(), "prompt": prompt, "loras": uses})


def _name(use: object) -> str:
    name = use.get("name") if isinstance(use, dict) else None
    return name if isinstance(name, str) else ""


def _is_inside_a_choice(prompt: str, tag: LoraTag) -> bool:
    return prompt[: tag.start].count("{") > prompt[: tag.start].count("}")


def _of_tag(tag: LoraTag, file: LoraFile | None, entry: ModelEntry) -> Problem | None:
    if tag.weight is None or abs(tag.weight) > LARGEST_WEIGHT:
        return Problem(field="prompt", value=shown(tag.text), allowed=TAG)
    if file is None:
        return Problem(field="prompt", value=shown(tag.name), allowed=KNOWN)
    if file.problem is not None:
        return Problem(field="prompt", value=shown(tag.name), allowed=_allowed(file.problem, entry))
    return None


def _allowed(problem: LoraUnusable, entry: ModelEntry) -> str:
    wanted = family_of_model(entry.architecture) or entry.title
    return ALLOWED[problem.reason].format(wanted=wanted, what=problem.what)
