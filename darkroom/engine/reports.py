"""Reports: a step is told of when the card has made it, while the host has set it to work on the next one already.

Waiting for each step before the next is begun would leave the card idle in between. Must not know: what a step is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from darkroom.engine.preview import jpeg_of
from darkroom.engine.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class _Made:
    number: int
    of: int
    pixels: Tensor
    arrived: "torch.cuda.Event | None"


class Reports:
    """Of one picture, to one watcher. Without a card each step is told of at once."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._waiting: _Made | None = None

    def step(self, number: int, of: int, pixels: Tensor) -> None:
        """A step is made, or will be; `pixels` (height, width, 3) show it. Raises what the watcher raises."""
        made = _on_its_way(number, of, pixels)
        self.flush()
        self._waiting = made
        if made.arrived is None:
            self.flush()

    def flush(self) -> None:
        """Tell of what is made and was not told of yet."""
        made, self._waiting = self._waiting, None
        if made is not None:
            if made.arrived is not None:
                made.arrived.synchronize()
            self._watcher.step(made.number, made.of, _preview(made.pixels))


def _on_its_way(number: int, of: int, pixels: Tensor) -> _Made:
    if pixels.device.type != "cuda":
        return _Made(number=number, of=of, pixels=pixels, arrived=None)
    here = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True).copy_(pixels, non_blocking=True)
    arrived: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record(torch.cuda.current_stream(pixels.device))
    return _Made(number=number, of=of, pixels=here, arrived=arrived)


def _preview(pixels: Tensor) -> Callable[[], bytes]:
    return lambda: jpeg_of(pixels)
