"""One server to a history folder: two would run each other's jobs. Must not know: what lies in the folder."""

import logging
import sys
from pathlib import Path
from typing import IO, Self

from darkroom.errors import HistoryUnusable
from darkroom.files import write_whole

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
    """Held from `acquire` to `release`, or to the end of the process, however it ends. `address`: where it answers."""

    def __init__(self, folder: Path, address: str = "") -> None:
        self._path = folder / "server.lock"
        self._address_path = folder / "server.address"
        self._address = address
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

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
        self._note_address()

    def address_of_holder(self) -> str:
        """Where whoever holds the lock answers; "": nowhere, or nobody holds it."""
        try:
            return self._address_path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def release(self) -> None:
        if self._file is not None:
            self._address_path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def _note_address(self) -> None:
        try:
            if self._address:
                write_whole(self._address_path, f"{self._address}\n".encode())
            else:
                self._address_path.unlink(missing_ok=True)
        except OSError as error:
            raise HistoryUnusable("not_writable", str(self._path.parent)) from error
