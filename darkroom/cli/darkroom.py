"""What a command needs of a Darkroom: the one that runs on the history already, or one for the time it takes.

Views are those that the page's scripts get. Must not know: which of the two it is.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from darkroom.weights import Hub

View = Mapping[str, Any]
CLIENT = "command-line"
"""By this name commands take their turns in the queue."""


class Studio(Protocol):
    """Makes pictures. Its methods raise DarkroomError."""

    def queue(self) -> View: ...

    def resume_queue(self) -> None: ...

    def order(self, values: Mapping[str, object]) -> tuple[int, ...]:
        """The jobs."""
        ...

    def reading(self, values: Mapping[str, object]) -> View:
        """How much of the prompt is read: `tokens` and `unread`, as the page has them."""
        ...

    def job(self, job: int) -> View: ...

    def stop(self, job: int) -> None: ...

    def picture(self, picture: int) -> bytes:
        """The PNG."""
        ...

    def place(self, picture: int) -> str:
        """Where a person finds it."""
        ...


class Stock(Protocol):
    """Has the models. Its methods raise DarkroomError."""

    def models(self, hub: Hub) -> View: ...

    def act(self, name: str, act: str, hub: Hub, home: str = "") -> None:
        """`act` is get, check, pause or remove. `home` is the folder to fetch into; "": the models folder."""
        ...

    def needs(self, name: str) -> str:
        """What depends on it, in sentences; "" where nothing does."""
        ...
