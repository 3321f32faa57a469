"""Downloads: what a person wants of the hubs, done in the background one after the other, and kept over a restart.

No thread and no connection before the first wish. Must not know: pages, or what a file is for.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import BaseFileLock, FileLock, Timeout

from darkroom.downloads.hubs import HUB_TITLES, Offer, look
from darkroom.downloads.records import Act, Verdict, Wanted
from darkroom.downloads.shelf import Shelf
from darkroom.downloads.transfer import Patience, Paused, Transfer, digest_of
from darkroom.errors import DownloadFailed, NotFound
from darkroom.weights import Hub, WeightFile

log = logging.getLogger(__name__)

LOCK = Path(".darkroom") / "downloads.lock"
# Over how many seconds a rate is taken, and how often it is looked at.
RATE_SECONDS, RATE_STEP = 8.0, 0.25
# What is at work is stopped between two pieces; one that does not come is not waited for longer.
SECONDS_TO_LET_GO = 5.0
# Between two looks whether another process has let go of the folder.
SECONDS_BEHIND = 2.0

Phase = Literal["waiting", "behind", "looking", "reading", "fetching", "checking", "paused", "failed"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A wish that is not fulfilled yet, and how far it is. "reading": what has arrived before is gone through.

    "behind": another process writes to the folder. `rate` is bytes a second, while it is known.
    """

    place: str
    hub: Hub
    act: Act
    phase: Phase
    done: int
    total: int | None
    rate: float | None
    trouble: DownloadFailed | None

    @property
    def is_at_work(self) -> bool:
        return self.phase not in ("waiting", "paused", "failed")

    @property
    def is_over(self) -> bool:
        return self.phase in ("paused", "failed")


class _Running:
    """The one that is at work. Follows `Watch`."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.stop = threading.Event()
        self.phase: Phase = "looking"
        self.done = 0
        self.total: int | None = None
        self._moments: deque[tuple[float, int]] = deque()

    def tell(self, activity: str, done: int, total: int | None) -> None:
        if activity != self.phase:
            self._moments.clear()
        self.phase, self.done, self.total = activity, done, total  # type: ignore[assignment]
        now = time.monotonic()
        if not self._moments or now - self._moments[-1][0] >= RATE_STEP:
            self._moments.append((now, done))
            while now - self._moments[0][0] > RATE_SECONDS:
                self._moments.popleft()

    def rate(self) -> float | None:
        moments = tuple(self._moments)
        if len(moments) < 2:
            return None
        (began, first), now = moments[0], time.monotonic()
        return (self.done - first) / (now - began)


class Downloads:
    """Safe for many threads. With `only`, wishes for other places stay as they are."""

    def __init__(
        self,
        shelf: Shelf,
        *,
        patience: Patience | None = None,
        look: Callable[[WeightFile, Hub], Offer] = look,
        only: Collection[str] | None = None,
    ) -> None:
        self.shelf = shelf
        self._only = only
        self._records = shelf.records
        self._transfer = Transfer(shelf.folder, shelf.records, patience or Patience(), look)
        self._changed = threading.Condition()
        self._running: _Running | None = None
        # The last one, until the thread has let go of its file.
        self._held: _Running | None = None
        self._thread: threading.Thread | None = None
        self._closing = False

    def start(self) -> None:
        """Go on with what a person had asked for before the process ended."""
        with self._changed:
            self._drop_what_came()
            if any(wanted.rest == "waiting" for wanted in self._records.wanted()):
                self._wake()

    def get(self, files: Iterable[WeightFile], hub: Hub, home: Path | None = None) -> None:
        """Fetch those that are not here, in this order, after all that was asked for before.

        `home` is where large ones go. Tokenizers are small, and lie together in the models folder.
        """
        lacking = [file for file in files if not self.shelf.item(file).is_usable]
        self._want(
            [
                Wanted(place=str(file.place), hub=hub, act="fetch", home=str(home) if home and file.is_large else "")
                for file in lacking
            ]
        )

    def check(self, files: Iterable[WeightFile], hub: Hub) -> None:
        """Read those that are here from end to end."""
        here = [file for file in files if self.shelf.item(file).path is not None]
        self._want([Wanted(place=str(file.place), hub=hub, act="check") for file in here])

    def pause(self, places: Iterable[str]) -> None:
        """Rest, and keep what has arrived."""
        self._change(set(places), lambda wanted: None if wanted.act == "check" else replace(wanted, rest="paused"))

    def resume(self, places: Iterable[str], hub: Hub | None = None, home: Path | None = None) -> None:
        """Go on, or try again after a failure, perhaps with another hub. What nothing has come of goes into `home`."""

        def gone_on_with(wanted: Wanted) -> Wanted:
            moved = str(home) if home and self._is_to_come(wanted.place) else wanted.home
            return replace(wanted, rest="waiting", reason="", details=None, hub=hub or wanted.hub, home=moved)

        with self._changed:
            self._drop_what_came()
            self._change(set(places), gone_on_with, running=False)
            self._wake()

    def forget(self, places: Iterable[str]) -> None:
        """Not wanted any more, and no longer written to. What has arrived stays until it is removed."""
        gone = set(places)
        self._change(gone, lambda _: None)
        with self._changed:
            self._changed.wait_for(lambda: self._held is None or self._held.wanted.place not in gone, SECONDS_TO_LET_GO)

    def tasks(self) -> tuple[Task, ...]:
        with self._changed:
            self._drop_what_came()
            running = self._running
            return tuple(
                self._task(wanted, running if running is not None and running.wanted == wanted else None)
                for wanted in self._records.wanted()
            )

    def wait(self, seconds: float | None = None) -> bool:
        """Until all is done, paused or failed. False if it took longer."""
        with self._changed:
            return self._changed.wait_for(self._is_at_rest, seconds)

    def close(self) -> None:
        """What is at work goes on with the next start."""
        with self._changed:
            self._closing = True
            if self._running is not None:
                self._running.stop.set()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(10)

    def _is_at_rest(self) -> bool:
        return self._held is None and self._next() is None

    def _want(self, new: list[Wanted]) -> None:
        """A file is wanted once. What rests because of a person or a failure goes to the end."""
        with self._changed:
            before = self._records.wanted()
            going_on = {(each.place, each.act) for each in before if each.rest == "waiting"}
            new = [each for each in new if (each.place, each.act) not in going_on]
            places = {each.place for each in new}
            stays = [each for each in before if each.place not in places or each.rest == "waiting"]
            self._records.want([*stays, *new])
            self._wake()

    def _change(self, places: set[str], change: Callable[[Wanted], Wanted | None], *, running: bool = True) -> None:
        """What is at work is stopped by it, unless `running` is false: then it stays as it is."""
        with self._changed:
            now = self._running
            kept: list[Wanted] = []
            for wanted in self._records.wanted():
                is_at_work = now is not None and now.wanted == wanted
                if wanted.place not in places or (is_at_work and not running):
                    kept.append(wanted)
                    continue
                if is_at_work and now is not None:
                    now.stop.set()
                    self._running = None
                changed = change(wanted)
                if changed is not None:
                    kept.append(changed)
            self._records.want(kept)
            self._changed.notify_all()

    def _drop_what_came(self) -> None:
        """What is here by another way, such as a person's own hand, is not wanted any more."""
        now = self._running
        wishes = self._records.wanted()
        kept = [
            each
            for each in wishes
            if each.act != "fetch" or (now is not None and now.wanted == each) or not self._has_come(each.place)
        ]
        self._records.want(kept)

    def _has_come(self, place: str) -> bool:
        try:
            return self.shelf.item(self.shelf.file(place)).is_usable
        except NotFound:
            return False

    def _is_to_come(self, place: str) -> bool:
        """Whether nothing has arrived of a file that can go into any folder."""
        try:
            file = self.shelf.file(place)
        except NotFound:
            return False
        return file.is_large and self.shelf.item(file).state == "missing"

    def _task(self, wanted: Wanted, running: _Running | None) -> Task:
        try:
            file = self.shelf.file(wanted.place)
        except NotFound:
            file = None
        arrived = self.shelf.item(file) if file is not None else None
        beginning = self._records.beginning(wanted.place)
        begun = beginning.size if beginning is not None else None
        return Task(
            place=wanted.place,
            hub=wanted.hub,
            act=wanted.act,
            phase=running.phase if running else wanted.rest,
            done=running.done if running else arrived.bytes if arrived is not None and arrived.path is None else 0,
            total=(running.total if running else None) or (file.size if file is not None else None) or begun,
            rate=running.rate() if running else None,
            trouble=DownloadFailed(wanted.reason, **_texts(wanted)) if wanted.reason else None,
        )

    def _wake(self) -> None:
        self._changed.notify_all()
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=self._work, name="darkroom-downloads", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._next() is not None)
                wanted = self._next()
                if self._closing or wanted is None:
                    return
                running = self._running = self._held = _Running(wanted)
            ending = self._carry_out(running)
            with self._changed:
                self._held = None
                if self._running is running:
                    self._running = None
                    rest = [each for each in self._records.wanted() if each != wanted]
                    if ending is not None:
                        place = self._records.wanted().index(wanted)
                        rest.insert(place, ending)
                    self._records.want(rest)
                self._changed.notify_all()

    def _next(self) -> Wanted | None:
        waiting = (wanted for wanted in self._records.wanted() if wanted.rest == "waiting")
        return next((wanted for wanted in waiting if self._only is None or wanted.place in self._only), None)

    def _carry_out(self, running: _Running) -> Wanted | None:
        """What is left of the wish."""
        wanted = running.wanted
        try:
            file = self.shelf.file(wanted.place)
            if wanted.act == "check":
                self._check(file, running)
            else:
                self._fetch(file, running)
        except NotFound:
            return None  # the settings have changed since
        except Paused:
            return wanted  # it goes on with the next start; a person's pause has been written down already
        except DownloadFailed as error:
            log.warning("%s", error)
            return _failed(wanted, error)
        except Exception:  # a bug must not end the thread every later download needs
            log.exception("A fault while fetching %s", wanted.place)
            reason = "hub_fault" if wanted.act == "fetch" else "not_readable"
            return _failed(wanted, DownloadFailed(reason, file=wanted.place, hub=HUB_TITLES[wanted.hub]))
        return None

    def _fetch(self, file: WeightFile, running: _Running) -> None:
        place = str(file.place)
        try:
            while (alone := self._alone(file)) is None:
                running.tell("behind", 0, file.size)
                if running.stop.wait(SECONDS_BEHIND):
                    raise Paused
                self.shelf.look_again()
                if self._has_come(place):
                    return
            try:
                if not self._has_come(place):
                    log.info("Fetching %s from %s", file.place, HUB_TITLES[running.wanted.hub])
                    home = next((each for each in self.shelf.folder.homes if str(each) == running.wanted.home), None)
                    self._transfer.fetch(file, running.wanted.hub, running, home)
            finally:
                alone.release()
        finally:
            self.shelf.look_again()

    def _alone(self, file: WeightFile) -> BaseFileLock | None:
        """Of two processes on one folder, only one writes to it. None: the other one does."""
        lock = self.shelf.folder.path / LOCK
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            held = FileLock(lock, timeout=0)
            held.acquire()
        except Timeout:
            return None
        except OSError as error:
            raise DownloadFailed("not_writable", file=file.place.name) from error
        return held

    def _check(self, file: WeightFile, running: _Running) -> None:
        item = self.shelf.item(file)
        if item.path is None:
            return
        try:
            before = item.path.stat()
            sha256, size = digest_of(item.path, running)
        except OSError as error:
            raise DownloadFailed("not_readable", file=file.place.name) from error
        verdict = self._records.verdict(str(file.place))
        # Of a file with no published checksum, the hub's word when it was fetched.
        wanted = file.sha256 or (verdict.sha256 if verdict is not None and verdict.whole else None)
        whole = (wanted is None or sha256 == wanted) and file.size in (None, size)
        self._records.judge(
            str(file.place),
            Verdict(size=size, changed=before.st_mtime_ns, sha256=sha256, whole=whole),
        )


def _failed(wanted: Wanted, error: DownloadFailed) -> Wanted:
    details = {name: text for name, text in error.details.items() if text}
    return replace(wanted, rest="failed", reason=error.reason, details=details)


def _texts(wanted: Wanted) -> dict[str, str]:
    return {name: str(text) for name, text in (wanted.details or {}).items()} or {"file": wanted.place}
