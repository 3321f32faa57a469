"""Experience: how long this machine's own finished pictures took, by kind, and so how long the next will take.

Pure figures of what the ledger tells. Must not know: rows, engines, or what is running.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import exp, log
from statistics import median

from darkroom.request import GenerationRequest

LEARNED_FROM = 5
"""The last so many of a kind count, so that a change of the machine is learned. With so many it is well known."""

# The machine's pace, as what else runs on it changes: how much of a picture's surprise it takes over, and how much of
# itself it keeps from one picture to the next. So a busy hour is noticed for all kinds, and long ago it means nothing.
FOLLOWED, PACE_KEPT = 0.5, 0.9
MOST_SURPRISE = log(2.5)
KINDS_KEPT = 400
PROMPTS_KEPT = 60
# Pixels whose tokens cost a step about as much as those of the prompt.
PROMPT_PIXELS = 512 * 256
# Facts that the server adds to the engine's own.
STARTING, LOADING, ENGINE_RAM = "seconds_starting", "seconds_loading", "engine_ram_mib"

Facts = Mapping[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a request says that decides how long a step takes."""

    model: str
    width: int
    height: int
    passes: int
    step_cache: float
    prompt_tokens: int
    loras: int

    @classmethod
    def of(cls, request: GenerationRequest) -> "Kind":
        return cls(
            model=request.model,
            width=request.width,
            height=request.height,
            passes=1 if request.cfg_scale == 1 else 2,
            step_cache=request.step_cache,
            prompt_tokens=request.prompt_tokens,
            loras=len(request.loras),
        )

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def work(self) -> float:
        """Of a step, about, to compare sizes of one model."""
        return self.passes * (self.pixels + PROMPT_PIXELS)


@dataclass(frozen=True, kw_only=True)
class Way:
    """What decides it beside the request: where and by which plan it was made."""

    device: str
    rung: int
    compiled: bool
    weights: str
    profile: str


@dataclass(frozen=True, kw_only=True)
class Made:
    """A finished picture, as the ledger tells of it. Times are in UTC."""

    picture: int
    request: GenerationRequest
    facts: Facts
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What one picture took, in seconds. `peak` and `ram` are MiB, 0 where nobody said.

    `is_repeat`: its prompt was read a short while before. `pace` is the machine's at that time, as a logarithm: above 0
    it had more to do than usual.
    """

    way: Way
    encoding: float
    step: float
    decoding: float
    rest: float
    peak: int
    ram: int
    is_repeat: bool
    pace: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Seconds of each part of a picture to come. `lessons` of its kind were counted; with 0 it is a guess from `near`.

    `starting` and `loading` are what a fresh engine and a model that is not loaded cost beside it. `peak` and `ram` are
    in MiB, 0 where nobody knows; of a guess they are those of `near`.
    """

    encoding: float
    step: float
    decoding: float
    rest: float
    starting: float
    loading: float
    lessons: int
    peak: int = 0
    ram: int = 0
    near: Kind | None = None

    def whole(self, steps: int) -> float:
        """Of a warm engine."""
        return self.encoding + self.step * steps + self.decoding + self.rest


class Experience:
    """Learns from each picture once, in the order in which they were made. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lessons: dict[Kind, deque[Lesson]] = {}
        self._starting: deque[float] = deque(maxlen=LEARNED_FROM)
        self._loading: dict[str, deque[float]] = {}
        self._prompts: deque[tuple[str, str, str]] = deque(maxlen=PROMPTS_KEPT)
        self._pace = 0.0

    def learn(self, made: Iterable[Made]) -> None:
        with self._lock:
            for each in made:
                self._learn(each)

    def expect(self, kind: Kind, rung: int = 0, *, is_repeat: bool = False) -> Expected | None:
        """Of the way in which the last of its kind on that rung was made. None: nothing is known of its model."""
        with self._lock:
            starting = median(self._starting) if self._starting else 0.0
            loaded = self._loading.get(kind.model)
            loading = median(loaded) if loaded else 0.0
            if lessons := self._of_one_way(kind, rung):
                return _expected(lessons, starting, loading, self._pace, is_repeat=is_repeat)
            near = min(
                (other for other in self._lessons if other.model == kind.model),
                key=lambda other: (other.passes != kind.passes, abs(other.work / kind.work - 1)),
                default=None,
            )
            if near is None:
                return None
            lessons = self._of_one_way(near, rung) or list(self._lessons[near])
            found = _expected(lessons, starting, loading, self._pace)
            larger = kind.pixels / near.pixels
            return Expected(
                encoding=found.encoding,
                step=found.step * kind.work / near.work,
                decoding=found.decoding * larger,
                rest=found.rest * larger,
                starting=starting,
                loading=loading,
                lessons=0,
                peak=found.peak,
                ram=found.ram,
                near=near,
            )

    def was_read(self, request: GenerationRequest) -> bool:
        """Whether its prompt is among the last, so that it need not be read again."""
        with self._lock:
            return _prompt_of(request) in self._prompts

    def _of_one_way(self, kind: Kind, rung: int) -> list[Lesson]:
        lessons = [lesson for lesson in self._lessons.get(kind, ()) if lesson.way.rung == rung]
        return [lesson for lesson in lessons if lesson.way == lessons[-1].way][-LEARNED_FROM:]

    def _learn(self, made: Made) -> None:
        request, facts = made.request, made.facts
        prompt = _prompt_of(request)
        starting, loading = _seconds(facts, STARTING), _seconds(facts, LOADING)
        if starting:
            self._starting.append(starting)
        if loading:
            self._loading.setdefault(request.model, deque(maxlen=LEARNED_FROM)).append(loading)
        lesson = _lesson(made, starting + loading, is_repeat=prompt in self._prompts)
        if prompt not in self._prompts:
            self._prompts.append(prompt)
        if lesson is None:
            return
        kind = Kind.of(request)
        # The kind that was made last is the last to be forgotten. Twice as many, for two ways that take turns.
        lessons = self._lessons.pop(kind, None) or deque(maxlen=2 * LEARNED_FROM)
        self._pace *= PACE_KEPT
        alike = [each for each in lessons if each.way == lesson.way][-LEARNED_FROM:]
        if len(alike) > 1:
            surprise = log(lesson.step / _usual(alike, self._pace, lambda each: each.step))
            self._pace += FOLLOWED * max(-MOST_SURPRISE, min(surprise, MOST_SURPRISE))
        lessons.append(replace(lesson, pace=self._pace))
        self._lessons[kind] = lessons
        while len(self._lessons) > KINDS_KEPT:
            del self._lessons[next(iter(self._lessons))]


def _lesson(made: Made, before: float, *, is_repeat: bool) -> Lesson | None:
    """None: it says nothing of how long a step takes."""
    facts, request = made.facts, made.request
    done = int(_seconds(facts, "steps_done") or request.steps)
    steps = done - int(_seconds(facts, "resumed_at_step"))
    wall = 0.0
    if made.started_at is not None and made.finished_at is not None:
        wall = max(0.0, (made.finished_at - made.started_at).total_seconds() - before)
    encoding, decoding = _seconds(facts, "seconds_encoding"), _seconds(facts, "seconds_decoding")
    denoising = _seconds(facts, "seconds_denoising") or max(
        0.0, (wall or _seconds(facts, "seconds")) - encoding - decoding
    )
    if steps < 1 or denoising <= 0:
        return None
    return Lesson(
        way=Way(
            device=str(facts.get("device", "")),
            rung=int(_seconds(facts, "rung")),
            compiled=facts.get("compiled") == "yes",
            weights=str(facts.get("weights", "")),
            profile=str(facts.get("profile", "")),
        ),
        encoding=encoding,
        step=denoising / steps,
        decoding=decoding,
        rest=max(0.0, wall - encoding - denoising - decoding),
        peak=int(_seconds(facts, "peak_mib")),
        ram=int(_seconds(facts, ENGINE_RAM)),
        is_repeat=is_repeat,
    )


def _expected(
    lessons: list[Lesson], starting: float, loading: float, pace: float, *, is_repeat: bool = False
) -> Expected:
    alike = [lesson for lesson in lessons if lesson.is_repeat == is_repeat] or lessons
    return Expected(
        encoding=_usual(alike, pace, lambda lesson: lesson.encoding),
        step=_usual(lessons, pace, lambda lesson: lesson.step),
        decoding=_usual(lessons, pace, lambda lesson: lesson.decoding),
        rest=_usual(lessons, pace, lambda lesson: lesson.rest),
        starting=starting,
        loading=loading,
        lessons=len(lessons),
        peak=max(lesson.peak for lesson in lessons),
        ram=max(lesson.ram for lesson in lessons),
    )


def _usual(lessons: list[Lesson], pace: float, seconds: Callable[[Lesson], float]) -> float:
    """What it takes in the middle, at this pace of the machine."""
    return exp(pace) * median(seconds(lesson) / exp(lesson.pace) for lesson in lessons)


def _prompt_of(request: GenerationRequest) -> tuple[str, str, str]:
    return request.model, request.prompt, request.negative_prompt if request.cfg_scale != 1 else ""


def _seconds(facts: Facts, name: str) -> float:
    """A figure of the facts, 0 where there is none."""
    value = facts.get(name, 0)
    return float(value) if isinstance(value, int | float) else 0.0
