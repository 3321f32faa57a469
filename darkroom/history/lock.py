"""One server to a history folder: two would run each other's jobs. Must not know: what lies in the folder."""

import logging
import sys
from pathlib import Path
from typing import IO

from darkroom.errors import HistoryUnusable

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


log = logging.getLogger(__name__)


class FolderLock:
    """Held from `acquire` to `release`, or to the end of the process, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "server.lock"
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Make the folder if need be, and lock it. Raises HistoryUnusable."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("ab")
        except OSError as error:
            raise HistoryUnusable("not_writable", str(self._path.parent)) from error
        try:
            _lock(file)
        except (BlockingIOError, PermissionError) as error:
            file.close()
            raise HistoryUnusable("in_use", str(self._path.parent)) from error
        except OSError as error:  # some network disks know no locks
            log.warning("The history folder cannot be locked (%s). Run only one Darkroom on it.", error)
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
