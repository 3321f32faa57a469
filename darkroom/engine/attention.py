"""Attention: which of torch's kernels computes it, found by a short trial for each card and class of size, and kept.

Must not know: blocks, pictures, or when they run.
"""

import json
import logging
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from darkroom.files import write_whole

log = logging.getLogger("darkroom.engine")

# By names of ours: torch's own cannot be sent to another process.
Kernel = Literal["cudnn", "flash", "efficient", "math"]
KERNELS: Mapping[Kernel, SDPBackend] = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
# The first that can is used. Without a trial, in the order that is right most often: cuDNN's was made for cards since
# Hopper; torch's own are safe on those before. The last one can do everything, and takes memory by tokens².
Order: TypeAlias = tuple[Kernel, ...]
SINCE_HOPPER: Order = ("cudnn", "flash", "efficient", "math")
BEFORE_HOPPER: Order = ("flash", "efficient", "cudnn", "math")
HOPPER = (9, 0)
FILE = "attention.json"
# Raised where what was chosen is to be tried anew.
VERSION = 2
# No kernel is begun to be tried after this: their libraries alone can take most of a second to come. One that is not
# this much faster does not take another's place.
SECONDS_TO_TRY = 3.0
WORTHWHILE = 0.05
RUNS = 5
# The card is kept waiting for so many of its cycles, some milliseconds, until all runs have been asked for. Of short
# ones it would be the host's time else: seen on an H100, the slowest of three kernels won then, now and again.
CYCLES_AHEAD = 4_000_000
# Question, keys, values and result; and what kernels take beside them.
TENSORS, WORKSPACE = 4, 64 << 20
UNREADABLE = (OSError, ValueError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Of one call."""

    heads: int
    head_width: int
    tokens: int
    dtype: torch.dtype

    @property
    def size_class(self) -> int:
        """Tokens that share a choice: up to a power of two."""
        return 1 << (self.tokens - 1).bit_length()

    @property
    def bytes(self) -> int:
        """What a trial takes of the card."""
        return TENSORS * self.heads * self.head_width * self.tokens * self.dtype.itemsize + WORKSPACE


# Seconds of one call with a kernel, or None where it cannot. May raise torch.OutOfMemoryError.
Timer: TypeAlias = Callable[[Kernel, Shape], float | None]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a choice depends on beside the shape, and how to try it."""

    name: str
    since_hopper: bool
    timer: Timer


class Attention:
    """The choices for one card; without one, torch chooses. They are kept in `folder`, for the next start too."""

    def __init__(
        self, card: Card | None, folder: Path | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.folder = folder
        self._card, self._clock = card, clock
        self._chosen: dict[str, Kernel] = {}

    def order(self, shape: Shape, *, room: int) -> Order:
        """The kernels for this shape, best first; none where torch is to choose. `room`: bytes a trial may take.

        Without room the order is the one that is right most often, and the next picture asks again.
        """
        if self._card is None:
            return ()
        usual = SINCE_HOPPER if self._card.since_hopper else BEFORE_HOPPER
        key = _key(self._card, shape)
        if key not in self._chosen:
            self._chosen |= self._read()
        if key not in self._chosen:
            if shape.bytes > room:
                return usual
            try:
                best = self._try(self._card, shape, usual)
            except torch.OutOfMemoryError:
                return usual
            self._chosen[key] = best
            self._keep(key, best)
        return _first(self._chosen[key], usual)

    def _try(self, card: Card, shape: Shape, usual: Order) -> Kernel:
        began, best, least = self._clock(), usual[0], math.inf
        found: list[str] = []
        for kernel in usual[:-1]:
            if self._clock() - began > SECONDS_TO_TRY:
                break
            seconds = card.timer(kernel, shape)
            found.append(f"{kernel} {'cannot' if seconds is None else f'{seconds * 1000:.2f} ms'}")
            if seconds is not None and seconds < least * (1 - WORTHWHILE):
                best, least = kernel, seconds
        if least == math.inf:
            best = usual[-1]
        log.info("attention over %d tokens: %s", shape.tokens, ", ".join(found))
        return best

    def _read(self) -> dict[str, Kernel]:
        if self.folder is None:
            return {}
        try:
            content = json.loads((self.folder / FILE).read_text("utf-8"))
            return {str(key): kernel for key, kernel in content.items() if kernel in KERNELS}
        except (*UNREADABLE, AttributeError, TypeError):
            # Not there yet, or not ours: the trial is short.
            return {}

    def _keep(self, key: str, best: Kernel) -> None:
        if self.folder is None:
            return
        content = self._read() | {key: best}
        try:
            write_whole(self.folder / FILE, json.dumps(content, indent=1, sort_keys=True).encode())
        except OSError as error:
            log.info("which attention is fastest is not kept: %s", error)


def attention_on(device: torch.device) -> Attention:
    """For what a device is."""
    if device.type != "cuda":
        return Attention(None)
    since_hopper = torch.cuda.get_device_capability(device) >= HOPPER
    return Attention(
        Card(
            name=torch.cuda.get_device_name(device),
            since_hopper=since_hopper,
            timer=lambda kernel, shape: seconds_on_card(kernel, shape, device),
        )
    )


def using(order: Order) -> AbstractContextManager[object]:
    """Inside, attention is computed by the first of these that can."""
    return sdpa_kernel([KERNELS[kernel] for kernel in order], set_priority=True) if order else nullcontext()


def room_on(device: torch.device, *, promised: int) -> int:
    """Bytes that may be taken now: as many as are free, and no more than a picture has promised to take."""
    if device.type != "cuda":
        return 0
    free, _ = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device)
    unused = reserved - torch.cuda.memory_allocated(device)
    return min(free + unused, promised - reserved + unused)


def seconds_on_card(kernel: Kernel, shape: Shape, device: torch.device) -> float | None:
    """Of one call, the median of some; None where this kernel cannot. Gives back what it took."""
    try:
        with torch.no_grad(), sdpa_kernel(KERNELS[kernel]), _without_warnings():
            return _seconds(shape, device)
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except RuntimeError:
        return None
    finally:
        torch.cuda.empty_cache()


def _seconds(shape: Shape, device: torch.device) -> float:
    moments = [torch.cuda.Event(enable_timing=True) for _ in range(RUNS + 1)]  # type: ignore[no-untyped-call]
    size = (1, shape.heads, shape.tokens, shape.head_width)
    query, key, value = (torch.full(size, 0.1, dtype=shape.dtype, device=device) for _ in range(3))
    # The first call of a kernel prepares it.
    scaled_dot_product_attention(query, key, value)
    torch.cuda._sleep(CYCLES_AHEAD)  # type: ignore[no-untyped-call]
    moments[0].record()
    for moment in moments[1:]:
        scaled_dot_product_attention(query, key, value)
        moment.record()
    moments[-1].synchronize()
    milliseconds: list[float] = [begin.elapsed_time(end) for begin, end in pairwise(moments)]
    return statistics.median(milliseconds) / 1000


@contextmanager
def _without_warnings() -> Iterator[None]:
    """torch says at length why a kernel cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _first(kernel: Kernel, order: Order) -> Order:
    return (kernel, *(other for other in order if other != kernel))


def _key(card: Card, shape: Shape) -> str:
    parts = (
        VERSION,
        card.name,
        torch.__version__,
        f"{shape.heads} × {shape.head_width}",
        shape.size_class,
        shape.dtype,
    )
    return ", ".join(str(part) for part in parts)
