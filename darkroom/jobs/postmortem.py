"""Post-mortem: why an attempt at a picture ended, from how memory stood in the last minute before.

Must not know: rows, or in which language it will be said.
"""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from darkroom.footprint import GB
from darkroom.jobs.memory import SystemMemory, look_at_memory
from darkroom.jobs.messages import Memory
from darkroom.jobs.progress import Progress

SECONDS_BETWEEN_LOOKS = 1.0
LOOKS_KEPT = 60
# Just before a process is ended for want of memory, RAM is about as full as this; some programs act at 90.
FULL_PERCENT = 88
RECENT_SECONDS = 15.0
# How a system, or a program that looks after its memory, ends a process that takes too much.
KILLED = ("signal 9", "signal 15")
NOTHING_SAID = Memory(resident=0, card=0)
NOTHING_KNOWN = SystemMemory(total=0, free=0, swap=0, swap_free=0, kills=0)


@dataclass(frozen=True, kw_only=True)
class Look:
    """At one moment, of a clock that never jumps. The engine's own figures may be a second older."""

    at: float
    system: SystemMemory
    engine: Memory


class Samples:
    """The last minute of one engine. Not for several threads."""

    def __init__(self, look: Callable[[], SystemMemory] = look_at_memory) -> None:
        self._look = look
        self._engine = NOTHING_SAID
        self._looks: deque[Look] = deque(maxlen=LOOKS_KEPT)
        self._first_kills: int | None = None
        self._most_resident = 0

    def begin(self, *, fresh_engine: bool = False) -> None:
        """A new attempt: kills of before do not count, nor what another engine said."""
        if fresh_engine:
            self._engine = NOTHING_SAID
        self._looks.clear()
        self._first_kills = None
        self._most_resident = self._engine.resident

    def hear(self, memory: Memory) -> None:
        self._engine = memory
        self._most_resident = max(self._most_resident, memory.resident)

    def take(self, now: float) -> None:
        """Look, unless it was done a moment ago."""
        if self._looks and now - self._looks[-1].at < SECONDS_BETWEEN_LOOKS:
            return
        system = self._look()
        if self._first_kills is None:
            self._first_kills = system.kills
        self._looks.append(Look(at=now, system=system, engine=self._engine))

    def fullest(self, now: float) -> SystemMemory:
        """Of the last moments, the one with least free RAM: when a process is gone its memory is free again."""
        recent = [look.system for look in self._looks if now - look.at <= RECENT_SECONDS]
        return min(recent, key=lambda system: system.free, default=NOTHING_KNOWN)

    def someone_was_killed(self) -> bool:
        """Whether, since the attempt began, the system ended a process for want of memory."""
        return self._first_kills is not None and self._look().kills > self._first_kills

    @property
    def engine(self) -> Memory:
        """What it said last."""
        return self._engine

    @property
    def most_resident(self) -> int:
        """Of the engine since the attempt began, in bytes."""
        return self._most_resident


@dataclass(frozen=True, kw_only=True)
class Cause:
    """`kind` is a key of the page's words, `detail` the values they name, as JSON, or a cause in a few plain words."""

    kind: str
    detail: str


def cause_of_loss(cause: str, samples: Samples, progress: Progress, now: float) -> Cause:
    """The engine is gone. `cause` is how its process ended, as far as that is known."""
    fullest = samples.fullest(now)
    killed_for_memory = samples.someone_was_killed() or fullest.ram_percent >= FULL_PERCENT
    if cause in KILLED and killed_for_memory:
        return Cause(kind="out_of_ram", detail=_detail(samples, progress, now, cause))
    # No fault of its own ends a process by these signals: somebody, or the system, did it.
    if cause in KILLED:
        return Cause(kind="engine_killed", detail=cause)
    return Cause(kind="engine_lost", detail=cause)


def cause_of_failure(kind: str, said: str, samples: Samples, progress: Progress, now: float) -> Cause:
    """The engine said that the job failed, and why."""
    if kind in ("out_of_memory", "out_of_ram"):
        return Cause(kind=kind, detail=_detail(samples, progress, now, said))
    return Cause(kind=kind, detail=said)


def cause_of_hang(seconds: float, samples: Samples, progress: Progress, now: float) -> Cause:
    """The engine lives and does not get on."""
    return Cause(kind="engine_hung", detail=_detail(samples, progress, now, f"{seconds:.0f} s", seconds=round(seconds)))


def _detail(samples: Samples, progress: Progress, now: float, said: str, **more: int) -> str:
    system, engine = samples.fullest(now), samples.engine
    figures = {
        "said": said,
        "doing": progress.activity,
        "part": progress.part or "",
        "ram": system.ram_percent,
        "ram_gb": round(system.total / GB, 1),
        "swap": system.swap_percent if system.swap else None,
        "engine_gb": round(samples.most_resident / GB, 1),
        "card_used_gb": round((engine.card_total - engine.card_free) / GB, 1),
        "card_gb": round(engine.card_total / GB, 1),
    }
    return json.dumps(figures | more)
