"""The texts a picture file carries: those of a PNG by their names, and the comment of a JPEG or WebP.

The file may be anything, and no pixel of it is decoded. Must not know: what the texts mean.
"""

import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from PIL import Image
from PIL.PngImagePlugin import iTXt

LONGEST_TEXT = 2_000_000
"""Longer texts are not looked at: a workflow of hundreds of nodes has a tenth of this."""

USER_COMMENT = "UserComment"
MODEL = "Model"
"""The camera's model; here ComfyUI writes its graph."""

EXIF_IFD, USER_COMMENT_TAG, MODEL_TAG = 0x8769, 0x9286, 0x0110
LONGEST_EXIF = 4 * LONGEST_TEXT
LARGEST_FILE = 128 * 2**20
MOST_CHUNKS = 1000

# A PNG begins with its signature and its size. Pixels may stand in very many pieces.
PNG_BEGINNING, MOST_PNG_CHUNKS = 33, 100_000
PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
PNG_END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))

# What Pillow raises on files made to break it. None of it says anything about our own code.
BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def texts_of(path: Path) -> Mapping[str, str]:
    """Empty when there are none, or when the file is not a picture."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return {}
        with path.open("rb") as file:
            start = file.read(12)
            file.seek(0)
            if start.startswith(b"\x89PNG"):
                texts = _texts_of_png(file)
            elif start.startswith(b"\xff\xd8"):
                texts = _texts_of_exif(_exif_of_jpeg(file))
            elif start.startswith(b"RIFF") and start.endswith(b"WEBP"):
                texts = _texts_of_exif(_exif_of_webp(file))
            else:
                return {}
    except BROKEN:
        return {}
    return {name: text for name, text in texts.items() if len(text) <= LONGEST_TEXT}


def _texts_of_png(file: IO[bytes]) -> dict[str, str]:
    """Those before the pixels count where some behind them have the same names."""
    texts = _texts_before_the_pixels(file)
    with suppress(*BROKEN):
        texts = _texts_before_the_pixels(BytesIO(_without_pixels(file))) | texts
    return texts


def _texts_before_the_pixels(file: IO[bytes]) -> dict[str, str]:
    with Image.open(file, formats=("PNG",)) as image:
        texts = {name: text for name, text in image.info.items() if isinstance(name, str) and isinstance(text, str)}
    return {name: text if isinstance(text, iTXt) else _as_utf8(text) for name, text in texts.items()}


def _as_utf8(text: str) -> str:
    """Latin-1 by the standard, and many tools write UTF-8: what is valid as that is hardly ever anything else."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _without_pixels(file: IO[bytes]) -> bytes:
    """A picture of nothing but the texts that stand behind the pixels: Pillow would decode these first."""
    file.seek(0)
    found = [file.read(PNG_BEGINNING)]
    is_behind = False
    for _ in range(MOST_PNG_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            break
        size, kind = struct.unpack(">I4s", header)
        is_behind = is_behind or kind == b"IDAT"
        if is_behind and kind in PNG_TEXTS and size <= LONGEST_EXIF:
            found.append(header + file.read(size + 4))
        else:
            file.seek(size + 4, 1)
    return b"".join((*found, PNG_END))


def _exif_of_jpeg(file: IO[bytes]) -> bytes:
    with Image.open(file, formats=("JPEG",)) as image:
        exif = image.info.get("exif", b"")
        return exif if isinstance(exif, bytes) else b""


def _exif_of_webp(file: IO[bytes]) -> bytes:
    """Chunk by chunk: Pillow would make room for the pixels, as many as a small file likes to promise."""
    file.seek(12)
    for _ in range(MOST_CHUNKS):
        kind, size = struct.unpack("<4sI", file.read(8))
        if kind == b"EXIF":
            return file.read(min(size, LONGEST_EXIF))
        file.seek(size + size % 2, 1)
    return b""


def _texts_of_exif(content: bytes) -> dict[str, str]:
    if not content:
        return {}
    exif = Image.Exif()
    exif.load(content)
    # Where the standard puts it, or, as Fooocus does, among the main values.
    comment = _comment(exif.get_ifd(EXIF_IFD).get(USER_COMMENT_TAG)) or _comment(exif.get(USER_COMMENT_TAG))
    model = exif.get(MODEL_TAG)
    found = {USER_COMMENT: comment, MODEL: model if isinstance(model, str) else ""}
    return {name: text for name, text in found.items() if text}


def _comment(value: Any) -> str:
    """Eight bytes name the alphabet, then the text. "UNICODE" is UTF-16 of either byte order, and some mean UTF-8."""
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        return ""
    alphabet, content = value[:8], value[8:]
    if alphabet == b"UNICODE\0":
        return _utf16(content)
    if alphabet in (b"ASCII\0\0\0", bytes(8)):
        return content.decode("utf-8", errors="replace").rstrip("\0")
    return value.decode("utf-8", errors="replace").rstrip("\0")


def _utf16(content: bytes) -> str:
    """The names of settings are ASCII in any language, so one order of bytes has far more zeros than the other."""
    high, low = content[0::2].count(0), content[1::2].count(0)
    if not high and not low:
        return content.decode("utf-8", errors="replace")
    return content.decode("utf-16-be" if high >= low else "utf-16-le", errors="replace").lstrip("\ufeff").rstrip("\0")
