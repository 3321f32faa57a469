"""Watcher: whom a picture in the making tells what happens, and who may end it.

Must not know: torch, or how the news travels.
"""

from collections.abc import Callable

from darkroom.jobs.messages import Stage


class StopAsked(Exception):
    """A request, not a fault: ends a picture at the next boundary."""


class Watcher:
    """Watches in silence. Subclasses tell someone; every method of theirs but `finish_asked` may raise StopAsked."""

    def loading(self, part: str, fraction: float) -> None:
        """`fraction` of all the model's bytes is read; `part` is being read now."""

    def planned(self, seconds_per_step: float) -> None:
        """The picture is planned, and a step should take so long."""

    def entered(self, stage: Stage, fraction: float = 0.0) -> None:
        """The picture has entered a stage, or `fraction` of it is done: told wherever it may be ended."""

    def passing(self) -> None:
        """Nothing is new, but here it may be ended as well. Told often, so it must cost nothing."""

    def step(self, number: int, of: int, preview_jpeg: Callable[[], bytes]) -> None:
        """A step is done. `preview_jpeg` makes the preview only if it is called."""

    def checkpoint(self, number: int, content: Callable[[], bytes]) -> None:
        """After each step: `content` makes a checkpoint of it, now or until the next one."""

    def finish_asked(self) -> bool:
        """Whether somebody wants the picture as it is now."""
        return False
