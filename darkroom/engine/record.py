"""Record: what one picture took, stage by stage, beside what its plan promised.

Must not know: how a picture is made.
"""

import time
from typing import Any, TypeAlias

import torch

from darkroom.jobs.messages import Stage
from darkroom.planner import Plan

Facts: TypeAlias = dict[str, str | int | float]
Moment: TypeAlias = Any  # seconds, or an event of the card

MIB = 2**20


class Record:
    """Begins when it is made. Figures of the card are torch's own, of this process alone."""

    def __init__(self, device: torch.device, plan: Plan) -> None:
        self._device = device
        self._plan = plan
        self._clock = _CardClock() if device.type == "cuda" else _Clock()
        self._began = time.monotonic()
        self._stages: list[tuple[Stage, Moment]] = []
        self._retries = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._retries = _retries(device)

    def enter(self, stage: Stage) -> None:
        if not self._stages or self._stages[-1][0] != stage:
            self._stages.append((stage, self._clock.now()))

    def facts(self) -> Facts:
        """Seconds, and MiB of the card: reserved is what it took, allocated what was in use of that."""
        ends = [*(moment for _, moment in self._stages[1:]), self._clock.now()]
        seconds: dict[Stage, float] = {}
        for (stage, began), ended in zip(self._stages, ends, strict=True):
            seconds[stage] = seconds.get(stage, 0.0) + self._clock.between(began, ended)
        facts: Facts = {"seconds": round(time.monotonic() - self._began, 3), "profile": self._plan.profile}
        facts |= {f"seconds_{stage}": round(spent, 3) for stage, spent in seconds.items()}
        if self._plan.decode_tile is not None:
            facts["vae_tile"] = self._plan.decode_tile
        if self._plan.table_rows:
            facts["modulation"] = "table"
        if self._device.type == "cuda":
            facts |= {
                "promised_mib": self._plan.promised_vram // MIB,
                "peak_mib": torch.cuda.max_memory_reserved(self._device) // MIB,
                "allocated_mib": torch.cuda.max_memory_allocated(self._device) // MIB,
                "weights": self._plan.weights,
                # How often memory was found only after the allocator's cache had been emptied.
                "allocator_retries": _retries(self._device) - self._retries,
            }
        return facts


def _retries(device: torch.device) -> int:
    return int(torch.cuda.memory_stats(device).get("num_alloc_retries", 0))


class _Clock:
    def now(self) -> Moment:
        return time.monotonic()

    def between(self, began: Moment, ended: Moment) -> float:
        return float(ended - began)


class _CardClock(_Clock):
    """Moments of the card's own work, noted without waiting for it; asked for when it is done."""

    def now(self) -> Moment:
        event: Any = torch.cuda.Event
        moment = event(enable_timing=True)
        moment.record(torch.cuda.current_stream())
        return moment

    def between(self, began: Moment, ended: Moment) -> float:
        ended.synchronize()
        return float(began.elapsed_time(ended)) / 1000
