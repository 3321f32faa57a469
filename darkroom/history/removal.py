"""Files removed for good, come a crash or a power cut: which ones is on the disk before anyone lets go of them.

Must not know: rows, or why files are removed.
"""

import errno
import logging
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from darkroom.files import write_whole

log = logging.getLogger(__name__)

PREFIX = ".darkroom-"
SUFFIX = ".removing"
FULL = (errno.ENOSPC, errno.EDQUOT)


def note_removal(folder: Path, files: Iterable[str]) -> Path:
    """Write down files of the folder that are about to have no owner. The note is what `remove_noted` goes by."""
    note = folder / f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}"
    write_whole(note, "\n".join(files).encode())
    return note


def is_disk_full(error: BaseException | None) -> bool:
    """Whether that is why a file, or SQLite, could not be written, however it was raised."""
    while error is not None:
        original = getattr(error, "orig", error)
        if isinstance(original, OSError) and original.errno in FULL:
            return True
        if isinstance(original, sqlite3.Error) and getattr(original, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            return True
        error = error.__cause__
    return False


def remove_first(files: Iterable[Path]) -> None:
    """What can be made anew makes room for a removal; one that stays changes nothing."""
    for path in files:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def noted(note: Path, below: str) -> tuple[str, ...]:
    """Only what lies below that folder: a note may name anything."""
    return tuple(file for file in note.read_text("utf-8").splitlines() if _is_below(below, file))


def _is_below(folder: str, file: str) -> bool:
    parts = PurePosixPath(file).parts
    return len(parts) > 1 and parts[0] == folder and ".." not in parts


def unfinished_removals(folder: Path) -> Iterator[Path]:
    """Notes of removals that were cut off, or met a file that would not go."""
    yield from sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))


def remove_noted(folder: Path, note: Path, files: Iterable[str]) -> None:
    """Remove these files, then the note; it stays, for another try, when one of them cannot be removed."""
    all_gone = True
    for file in files:
        path = folder / file
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("The file of a removed picture is left over: %s (%s)", path, error)
            all_gone = False
    if all_gone:
        note.unlink(missing_ok=True)
