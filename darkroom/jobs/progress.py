"""How far jobs are, in memory: the last thing the engine said about each, and the last preview.

Must not know: rows, engines, or threads other than that there are several.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Literal

from darkroom.jobs.messages import Entered, Event, Loading, Ready, Step

Activity = Literal[
    "waiting",
    "starting",
    "loading",
    "encoding",
    "denoising",
    "decoding",
    "saving",
    "paused",
    "done",
    "failed",
    "cancelled",
]

JOBS_REMEMBERED = 4
"""The running one and the last few that ended: a page that looks a moment later still finds its preview."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a running job is doing. `fraction` is of the activity where that is known, `seconds_left` of the steps.

    `since` is when the activity began, `stepped_at` when the last step ended, `pace` the seconds of its own steps, of
    which `own_steps` were timed.
    """

    activity: Activity
    part: str | None = None
    fraction: float | None = None
    step: int = 0
    preview: bytes | None = None
    preview_number: int = 0
    seconds_left: float | None = None
    first_step_at: float | None = None
    since: float | None = None
    stepped_at: float | None = None
    pace: float | None = None
    own_steps: int = 0

    def after(self, event: Event, now: float) -> "Progress":
        """What it is once the engine has said this. `now` is of a clock that never jumps, in seconds."""
        match event:
            case Ready():
                return self.entering("loading", now)
            case Loading():
                return replace(self.entering("loading", now), part=event.part, fraction=event.fraction)
            case Entered():
                return replace(self.entering(event.stage, now), fraction=event.fraction or None)
            case Step():
                return self._after_step(event, now)
            case _:
                return self

    def entering(self, activity: Activity, now: float | None = None) -> "Progress":
        since = self.since if activity == self.activity else now
        return replace(self, activity=activity, part=None, fraction=None, seconds_left=None, since=since)

    def _after_step(self, step: Step, now: float) -> "Progress":
        moved = replace(self.entering("denoising", now), step=step.number, stepped_at=now)
        if step.preview_jpeg:
            moved = replace(moved, preview=step.preview_jpeg, preview_number=self.preview_number + 1)
        # The first that this attempt made need not be the first of the picture.
        if self.first_step_at is None or step.number < 2:
            return replace(moved, first_step_at=now, own_steps=0, pace=None)
        own_steps = self.own_steps + max(1, step.number - self.step)
        pace = (now - self.first_step_at) / own_steps
        return replace(moved, seconds_left=pace * (step.of - step.number), pace=pace, own_steps=own_steps)


class ProgressBoard:
    """The latest Progress of the last few jobs. One thread writes, any thread reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: OrderedDict[int, Progress] = OrderedDict()

    def begin(self, job: int, activity: Activity, now: float | None = None) -> None:
        """A new attempt. Previews count on, so that a page does not take a new one for one it has seen."""
        with self._lock:
            earlier = self._progress.pop(job, None)
            progress = Progress(activity=activity, since=now)
            if earlier is not None:
                progress = replace(progress, preview=earlier.preview, preview_number=earlier.preview_number)
            self._progress[job] = progress
            while len(self._progress) > JOBS_REMEMBERED:
                self._progress.popitem(last=False)

    def put(self, job: int, progress: Progress) -> None:
        with self._lock:
            self._progress[job] = progress

    def get(self, job: int) -> Progress | None:
        with self._lock:
            return self._progress.get(job)
