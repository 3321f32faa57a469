"""The card's own kernels for what stands between a block's products: how many rows and columns each takes at once.

What each computes is said, and written with torch, in `operations.py`; its code is in `kernel_code.py`. Imports triton:
only for a process that has a card. Must not know: blocks, layers, or why.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from darkroom.engine import kernel_code
from darkroom.engine.float8 import STORED
from darkroom.engine.operations import More, Narrow, block_of
from darkroom.engine.programs import launch


class _Frame(NamedTuple):
    """Of one program: rows and columns at once, how often, warps, and how many of these are on their way."""

    high: int
    wide: int
    often: int
    warps: int
    stages: int

    def grid(self, rows: int, width: int) -> tuple[int, int, int]:
        return _parts(rows, self.high), _parts(width, self.wide * self.often), 1


# The fastest on an H100 at FLUX.1's widths (docs/benchmarks.md). With a low rank it is more rows, for they are
# multiplied; what LoRAs take of so many columns is a part of its sum.
NORM_WARPS = 8
PART = 768
FLAT = _Frame(high=1, wide=4096, often=1, warps=8, stages=1)
STORED_WITH_LORA = _Frame(high=64, wide=64, often=PART // 64, warps=4, stages=4)
TAKEN = _Frame(high=64, wide=128, often=PART // 128, warps=4, stages=3)
ADDED_WITH_LORA = _Frame(high=16, wide=128, often=12, warps=4, stages=3)
# All of a row, one after the other.
NORMED_WITH_LORA = _Frame(high=16, wide=128, often=0, warps=2, stages=4)
# Tokens and heads at once, warps, stages.
TURNED, TURNED_WITH_LORA = (4, 8, 4, 3), (16, 24, 4, 2)


def parts(width: int) -> int:
    return _parts(width, PART)


def normalize(
    hidden: Tensor,
    shift: Tensor,
    scale: Tensor,
    unit: Tensor,
    peak: Tensor,
    *,
    added: Tensor | None = None,
    gate: Tensor | None = None,
    more: More | None = None,
    narrow: Narrow | None = None,
) -> tuple[Tensor, Tensor]:
    rows, width = hidden.shape
    stored = torch.empty(rows, width, dtype=STORED, device=hidden.device)
    adds = added is not None and gate is not None
    total = hidden if added is None else added
    tensors = (hidden, total, shift if gate is None else gate, shift, scale, stored, unit, peak)
    if more is None:
        constants = width, 1 << (width - 1).bit_length(), adds
        launch(kernel_code.normalize, (rows, 1, 1), NORM_WARPS, tensors, (), constants)
        if narrow is not None:
            _take_from(stored, unit, narrow)
        return total, stored
    adding, taking, frame = _adding(more, hidden), _taking(narrow, hidden), NORMED_WITH_LORA
    launch(
        kernel_code.normalize_with_more,
        (_parts(rows, frame.high), 1, 1),
        frame.warps,
        (*tensors, *adding.tensors, *taking.tensors),
        (rows, adding.rank, taking.rank, taking.row),
        (
            width,
            frame.high,
            frame.wide,
            frame.stages,
            adding.parts,
            taking.parts,
            max(adding.block, taking.block),
        ),
    )
    return total, stored


def gelu(
    hidden: Tensor,
    stored: Tensor,
    unit: Tensor,
    peak: Tensor,
    more: More | None = None,
    narrow: Narrow | None = None,
) -> None:
    _flat(hidden, stored, unit, peak, more, narrow, is_gelu=True)


def shrink(hidden: Tensor, stored: Tensor, unit: Tensor, peak: Tensor, narrow: Narrow | None = None) -> None:
    _flat(hidden, stored, unit, peak, None, narrow, is_gelu=False)


def turn(
    projected: Tensor, query_weight: Tensor, key_weight: Tensor, angles: Tensor, *, heads: int, more: More | None = None
) -> None:
    tokens, head_width = len(projected), len(query_weight)
    adding = _adding(more, projected)
    tokens_at_once, heads_at_once, warps, stages = TURNED if more is None else TURNED_WITH_LORA
    launch(
        kernel_code.turn,
        (_parts(tokens, tokens_at_once), _parts(heads, heads_at_once), 2 if more is None else 3),
        warps,
        (projected, query_weight, key_weight, angles, *adding.tensors),
        (projected.stride(0), tokens, adding.rank),
        (heads, head_width, heads_at_once, tokens_at_once, stages, adding.parts, adding.block),
    )


def add(hidden: Tensor, gate: Tensor, added: Tensor, more: More | None = None, *, into: Tensor) -> None:
    rows, width = hidden.shape
    adding = _adding(more, hidden)
    frame = FLAT if more is None else ADDED_WITH_LORA
    launch(
        kernel_code.add,
        frame.grid(rows, width),
        frame.warps,
        (hidden, gate, added, into, *adding.tensors),
        (rows, width, adding.rank),
        (frame.high, frame.wide, frame.often, frame.stages, adding.parts, adding.block),
    )


def _flat(
    hidden: Tensor,
    stored: Tensor,
    unit: Tensor,
    peak: Tensor,
    more: More | None,
    narrow: Narrow | None,
    *,
    is_gelu: bool,
) -> None:
    rows, width = hidden.shape
    adding, taking = _adding(more, hidden), _taking(narrow, hidden)
    frame = FLAT if more is None and narrow is None else STORED_WITH_LORA
    launch(
        kernel_code.store,
        frame.grid(rows, width),
        frame.warps,
        (hidden, stored, unit, peak, *adding.tensors, *taking.tensors),
        (hidden.stride(0), stored.stride(0), rows, width, adding.rank, taking.rank, taking.row),
        (
            frame.high,
            frame.wide,
            frame.often,
            frame.stages,
            is_gelu,
            adding.parts,
            narrow is not None,
            max(adding.block, taking.block),
        ),
    )


def _take_from(stored: Tensor, unit: Tensor, narrow: Narrow) -> None:
    rows, width = stored.shape
    taking, frame = _taking(narrow, stored), TAKEN
    launch(
        kernel_code.take,
        frame.grid(rows, width),
        frame.warps,
        (stored, unit, *taking.tensors),
        (stored.stride(0), rows, width, taking.rank, taking.row),
        (frame.high, frame.wide, frame.often, frame.stages, taking.block),
    )


class _Side(NamedTuple):
    """Of a low rank: two matrices, their rank, and that as programs take it. Of nothing: any tensor, and 0."""

    tensors: tuple[Tensor, Tensor]
    rank: int
    block: int
    parts: int
    row: int


def _adding(more: More | None, instead: Tensor) -> _Side:
    if more is None:
        return _Side((instead, instead), 0, 0, 0, 0)
    count, _, rank = more.sums.shape
    return _Side((more.sums, more.up), rank, block_of(rank), count, 0)


def _taking(narrow: Narrow | None, instead: Tensor) -> _Side:
    if narrow is None:
        return _Side((instead, instead), 0, 0, 0, 0)
    count, _, rank = narrow.sums.shape
    return _Side((narrow.down, narrow.sums), rank, block_of(rank), count, narrow.down.stride(0))


def _parts(of: int, size: int) -> int:
    return -(-of // size)
