"""What the supervisor needs of an engine process. The real one is `process_engine`; tests inject faults with their own.

Must not know: how the other side makes pictures.
"""

from collections.abc import Callable
from typing import Protocol

from darkroom.jobs.messages import Command, Event


class Engine(Protocol):
    """One engine process. After EngineLost it is of no more use."""

    def send(self, command: Command) -> None:
        """Raises EngineLost."""

    def receive(self, timeout: float) -> Event | None:
        """The next event, or None after `timeout` seconds without one. Raises EngineLost."""

    def close(self) -> None:
        """End the process, politely for a moment, then by force. Safe to call twice."""

    def kill(self) -> None:
        """End the process at once. Safe to call twice, and before or after `close`."""


EngineFactory = Callable[[], Engine]
