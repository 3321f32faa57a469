"""Foresight: what the picture that a form asks for would take, before it is asked for, and what would fit instead.

The planner's figures, corrected by what this machine's own pictures took. Must not know: routes or components.
"""

from dataclasses import replace
from typing import Any

from darkroom.catalog import ModelEntry
from darkroom.errors import DoesNotFit
from darkroom.footprint import GB, MIB
from darkroom.jobs.experience import Expected, Kind
from darkroom.jobs.supervisor import Supervisor
from darkroom.planner import Plan
from darkroom.request import GenerationRequest
from darkroom.web.durations import duration
from darkroom.web.fitting import Fitting
from darkroom.web.models import Models
from darkroom.web.words import Words


class Foresight:
    """`fitting` looks at the machine as if nothing else ran on it; the engine looks again before each picture."""

    def __init__(self, fitting: Fitting, supervisor: Supervisor, models: Models) -> None:
        self._fitting = fitting
        self._supervisor = supervisor
        self._models = models

    def of(self, request: GenerationRequest, pictures: int, words: Words) -> dict[str, Any] | None:
        """`choice` is what would fit instead: values of the form, and what a button says. None: no such model."""
        entry = self._models.get(request.model)
        if entry is None:
            return None
        plan = self._fitting.plan(entry, request)
        if isinstance(plan, DoesNotFit):
            what = words.say(f"refused.{plan.code}", **plan.details)
            return {"fits": False, "words": what, "choice": self._choice(entry, plan, words)}
        expected = self._supervisor.expected(request)
        if expected is not None and expected.near is not None:
            expected = self._corrected(expected, expected.near, entry, request, plan)
        parts = [_time(expected, request, pictures, plan, words), *_memory(expected, plan, self._card(), words)]
        if expected is None or not expected.lessons:
            parts.append(words.say("duration.first_time"))
        return {"fits": True, "words": " · ".join(parts), "choice": None}

    def _card(self) -> int:
        card = self._fitting.machine.card
        return card.total if card else 0

    def _corrected(
        self, guess: Expected, near: Kind, entry: ModelEntry, request: GenerationRequest, plan: Plan
    ) -> Expected:
        """A guess from another size: the planner says how the two compare, and its pictures how far it is off."""
        like = request.model_copy(update={"width": near.width, "height": near.height})
        planned = self._fitting.plan(entry, like)
        if isinstance(planned, DoesNotFit) or not planned.seconds_per_step:
            return replace(guess, peak=0, ram=0)
        passes = (1 if request.cfg_scale == 1 else 2) / near.passes
        by_size = Kind.of(request).work / near.work
        return replace(
            guess,
            step=guess.step / by_size * passes * plan.seconds_per_step / planned.seconds_per_step,
            peak=round(guess.peak * plan.promised_vram / max(1, planned.promised_vram)),
            ram=round(guess.ram * plan.promised_ram / max(1, planned.promised_ram)),
        )

    def _choice(self, entry: ModelEntry, refusal: DoesNotFit, words: Words) -> dict[str, Any] | None:
        if refusal.largest is not None:
            width, height = refusal.largest
            values: dict[str, Any] = {"width": width, "height": height}
            return {"values": values, "words": words.say("fit.smaller", width=width, height=height)}
        others = (other for other in self._models.entries if other.name != entry.name)
        other = next((other for other in others if self._fitting.fits(other)), None)
        if other is None:
            return None
        return {"values": {"model": other.name}, "words": words.say("fit.other_model", model=other.title)}


def _time(expected: Expected | None, request: GenerationRequest, pictures: int, plan: Plan, words: Words) -> str:
    passes = request.steps * (1 if request.cfg_scale == 1 else 2)
    each = plan.seconds_per_step * passes if expected is None else expected.whole(request.steps)
    if pictures > 1:
        return words.say("fit.each", time=duration(each, words), all=duration(each * pictures, words))
    return words.say("fit.time", time=duration(each, words))


def _memory(expected: Expected | None, plan: Plan, card: int, words: Words) -> list[str]:
    """What pictures of this kind took at most, else what is planned."""
    vram = expected.peak * MIB if expected and expected.peak else plan.promised_vram
    ram = expected.ram * MIB if expected and expected.ram else plan.promised_ram
    of_card = [words.say("fit.vram", used=_gigabytes(vram), total=_gigabytes(card))] if plan.device == "cuda" else []
    return [*of_card, words.say("fit.ram", used=_gigabytes(ram))]


def _gigabytes(size: int) -> str:
    return f"{size / GB:.1f}"
