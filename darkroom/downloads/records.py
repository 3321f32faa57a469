"""Records: what is known of the files in the models folder, and what a person has asked for, kept over a restart.

A small JSON file in the folder. It can be deleted: files are then checked anew. Must not know: hubs, or what is done.
"""

import json
import logging
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from darkroom.errors import DownloadFailed
from darkroom.files import write_whole
from darkroom.weights import HUBS, Hub

log = logging.getLogger(__name__)

FILE = Path(".darkroom") / "downloads.json"
VERSION = 1
Act = Literal["fetch", "check"]
Rest = Literal["waiting", "paused", "failed"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A file as it was when it was read from end to end. Another size or time is another file."""

    size: int
    changed: int
    sha256: str
    whole: bool


@dataclass(frozen=True, kw_only=True)
class Digest:
    """What a file, wherever it lies, was found to be. It says nothing of what it should be."""

    size: int
    changed: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Of which file the part that has arrived is. `mark` is its SHA-256, or else where it comes from.

    `size` is the hub's word.
    """

    mark: str
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Something a person has asked for that is not done. Of a failure, `reason` and `details` are DownloadFailed's.

    `home` is the folder it goes into; "" is the models folder.
    """

    place: str
    hub: Hub
    act: Act
    rest: Rest = "waiting"
    reason: str = ""
    details: dict[str, str] | None = None
    home: str = ""


class Records:
    """Safe for many threads. In a folder that cannot be written to, all is known until the process ends."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._lock = threading.Lock()
        self._verdicts: dict[str, Verdict] = {}
        self._beginnings: dict[str, Beginning] = {}
        self._digests: dict[str, Digest] = {}
        self._wanted: tuple[Wanted, ...] = ()
        self._read()

    def verdict(self, place: str) -> Verdict | None:
        with self._lock:
            return self._verdicts.get(place)

    def judge(self, place: str, verdict: Verdict | None) -> None:
        with self._lock:
            self._put(self._verdicts, place, verdict)

    def digest(self, path: str) -> Digest | None:
        with self._lock:
            return self._digests.get(path)

    def keep_digest(self, path: str, digest: Digest) -> None:
        with self._lock:
            self._put(self._digests, path, digest)

    def beginning(self, place: str) -> Beginning | None:
        with self._lock:
            return self._beginnings.get(place)

    def begin(self, place: str, beginning: Beginning | None) -> None:
        with self._lock:
            self._put(self._beginnings, place, beginning)

    def wanted(self) -> tuple[Wanted, ...]:
        with self._lock:
            return self._wanted

    def want(self, wanted: Iterable[Wanted]) -> None:
        with self._lock:
            new = tuple(wanted)
            if new != self._wanted:
                self._wanted = new
                self._write()

    def _put(self, table: dict[str, Any], place: str, value: object) -> None:
        if table.get(place) == value:
            return
        if value is None:
            table.pop(place, None)
        else:
            table[place] = value
        self._write()

    def _write(self) -> None:
        content = {
            "version": VERSION,
            "verdicts": {place: asdict(each) for place, each in self._verdicts.items()},
            "beginnings": {place: asdict(each) for place, each in self._beginnings.items()},
            "digests": {path: asdict(each) for path, each in self._digests.items()},
            "wanted": [asdict(each) for each in self._wanted],
        }
        try:
            write_whole(self._file, (json.dumps(content, indent=1) + "\n").encode("utf-8"))
        except OSError as error:
            log.warning("What is known of the models cannot be kept in %s: %s", self._file, error)

    def _read(self) -> None:
        try:
            content = json.loads(self._file.read_text("utf-8"))
            self._verdicts = {str(place): Verdict(**each) for place, each in content["verdicts"].items()}
            self._beginnings = {str(place): Beginning(**each) for place, each in content["beginnings"].items()}
            # Of files that an earlier version has kept, nothing is known of this.
            self._digests = {str(path): Digest(**each) for path, each in content.get("digests", {}).items()}
            self._wanted = tuple(_sound(Wanted(**each)) for each in content["wanted"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.warning("%s cannot be read and begins anew: %s", self._file, type(error).__name__)
            self._verdicts, self._beginnings, self._digests, self._wanted = {}, {}, {}, ()


def _sound(wanted: Wanted) -> Wanted:
    """Raises ValueError."""
    known = wanted.hub in HUBS and wanted.act in ("fetch", "check") and wanted.rest in ("waiting", "paused", "failed")
    if (
        not known
        or not isinstance(wanted.place, str)
        or (wanted.reason and wanted.reason not in DownloadFailed.SENTENCES)
    ):
        raise ValueError("not of ours")
    return wanted
