"""Memory of the machine that a card can copy from while it computes: pinned, where the system allows it.

torch's own pinned memory rounds sizes up to powers of two; this is ordinary memory, registered with CUDA.
Must not know: what lies in the memory, or when it is copied.
"""

import contextlib
import ctypes
import mmap
import sys
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

# Of most Linux systems.
LARGE_PAGE = 2 << 20


class HostMemory:
    """`content` is `size` bytes from a page's border on. Pinned or not, they are read and written like any others."""

    def __init__(self, size: int) -> None:
        # What is made in inference mode could not be written from another thread.
        with torch.inference_mode(False):
            room = torch.empty(size + mmap.PAGESIZE, dtype=torch.uint8)
            # A page must not be pinned twice: nothing else that is pinned may lie on the first or the last.
            start = -room.data_ptr() % mmap.PAGESIZE
            # A slice of `room` would do for copies, but torch's `is_pinned` asks where a tensor's storage begins.
            self.content = torch.from_numpy(room.numpy()[start : start + size])
        _ask_for_large_pages(self.content)
        self._unpin: weakref.finalize[[Tensor], HostMemory] | None = None

    @property
    def pinned(self) -> bool:
        return self._unpin is not None

    def pin(self) -> bool:
        """Whether it is pinned now. Containers and systems cap it: then it stays ordinary memory, and nothing fails.

        Write to it first: pages that were never touched would be given out one by one.
        """
        if self._unpin is None and self.content.nbytes and torch.cuda.is_available() and _register(self.content):
            # It keeps the memory until it has run, so that none is given back while CUDA still knows it.
            self._unpin = weakref.finalize(self, _unregister, self.content)
            self._unpin.atexit = False
        return self.pinned

    def unpin(self) -> None:
        if self._unpin is not None:
            self._unpin()
            self._unpin = None


def _ask_for_large_pages(content: Tensor) -> None:
    """Pages of 4 KiB, a few million of them, take longer to be given out than to be filled."""
    if sys.platform == "linux" and content.nbytes >= LARGE_PAGE:
        # Where the system has none, nothing is lost.
        _libc().madvise(ctypes.c_void_p(content.data_ptr()), ctypes.c_size_t(content.nbytes), mmap.MADV_HUGEPAGE)


def _register(content: Tensor) -> bool:
    refused = int(_cudart().cudaHostRegister(content.data_ptr(), content.nbytes, 0))
    if refused:
        _forget_last_error()
    return not refused


def _unregister(content: Tensor) -> None:
    # A copy may still be under way.
    torch.cuda.synchronize()
    if int(_cudart().cudaHostUnregister(content.data_ptr())):
        _forget_last_error()


def _forget_last_error() -> None:
    """CUDA keeps the last error until someone asks, and torch asks after each kernel: the next would be blamed.

    torch does not offer cudaGetLastError, and a library found by name need not be the one torch runs on. So a kernel
    of our own is started to be the one that is blamed.
    """
    with contextlib.suppress(RuntimeError):
        torch.ones((), device="cuda")


@cache
def _libc() -> Any:
    return ctypes.CDLL(None)


def _cudart() -> Any:
    start_cuda_and_give: Callable[[], Any] = torch.cuda.cudart
    return start_cuda_and_give()
