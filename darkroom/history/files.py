"""Picture files: encoded, and written so that a name never stands for half a file.

Must not know: rows, or where a folder lies.
"""

import os
import secrets
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

LONGEST_THUMBNAIL_SIDE = 320
THUMBNAIL_QUALITY = 80

TEMPORARY_PREFIX = ".darkroom-"
TEMPORARY_SUFFIX = ".part"


def png_bytes(image: Image.Image, text: PngInfo) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def thumbnail_bytes(image: Image.Image) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((LONGEST_THUMBNAIL_SIDE, LONGEST_THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=THUMBNAIL_QUALITY)
    return buffer.getvalue()


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
    _fsync_folder(path.parent)


def temporaries(folder: Path) -> Iterator[Path]:
    """What `write_whole` left in the month folders below `folder` when it was cut off."""
    return folder.glob(f"*/*/{TEMPORARY_PREFIX}*{TEMPORARY_SUFFIX}")


def _make_folder(folder: Path) -> None:
    """Like mkdir(parents=True), and each new name is on the disk afterwards."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _fsync_folder(folder.parent)


def _fsync_folder(folder: Path) -> None:
    if sys.platform != "win32":  # which has no such call: its file system's journal keeps names
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
