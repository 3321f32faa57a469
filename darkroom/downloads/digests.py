"""Digests: the SHA-256 of files that pictures are made with, found without making anyone wait.

A large file is read once, in the background, and remembered with the other records. Must not know: what a file is for.
"""

import hashlib
import logging
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from darkroom.downloads.records import Digest, Records

log = logging.getLogger(__name__)

# Read in a tenth of a second: a file of this size is not worth a thread.
AT_ONCE = 64 << 20
BLOCK = 4 << 20


@dataclass(frozen=True, kw_only=True)
class FileNow:
    """A file as it is at a moment. `changed` is in nanoseconds."""

    path: Path
    size: int
    changed: int


def file_now(path: Path) -> FileNow:
    """Raises OSError."""
    status = path.stat()
    return FileNow(path=path, size=status.st_size, changed=status.st_mtime_ns)


class Digests:
    """Safe for many threads. Without a first question there is no thread."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._lock = threading.Lock()
        self._kept: dict[FileNow, str] = {}
        self._wanted: queue.SimpleQueue[FileNow] = queue.SimpleQueue()
        self._asked: set[FileNow] = set()
        self._thread: threading.Thread | None = None

    def known(self, file: FileNow, place: str = "") -> str | None:
        """None where nobody has read it so far. `place` is its name among the records, if it is one of them."""
        verdict = self._records.verdict(place) if place else None
        if verdict is not None and (verdict.size, verdict.changed) == (file.size, file.changed):
            return verdict.sha256
        kept = self._records.digest(str(file.path))
        if kept is not None and (kept.size, kept.changed) == (file.size, file.changed):
            return kept.sha256
        with self._lock:
            return self._kept.get(file)

    def find(self, file: FileNow, place: str = "") -> str | None:
        """As `known`; what is not known is read now if it is small, else in the background, to be known another time.

        Raises OSError.
        """
        found = self.known(file, place)
        if found is not None:
            return found
        if file.size <= AT_ONCE:
            return self.read(file)
        with self._lock:
            if file not in self._asked:
                self._asked.add(file)
                self._wanted.put(file)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="darkroom-digests", daemon=True)
                self._thread.start()
        return None

    def read(self, file: FileNow, *, gently: bool = False) -> str | None:
        """From end to end. None where it has become another file. Raises OSError."""
        digest = hashlib.sha256()
        with file.path.open("rb", buffering=0) as content:
            began = time.monotonic()
            while block := content.read(BLOCK):
                digest.update(block)
                if gently:
                    # Half of the time belongs to whoever else needs the disk and the core.
                    time.sleep(time.monotonic() - began)
                    began = time.monotonic()
        if file_now(file.path) != file:
            return None
        sha256 = digest.hexdigest()
        if file.size > AT_ONCE:
            self._records.keep_digest(str(file.path), Digest(size=file.size, changed=file.changed, sha256=sha256))
        else:
            with self._lock:
                self._kept[file] = sha256
        return sha256

    def _work(self) -> None:
        while True:
            file = self._wanted.get()
            try:
                self.read(file, gently=True)
            except OSError as error:
                log.info("%s cannot be read for its checksum: %s", file.path.name, error)
            with self._lock:
                self._asked.discard(file)
