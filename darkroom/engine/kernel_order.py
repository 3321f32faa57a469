"""KernelOrder: the card's own kernels, made once for a model's widths in a process of its own, and found by others.

Triton keeps what it makes in a folder of its own; a file here says that it is all there. Must not know: blocks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from darkroom.engine.float8 import STORED
from darkroom.engine.operations import More, Narrow, Operations, TorchOperations

# A few are enough: how many there are is no part of a kernel.
TOKENS = 16
FEED_FORWARD = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelOrder:
    """For blocks of this width, their activations of `dtype`. `rank`: with LoRAs of a rank up to this, or without."""

    width: int
    heads: int
    rank: int
    dtype: torch.dtype
    device: torch.device
    path: Path

    def make(self) -> None:
        """Raises what a compiler that is missing or failing raises."""
        self.try_all(self.load())
        self.path.write_bytes(b"")

    def load(self) -> Operations:
        if self.device.type != "cuda":
            return TorchOperations()
        from darkroom.engine import kernels

        return cast(Operations, kernels)

    def try_all(self, operations: Operations) -> None:
        """Each kernel once, with what makes it another: types, widths, and how tensors lie."""
        width, head_width = self.width, self.width // self.heads

        def some(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=self.dtype, device=self.device)

        hidden, row, weight = some(TOKENS, width), some(1, width), some(head_width)
        unit = torch.ones((), dtype=torch.float32, device=self.device)
        peak = torch.zeros((), dtype=torch.int32, device=self.device)
        wide = some(TOKENS, (3 + FEED_FORWARD) * width)
        stored = torch.empty(TOKENS, (1 + FEED_FORWARD) * width, dtype=STORED, device=self.device)
        angles = torch.zeros(TOKENS, head_width // 2, 2, 2, dtype=torch.float32, device=self.device)
        feed = FEED_FORWARD * width
        left, right = stored[:, :width], stored[:, width:]
        turned, opened = wide[:, : 3 * width], wide[:, 3 * width :]
        of_left, of_right = operations.parts(width), operations.parts(feed)

        def sums(parts: int) -> torch.Tensor:
            return torch.zeros(parts, TOKENS, self.rank, dtype=torch.float32, device=self.device)

        def more(columns: int, parts: int) -> More | None:
            return More(sums(parts), some(columns, self.rank)) if self.rank else None

        def narrow(columns: int, parts: int) -> Narrow | None:
            return Narrow(some(self.rank, columns), sums(parts)) if self.rank else None

        operations.shrink(hidden, left, unit, peak, narrow(width, of_left))
        operations.turn(turned, weight, weight, angles, heads=self.heads, more=more(3 * width, of_left))
        operations.gelu(opened, right, unit, peak, more(feed, of_left), narrow(feed, of_right))
        for parts in (of_right, of_left + of_right):
            operations.add(hidden, row, some(TOKENS, width), more(width, parts), into=hidden)

        def normalize(more: More | None, narrow: Narrow | None) -> None:
            added = some(TOKENS, width)
            operations.normalize(hidden, row, row, unit, peak, added=added, gate=row, more=more, narrow=narrow)

        operations.normalize(hidden, row, row, unit, peak, narrow=narrow(width, of_left))
        normalize(more(width, of_left), narrow(width, of_left))
        if self.rank:
            # LoRAs of some layers only.
            normalize(more(width, of_left), None)
            operations.gelu(opened, right, unit, peak, more(feed, of_left), None)
            operations.gelu(opened, right, unit, peak, None, narrow(feed, of_right))
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
