"""Many pictures as one .zip, made while it is being sent: nothing of it is on the disk, and little in memory.

Must not know: rows, or who asked.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

log = logging.getLogger(__name__)

PIECE = 512 * 1024


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file and what it is called in the archive."""

    name: str
    path: Path
    made_at: datetime


class _Outbox:
    """What ZipFile writes to, emptied piece by piece. It cannot be gone back in."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.waiting = 0

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        self.waiting += len(part)
        return len(part)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        parts, self._parts, self.waiting = self._parts, [], 0
        return b"".join(parts)


def zipped(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The archive's bytes. Files are stored as they are: a PNG does not get smaller. One that is gone is left out."""
    outbox = _Outbox()
    with ZipFile(outbox, "w", ZIP_STORED) as archive:
        for entry in entries:
            for _ in _put(entry, archive):
                if outbox.waiting >= PIECE:
                    yield outbox.take()
    yield outbox.take()


def _put(entry: Entry, archive: ZipFile) -> Iterator[None]:
    try:
        source = entry.path.open("rb")
    except OSError as error:
        log.warning("A picture is left out of the download: %s (%s)", entry.path, error)
        return
    with source:
        info = ZipInfo(entry.name, entry.made_at.astimezone().timetuple()[:6])
        info.file_size = entry.path.stat().st_size
        info.external_attr = 0o644 << 16
        with archive.open(info, "w") as target:
            while piece := source.read(PIECE):
                target.write(piece)
                yield
