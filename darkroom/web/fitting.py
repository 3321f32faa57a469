"""Fitting: what each model would need on this machine, in words, before anything of it is fetched.

Must not know: how a plan is found, or what the machine is looked at with.
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from darkroom.catalog import DEMO, ModelEntry
from darkroom.config import Settings
from darkroom.errors import DoesNotFit
from darkroom.footprint import GB
from darkroom.jobs.process_engine import wishes_of
from darkroom.machine import Machine
from darkroom.planner import Plan, make_plan
from darkroom.request import GenerationRequest
from darkroom.web.durations import duration
from darkroom.web.words import Words

MOST_PLANS = 200


@dataclass(frozen=True, kw_only=True)
class Fit:
    """`fits` is what the planner says of the model's own size of picture."""

    fits: bool
    words: str


class Fitting:
    """The machine is looked at when it is first asked for."""

    def __init__(self, settings: Settings, look: Callable[[], Machine]) -> None:
        self._wishes = wishes_of(settings)
        self._no_card = settings.engine.device == "cpu" or settings.memory.profile == "cpu"
        self._look = look
        self._plans: OrderedDict[tuple[object, ...], Plan | DoesNotFit] = OrderedDict()

    @cached_property
    def machine(self) -> Machine:
        found = self._look()
        return Machine(**{**vars(found), "card": None}) if self._no_card else found

    def in_order(self, entries: tuple[ModelEntry, ...]) -> tuple[ModelEntry, ...]:
        """Without a card, the model that needs none comes first."""
        # Of one there is nothing to say, and looking at a card takes a moment.
        if len(entries) < 2 or self.machine.card is not None:
            return entries
        return tuple(sorted(entries, key=lambda entry: entry.name != DEMO.name))

    def machine_words(self, words: Words) -> str:
        machine = self.machine
        ram = round(machine.ram_total / GB)
        if machine.card is None:
            return words.say("models.machine_no_card", ram=ram)
        return words.say("models.machine", card=machine.card.name, vram=round(machine.card.total / GB), ram=ram)

    def fit(self, entry: ModelEntry, words: Words) -> Fit:
        plan = self._plan(entry, entry.default_width, entry.default_height)
        size = f"{entry.default_width} × {entry.default_height}"
        if isinstance(plan, DoesNotFit):
            return Fit(fits=False, words=words.say(f"refused.{plan.code}", **plan.details))
        time = duration(plan.seconds_per_step * entry.default_steps, words)
        key = "models.fits_no_card" if plan.device == "cpu" else "models.fits"
        vram, ram = round(plan.promised_vram / GB, 1), round(plan.promised_ram / GB, 1)
        return Fit(fits=True, words=words.say(key, size=size, time=time, vram=f"{vram:g}", ram=f"{ram:g}"))

    def fits(self, entry: ModelEntry) -> bool:
        """At the model's own size."""
        return isinstance(self._plan(entry, entry.default_width, entry.default_height), Plan)

    def plan(self, entry: ModelEntry, request: GenerationRequest) -> Plan | DoesNotFit:
        """For one picture. What LoRAs take is not in it."""
        passes = request.steps * (1 if request.cfg_scale == 1 else 2)
        return self._plan(entry, request.width, request.height, passes=passes, step_cache=request.step_cache > 0)

    def _plan(self, entry: ModelEntry, width: int, height: int, **more: Any) -> Plan | DoesNotFit:
        key = (entry, width, height, *more.items())
        if key not in self._plans:
            try:
                self._plans[key] = make_plan(entry, self.machine, self._wishes, width=width, height=height, **more)
            except DoesNotFit as error:
                self._plans[key] = error
            while len(self._plans) > MOST_PLANS:
                with suppress(KeyError):  # another thread was faster
                    self._plans.popitem(last=False)
        return self._plans[key]
