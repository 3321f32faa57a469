"""What people want of running jobs, from any thread to the supervisor's.

Must not know: rows, engines, or who asks.
"""

import threading
from typing import Literal

Wish = Literal["stop", "pause", "finish"]
STRONGEST_FIRST: tuple[Wish, ...] = ("stop", "pause", "finish")


class JobWishes:
    """A wish is for one attempt at a job: one that comes too late does not meet the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wishes: dict[tuple[int, int], set[Wish]] = {}

    def ask(self, job: int, attempt: int, wish: Wish) -> None:
        with self._lock:
            self._wishes.setdefault((job, attempt), set()).add(wish)

    def of(self, job: int, attempt: int) -> Wish | None:
        """The strongest, if there are several."""
        with self._lock:
            asked = self._wishes.get((job, attempt), set())
            return next((wish for wish in STRONGEST_FIRST if wish in asked), None)

    def forget(self, job: int, attempt: int) -> None:
        with self._lock:
            self._wishes.pop((job, attempt), None)
