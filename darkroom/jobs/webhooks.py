"""Webhooks: other programs are told when a job has ended, and when nothing is left to do. The queue never waits.

Must not know: who listens, or how a job runs.
"""

import json
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from darkroom.jobs.job import Job
from darkroom.jobs.ledger import JobLedger
from darkroom.jobs.outside import AddressRefused, post

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
MOST_PENDING = 1000
WAITS = (1.0, 5.0, 25.0)
"""In seconds, before each further attempt."""
WORTH_ANOTHER_TRY = frozenset({408, 425, 429})

Post = Callable[[str, bytes], int]


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Where to tell of what; empty: nowhere. `allow_private`: this machine and its neighbours may be told."""

    on_job_done: str = ""
    on_queue_empty: str = ""
    allow_private: bool = False
    timeout_seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class _Message:
    address: str
    content: Mapping[str, Any]


class Webhooks:
    """A context: while it lasts, what happens is told. What happened before is not."""

    def __init__(
        self, hooks: Hooks, ledger: JobLedger, *, send: Post | None = None, waits: tuple[float, ...] = WAITS
    ) -> None:
        self._hooks = hooks
        self._ledger = ledger
        self._send = send or self._post
        self._waits = waits
        self._closing = threading.Event()
        self._pending: queue.Queue[_Message] = queue.Queue(MOST_PENDING)
        self._threads = [
            threading.Thread(target=work, name=f"webhooks-{name}", daemon=True)
            for name, work in (("watch", self._watch), ("tell", self._tell))
        ]

    def __enter__(self) -> "Webhooks":
        if self._hooks.on_job_done or self._hooks.on_queue_empty:
            self._place = (self._ledger.last_change(), 2**62)
            for thread in self._threads:
                thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does not wait for an answer that is on its way."""
        self._closing.set()

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                self._look()
            except Exception:  # a fault of one look must not end all later ones
                log.exception("A fault while looking for what to tell")

    def _look(self) -> None:
        while changes := self._ledger.changes(after=self._place[0], after_job=self._place[1]):
            has_ended = False
            for change in changes:
                self._place = (change.number, change.job.id)
                # What failed has ended before it was given up.
                is_end = change.job.state in ("done", "failed", "cancelled") and not change.job.is_given_up
                has_ended = has_ended or is_end
                if change.job.state in ("done", "failed"):
                    self._put(self._hooks.on_job_done, _ended(change.job))
            if has_ended and not self._ledger.counts():
                self._put(self._hooks.on_queue_empty, {"event": "queue_empty", "at": _now()})

    def _put(self, address: str, content: Mapping[str, Any]) -> None:
        if not address:
            return
        try:
            self._pending.put_nowait(_Message(address=address, content=content))
        except queue.Full:
            log.warning("A webhook is too slow: %s is not told", content["event"])

    def _tell(self) -> None:
        while not self._closing.is_set():
            try:
                message = self._pending.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            self._deliver(message)

    def _deliver(self, message: _Message) -> None:
        body = json.dumps(message.content).encode()
        for wait in (*self._waits, None):
            try:
                status = self._send(message.address, body)
            except AddressRefused as error:
                log.warning("The webhook %s is not called: %s", message.address, error)
                return
            except OSError as error:
                problem = str(error)
            else:
                if status < 300:
                    return
                problem = f"it answered {status}"
                if status < 500 and status not in WORTH_ANOTHER_TRY:
                    wait = None
            if wait is None:
                log.warning("The webhook %s was not told of %s: %s", message.address, message.content["event"], problem)
                return
            if self._closing.wait(wait):
                return

    def _post(self, address: str, body: bytes) -> int:
        hooks = self._hooks
        return post(address, body, timeout=hooks.timeout_seconds, allow_private=hooks.allow_private)


def _ended(job: Job) -> Mapping[str, Any]:
    return {
        "event": "job_done",
        "at": (job.finished_at or datetime.now(UTC)).isoformat(),
        "job": job.id,
        "state": job.state,
        "picture": job.picture,
        "group": job.group,
        "client": job.client,
        "error": job.error_code,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat()
