"""What a full disk did not take: said once in the log, told to whoever asks, and tried again until it is written.

Must not know: what is written, or where.
"""

import logging
from collections.abc import Callable
from threading import Event

from darkroom.errors import NotWritten

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 5.0
"""Between two tries."""


class Unwritten:
    """One thread notes, any thread asks. Whoever is `closing` waits for nothing any more."""

    def __init__(self, pause: float, closing: Event) -> None:
        self._pause = pause
        self._closing = closing
        self._why: str | None = None

    def why(self) -> str | None:
        """The code of the error; None while everything is taken."""
        return self._why

    def note(self, error: NotWritten) -> None:
        if self._why is None:
            log.error("%s Until then nothing is begun or saved, and nothing is lost (%s)", error, error.__cause__)
        self._why = error.code

    def clear(self) -> None:
        if self._why is not None:
            log.info("The history can be written again")
        self._why = None

    def insist(self, write: Callable[[], None], after_all: Callable[[], Callable[[], None] | None]) -> None:
        """Until it is written. `after_all` says before another try what is to be written then; None: nothing."""
        pause = self._pause
        following: Callable[[], None] | None = write
        while following is not None:
            try:
                following()
                self.clear()
                return
            except NotWritten as error:
                self.note(error)
            if self._closing.wait(pause):
                return
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            following = after_all()
