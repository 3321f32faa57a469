"""Files written so that a name never stands for half a file. Must not know: what is in them."""

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_PREFIX = ".darkroom-"
TEMPORARY_SUFFIX = ".part"


def has_sayable_name(path: Path) -> bool:
    """Whether its name is text. One from a zip file of another language may be bytes that no page can show."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def write_whole(path: Path, content: bytes) -> None:
    """Write so that, come a crash or a power cut, the name stands for the whole content or for nothing."""
    _make_folder(path.parent)
    temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(path.parent)


def temporaries(folder: Path) -> Iterator[Path]:
    """What `write_whole` left in `folder` and its month folders when it was cut off."""
    for depth in ("", "*/*/"):
        yield from folder.glob(f"{depth}{TEMPORARY_PREFIX}*{TEMPORARY_SUFFIX}")


def _make_folder(folder: Path) -> None:
    """Like mkdir(parents=True), and each new name is on the disk afterwards."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    fsync_folder(folder.parent)


def fsync_folder(folder: Path) -> None:
    if sys.platform != "win32":  # which has no such call: its file system's journal keeps names
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
