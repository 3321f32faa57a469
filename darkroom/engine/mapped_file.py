"""MappedFile: a file as memory that can only be read; and tensors that lie in one, copied at the speed of the disk.

Through the mapping a file comes page by page, as far ahead as the system happens to read; portions come as they can.
Must not know: formats of files, models, or what the bytes mean.
"""

import mmap
import os
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

# Of a file: so many bytes at a time, by so many threads. More of them read in places too far apart.
PORTION, THREADS = 4 << 20, 2
CAN_READ = hasattr(os, "preadv")

Copy: TypeAlias = tuple[Tensor, Tensor]
Between: TypeAlias = Callable[[], None]

# By where its bytes lie in memory; a mapping lives as long as any tensor in it.
_MAPPED: "weakref.WeakValueDictionary[int, MappedFile]" = weakref.WeakValueDictionary()


class MappedFile(mmap.mmap):
    """Until the last tensor in it is gone, the file stays open."""

    _descriptor: int

    def __new__(cls, path: Path) -> "MappedFile":
        """Raises OSError; ValueError if it is empty."""
        with path.open("rb") as opened:
            mapped = super().__new__(cls, opened.fileno(), 0, access=mmap.ACCESS_READ)
            mapped._descriptor = os.dup(opened.fileno()) if CAN_READ else -1
        if CAN_READ:
            weakref.finalize(mapped, os.close, mapped._descriptor)
        return mapped

    def content(self) -> Tensor:
        """All of it. This holds no tensor of its own: the tensor holds the mapping."""
        with warnings.catch_warnings():
            # torch warns that it cannot keep anyone from writing here. Nothing does: weights are never changed.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.frombuffer(self, dtype=torch.uint8)
        _MAPPED[content.data_ptr()] = self
        return content

    def let_go(self, tensor: Tensor) -> None:
        """It was read and will not be soon again: its pages in RAM may be used for something else."""
        if _file_of(tensor) is not self or not hasattr(mmap, "MADV_DONTNEED"):
            return
        start = _place(tensor)
        page = start - start % mmap.PAGESIZE
        with suppress(OSError):
            self.madvise(mmap.MADV_DONTNEED, page, start + tensor.nbytes - page)

    def read_into(self, target: Tensor, offset: int) -> None:
        """As many bytes of the file as `target` has. Raises OSError, also where the file has fewer by now."""
        rest = target.numpy().data
        while rest:
            count = os.preadv(self._descriptor, [rest], offset)
            if not count:
                raise OSError("a file of weights became shorter while it was in use")
            rest, offset = rest[count:], offset + count


def is_mapped(tensor: Tensor) -> bool:
    """Whether its bytes are still in a file, of which nothing may have been read yet."""
    return _file_of(tensor) is not None


def copy_all(copies: Sequence[Copy], *, between: Between = lambda: None) -> None:
    """Each source's bytes into its target, flat and of uint8 both. `between` is called now and then, and may raise.

    Raises OSError.
    """
    portions = [portion for target, source in copies for portion in _portions(target, source)]
    in_files = [(target, source) for target, source in portions if CAN_READ and is_mapped(source)]
    if sum(source.nbytes for _, source in in_files) <= PORTION:
        # Not worth a thread.
        in_files = []
    else:
        portions = [(target, source) for target, source in portions if not is_mapped(source)]
    for target, source in portions:
        target.copy_(source)
        between()
    if in_files:
        _read_all(in_files, between)


def _read_all(copies: Sequence[Copy], between: Between) -> None:
    with ThreadPoolExecutor(THREADS, thread_name_prefix="reading") as threads:
        tasks = [threads.submit(_read, target, source) for target, source in copies]
        try:
            for task in as_completed(tasks):
                task.result()
                between()
        finally:
            for task in tasks:
                task.cancel()


def _read(target: Tensor, source: Tensor) -> None:
    file = _file_of(source)
    assert file is not None
    file.read_into(target, _place(source))


def _portions(target: Tensor, source: Tensor) -> Iterator[Copy]:
    for low in range(0, source.nbytes, PORTION):
        yield target[low : low + PORTION], source[low : low + PORTION]


def _file_of(tensor: Tensor) -> MappedFile | None:
    return _MAPPED.get(tensor.untyped_storage().data_ptr())


def _place(tensor: Tensor) -> int:
    return tensor.data_ptr() - tensor.untyped_storage().data_ptr()
