"""Waiting for something to become true, instead of for time to pass."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 10.0


def eventually(condition: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> None:
    """Raises AssertionError when it does not become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.002)
