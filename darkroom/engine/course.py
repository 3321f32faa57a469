"""Course: which steps of one picture are made here. It may begin after some that are done, and end before the last.

DiffSynth's loop goes through all numbers of steps all the same; those that are not made cost nothing. Must not know:
how a step is made.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor

from darkroom.engine.checkpoint import Start, pack
from darkroom.engine.step_cache import StepCache
from darkroom.engine.watcher import Watcher

Facts = dict[str, str | int | float]


class Scaling(Protocol):
    """What activations of the next step are scaled by, where that hangs on the steps before."""

    def state(self) -> dict[str, Tensor]: ...

    def go_on(self, tensors: Mapping[str, Tensor]) -> None: ...


class Course:
    """Of one picture. `identity` is that of its checkpoints; `start` is where it begins, if not with noise."""

    def __init__(self, watcher: Watcher, identity: str = "", start: Start | None = None) -> None:
        self._watcher = watcher
        self._identity = identity
        self._start = start
        self.done = self.begins
        self._ended_early = False

    @property
    def begins(self) -> int:
        """How many steps are done already."""
        return 0 if self._start is None else self._start.number

    def made_elsewhere(self, place: int) -> bool:
        """Whether the step at this place, counted from 0, is not to be made again."""
        return place < self.begins

    def restored(self, like: Tensor) -> Tensor:
        """The latents it begins with, where and as the others are."""
        assert self._start is not None
        return self._start.latents.to(device=like.device, dtype=like.dtype)

    def places(self, steps: Iterator[Tensor]) -> Iterator[Tensor]:
        """The loop over steps, which ends when somebody has seen enough."""
        for step in steps:
            if self._ended_early:
                return
            yield step

    def take_up(self, cache: StepCache | None, scaling: Scaling, device: torch.device) -> None:
        """What steps depend on beside the latents goes on where it was."""
        if self._start is not None:
            held = {name: tensor.to(device) for name, tensor in self._start.cached.items()}
            scaling.go_on(held)
            if cache is not None and self._start.figures:
                cache.go_on(held, self._start.figures)

    def after(
        self, place: int, of: int, latents: Tensor, estimate: Tensor, cache: StepCache | None, scaling: Scaling
    ) -> Tensor:
        """A step was made: the latents to go on with. `estimate`: if there were no more noise to take away."""
        self.done = place + 1
        cached, figures = cache.state() if cache is not None else ({}, [])
        cached |= scaling.state()
        reached = Start(number=self.done, latents=latents, cached=cached, figures=tuple(figures))
        self._watcher.checkpoint(self.done, lambda: pack(reached, self._identity))
        if self.done < of and self._watcher.finish_asked():
            self._ended_early = True
            return estimate.to(latents.dtype)
        return latents

    def facts(self) -> Facts:
        """What a person who looks at the picture should know of how it came about."""
        facts: Facts = {"steps_done": self.done} if self._ended_early else {}
        return facts | ({"resumed_at_step": self.begins} if self.begins else {})
