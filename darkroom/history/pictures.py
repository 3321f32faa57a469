"""Pictures as bytes: the PNG that is kept, and its thumbnail. Must not know: rows, or where a file lies."""

from io import SEEK_END, BytesIO
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from darkroom.history.metadata.carried import BROKEN

LONGEST_THUMBNAIL_SIDE = 320
THUMBNAIL_QUALITY = 80
END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"


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


def thumbnail_of(path: Path) -> bytes | None:
    """None when the file is damaged."""
    try:
        with Image.open(path) as image:
            return thumbnail_bytes(image)
    except BROKEN:
        return None


def is_whole(path: Path) -> bool:
    """Whether the PNG is there to its end, as far as its last bytes say: browsers show half of one without a word."""
    try:
        with path.open("rb") as file:
            file.seek(-len(END_OF_PNG), SEEK_END)
            return file.read() == END_OF_PNG
    except OSError:
        return False


def size_of(path: Path) -> int:
    """In bytes; none when somebody has taken it away."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
