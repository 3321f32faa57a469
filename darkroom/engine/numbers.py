"""Numbers: whether all weights are some. One that is not makes every picture black, and says nothing of where it was.

Where weights stay in their file they are read through once, and that is remembered. Must not know: models, or formats.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from darkroom.engine.mapped_file import copy_all
from darkroom.files import write_whole

# Elements looked at together: what is in between stays in the processor's cache. Bytes that come from a file at once.
TOGETHER, PORTION = 1 << 20, 8 << 20
SIGN = 0x80
# In float8 of this kind there is no infinity, and this is what is no number, without its sign.
E4M3_NOT_A_NUMBER = 0x7F


def all_numbers(tensor: Tensor, *, between: Callable[[], None] = lambda: None) -> bool:
    """Neither infinite nor "not a number". `between` is called now and then, and may raise."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    if tensor.dtype == torch.float8_e4m3fn:
        return _all_numbers_in_float8(tensor, between)
    wide = tensor.float() if tensor.itemsize == 1 else tensor
    # One reading; whatever is no number is the smallest and the largest of all.
    return all(bool(end.isfinite()) for end in torch.aminmax(wide))


def _all_numbers_in_float8(tensor: Tensor, between: Callable[[], None]) -> bool:
    content = tensor.reshape(-1).view(torch.uint8)
    buffer = torch.empty(min(PORTION, len(content)), dtype=torch.uint8)
    for low in range(0, len(content), PORTION):
        portion = content[low : low + PORTION]
        part = buffer[: len(portion)]
        copy_all([(part, portion)])
        between()
        if any(int((each & ~SIGN & 0xFF).max()) == E4M3_NOT_A_NUMBER for each in torch.split(part, TOGETHER)):
            return False
    return True


class Verdicts:
    """Which files were read through and found good, as they were then. Without a folder nothing is remembered."""

    def __init__(self, cache: Path | None) -> None:
        self._folder = cache / "numbers" if cache else None

    def are_good(self, files: Sequence[Path], identities: str) -> bool:
        with suppress(OSError, ValueError):
            return self._folder is not None and self._note(self._folder, files).read_text("utf-8") == identities
        return False

    def remember(self, files: Sequence[Path], identities: str) -> None:
        if self._folder is not None:
            # Where it cannot be written, the next loading reads the files through again.
            with suppress(OSError):
                write_whole(self._note(self._folder, files), identities.encode())

    def _note(self, folder: Path, files: Sequence[Path]) -> Path:
        names = "\n".join(str(file.resolve()) for file in files)
        return folder / f"{hashlib.sha256(names.encode()).hexdigest()[:32]}.json"
