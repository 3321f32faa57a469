"""Forecast: how long a job and the whole queue will still take, from what this machine's own pictures took.

Must not know: engines, or in which words it will be said.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from darkroom.jobs.experience import LEARNED_FROM, Expected, Experience, Kind
from darkroom.jobs.job import Job
from darkroom.jobs.ledger import JobLedger, Order
from darkroom.jobs.progress import Progress
from darkroom.request import GenerationRequest

# Own steps, after which a picture's own pace is believed before that of others.
OWN_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Left:
    """`lessons` pictures of its kind were counted; with 0 it is a guess by size, or by its own steps."""

    seconds: float
    lessons: int

    @property
    def is_well_known(self) -> bool:
        return self.lessons >= LEARNED_FROM


@dataclass(frozen=True, kw_only=True)
class LineLeft:
    """Of all that wait. `unknown` of them are not in it: nothing of their model was made here."""

    seconds: float
    unknown: int
    is_well_known: bool

    def after(self, running: Left | None) -> "LineLeft":
        """With a job that is being made before them."""
        if running is None:
            return replace(self, unknown=self.unknown + 1, is_well_known=False)
        is_well_known = self.is_well_known and running.is_well_known
        return replace(self, seconds=self.seconds + running.seconds, is_well_known=is_well_known)


class Forecast:
    """Safe to use from several threads. What was made is asked of the ledger at the first question, and by `learn`."""

    def __init__(self, ledger: JobLedger) -> None:
        self._ledger = ledger
        self._experience = Experience()
        self._lock = threading.Lock()
        self._adding_up = threading.Lock()
        self._last: int | None = None
        # Of jobs that wait: an order never changes.
        self._orders: dict[int, Order] = {}
        self._line: tuple[tuple[Sequence[int], str | None, int | None], LineLeft] | None = None

    def learn(self) -> None:
        """From the pictures that were made since."""
        with self._lock:
            while made := self._ledger.made(after=self._last):
                self._experience.learn(made)
                self._last = made[-1].picture
            self._last = self._last or 0

    def expect(self, request: GenerationRequest, rung: int = 0) -> Expected | None:
        if self._last is None:
            self.learn()
        is_repeat = self._experience.was_read(request)
        return self._experience.expect(Kind.of(request), rung, is_repeat=is_repeat)

    def whole(self, request: GenerationRequest, rung: int = 0) -> Left | None:
        """One picture on a warm engine."""
        expected = self.expect(request, rung)
        return None if expected is None else Left(seconds=expected.whole(request.steps), lessons=expected.lessons)

    def left(self, job: Job, progress: Progress, now: float) -> Left | None:
        """Of a running job. `now` is of the clock that the progress is told by."""
        expected = self.expect(job.request, job.rung)
        if expected is None:
            return None if progress.seconds_left is None else Left(seconds=progress.seconds_left, lessons=0)
        spent = 0.0 if progress.since is None else now - progress.since
        return Left(seconds=max(0.0, _seconds_left(expected, job, progress, spent, now)), lessons=expected.lessons)

    def line(self, ids: Sequence[int], *, model: str | None) -> LineLeft:
        """Of the waiting jobs in their order. `model` is the one that an engine holds, None where there is none."""
        if self._last is None:
            self.learn()
        key = (ids, model, self._last)
        # After a change everybody asks at once: one thread adds up.
        with self._adding_up:
            known = self._line
            # The same tuple: nothing has changed since.
            if known is not None and known[0][0] is ids and known[0][1:] == key[1:]:
                return known[1]
            found = self._line_left(ids, model)
            self._line = (key, found)
            return found

    def _line_left(self, ids: Sequence[int], model: str | None) -> LineLeft:
        orders = self._orders_of(ids)
        seconds, unknown, is_well_known = 0.0, 0, True
        known: dict[tuple[Kind, int, bool], Expected | None] = {}
        read: set[tuple[str, str]] = set()
        for id in ids:
            order = orders.get(id)
            if order is None:  # it ended in this moment
                continue
            request = order.request
            prompt = (request.prompt, request.negative_prompt)
            key = (Kind.of(request), order.rung, prompt in read or self._experience.was_read(request))
            read.add(prompt)
            if key not in known:
                known[key] = self._experience.expect(key[0], key[1], is_repeat=key[2])
            expected = known[key]
            if expected is None:
                unknown += 1
                continue
            seconds += expected.whole(request.steps)
            if model != request.model:
                seconds += expected.loading + (expected.starting if model is None else 0)
                model = request.model
            is_well_known = is_well_known and expected.lessons >= LEARNED_FROM
        return LineLeft(seconds=seconds, unknown=unknown, is_well_known=is_well_known and not unknown)

    def _orders_of(self, ids: Sequence[int]) -> dict[int, Order]:
        with self._lock:
            known = {id: self._orders[id] for id in ids if id in self._orders}
            known |= self._ledger.orders([id for id in ids if id not in known])
            self._orders = known
            return known


def _seconds_left(expected: Expected, job: Job, progress: Progress, spent: float, now: float) -> float:
    steps = job.request.steps - progress.step
    after_steps = expected.decoding + expected.rest
    from_encoding = expected.encoding + expected.step * steps + after_steps
    match progress.activity:
        case "starting":
            return max(0.0, expected.starting - spent) + expected.loading + from_encoding
        case "loading":
            return max(0.0, expected.loading - spent) + from_encoding
        case "encoding":
            return max(0.0, expected.encoding - spent) + expected.step * steps + after_steps
        case "denoising":
            own = progress.own_steps >= OWN_STEPS or expected.lessons < LEARNED_FROM
            pace = progress.pace if own and progress.pace is not None else expected.step
            begun = progress.since if progress.stepped_at is None else progress.stepped_at
            in_step = 0.0 if begun is None else now - begun
            return max(0.0, steps * pace - min(in_step, pace)) + after_steps
        case "decoding":
            return max(0.0, expected.decoding - spent) + expected.rest
        case _:
            return expected.rest - spent
