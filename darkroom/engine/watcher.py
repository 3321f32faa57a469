"""Watcher: whom a picture in the making tells what happens, and who may end it.

Must not know: torch, or how the news travels.
"""

from collections.abc import Callable

from darkroom.jobs.messages import Stage


class StopAsked(Exception):
    """A request, not a fault: ends a picture at the next boundary."""


class Watcher:
    """Watches in silence. Subclasses tell someone; every method of theirs may raise StopAsked."""

    def loading(self, part: str, fraction: float) -> None:
        """`fraction` of all the model's bytes is read; `part` is being read now."""

    def entered(self, stage: Stage, fraction: float = 0.0) -> None:
        """The picture has entered a stage, or `fraction` of it is done: told wherever it may be ended."""

    def step(self, number: int, of: int, preview_jpeg: Callable[[], bytes]) -> None:
        """A step is done. `preview_jpeg` makes the preview only if it is called."""
