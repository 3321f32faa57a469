"""The heap: of what was freed, glibc keeps what lies below something in use; this gives it back to the system.

Must not know: what was freed.
"""

import ctypes
import sys
from functools import cache
from typing import Any


def give_back() -> None:
    """Milliseconds. Where the system's library is another one there is nothing to do."""
    trim = _malloc_trim()
    if trim is not None:
        trim(ctypes.c_size_t(0))


@cache
def _malloc_trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
