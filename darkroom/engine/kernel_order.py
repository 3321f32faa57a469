"""KernelOrder: the card's own kernels, made once for a model's widths in a process of its own, and found by others.

Triton keeps what it makes in a folder of its own; a file here says that it is all there. Must not know: blocks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from darkroom.engine.float8 import STORED, LowRank
from darkroom.engine.operations import More, Operations, TorchOperations

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
        of_three, of_wide, of_sum = None, None, None
        if self.rank:
            ups = (some(columns, self.rank) for columns in (3 * width, FEED_FORWARD * width, width))
            narrow = some(TOKENS, self.rank)
            of_three, of_wide, of_sum = (More(narrow, up) for up in ups)
            for taken in (width, FEED_FORWARD * width, (1 + FEED_FORWARD) * width):
                down = some(self.rank, taken)
                low_rank = LowRank(down, of_sum.up, down.to(STORED), unit)
                operations.narrow(some(TOKENS, taken).to(STORED), unit, low_rank)
        else:
            operations.normalize(hidden, row, row, unit, peak)
            operations.normalize(hidden, row, row, unit, peak, added=some(TOKENS, width), gate=row)
            operations.shrink(hidden, stored[:, :width], unit, peak)
        operations.add(hidden, row, some(TOKENS, width), of_sum, into=hidden)
        operations.turn(wide[:, : 3 * width], weight, weight, angles, heads=self.heads, more=of_three)
        operations.gelu(wide[:, 3 * width :], stored[:, width:], unit, peak, of_wide)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
