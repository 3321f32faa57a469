"""Many pictures as one .zip, made while it is being sent: nothing of it is on the disk, and little in memory.

Must not know: rows, or who asked.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

log = logging.getLogger(__name__)

PIECE = 512 * 1024
MISSING = "missing.txt"
EARLIEST, LATEST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)


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


def zipped(entries: Iterable[Entry], why_missing: str) -> Iterator[bytes]:
    """The archive's bytes. Files are stored as they are: a PNG does not get smaller.

    Those that are gone are named in a text after the words `why_missing`.
    """
    outbox = _Outbox()
    missing: list[str] = []
    with ZipFile(outbox, "w", ZIP_STORED) as archive:
        for entry in entries:
            try:
                source = entry.path.open("rb")
            except OSError as error:
                log.warning("A picture is left out of the download: %s (%s)", entry.path, error)
                missing.append(entry.name)
                continue
            for _ in _put(entry, source, archive):
                if outbox.waiting >= PIECE:
                    yield outbox.take()
        if missing:
            archive.writestr(_info(MISSING, datetime.now(UTC)), "\n".join((why_missing, "", *missing, "")))
    yield outbox.take()


def _info(name: str, at: datetime) -> ZipInfo:
    """A .zip counts its years from 1980; a clock may be wrong."""
    info = ZipInfo(name, max(EARLIEST, min(at.astimezone().timetuple()[:6], LATEST)))
    info.external_attr = 0o644 << 16
    return info


def _put(entry: Entry, source: BinaryIO, archive: ZipFile) -> Iterator[None]:
    with source:
        info = _info(entry.name, entry.made_at)
        info.file_size = entry.path.stat().st_size
        with archive.open(info, "w") as target:
            while piece := source.read(PIECE):
                target.write(piece)
                yield
