"""The card's own kernels for what stands between a block's products: each reads once what it needs, and writes float8.

Imports triton: only for a process that has a card. What each computes is said, and written with torch, in
`operations.py`. Must not know: blocks, layers, or why.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from darkroom.engine.float8 import STORED, LowRank
from darkroom.engine.operations import More, block_of
from darkroom.engine.programs import launch

# The fastest on an H100 at FLUX.1's widths (docs/benchmarks.md).
NORM_WARPS = 8
# Tokens and heads.
TURNED, TURNED_MULTIPLIED, TURN_WARPS = (4, 8), (16, 24), 4
# Of `down` at once: what an Ada card has room for, so many times.
NARROW_ROWS, NARROW_AREA, NARROW_WARPS, NARROW_STAGES = 16, 4096, 2, 6


class _Frame(NamedTuple):
    """Of one program: rows and columns at once, how often, warps, and how many of these are on their way."""

    high: int
    wide: int
    often: int
    warps: int
    stages: int

    def grid(self, rows: int, width: int) -> tuple[int, int, int]:
        return _parts(rows, self.high), _parts(width, self.wide * self.often), 1


# With a low rank it is more rows, for they are multiplied.
FLAT = _Frame(high=1, wide=4096, often=1, warps=8, stages=1)
STORED_WITH_MORE = _Frame(high=32, wide=128, often=4, warps=4, stages=3)
ADDED_WITH_MORE = _Frame(high=16, wide=256, often=3, warps=4, stages=2)


def normalize(
    hidden: Tensor,
    shift: Tensor,
    scale: Tensor,
    unit: Tensor,
    peak: Tensor,
    *,
    added: Tensor | None = None,
    gate: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    rows, width = hidden.shape
    stored = torch.empty(rows, width, dtype=STORED, device=hidden.device)
    adds = added is not None and gate is not None
    total = hidden if added is None else added
    tensors = (hidden, total, shift if gate is None else gate, shift, scale, stored, unit, peak)
    launch(_normalize, (rows, 1, 1), NORM_WARPS, tensors, (), (width, 1 << (width - 1).bit_length(), adds))
    return total, stored


def gelu(hidden: Tensor, stored: Tensor, unit: Tensor, peak: Tensor, more: More | None = None) -> None:
    _flat(hidden, stored, unit, peak, more, is_gelu=True)


def shrink(hidden: Tensor, stored: Tensor, unit: Tensor, peak: Tensor) -> None:
    _flat(hidden, stored, unit, peak, None, is_gelu=False)


def turn(
    projected: Tensor, query_weight: Tensor, key_weight: Tensor, angles: Tensor, *, heads: int, more: More | None = None
) -> None:
    tokens, head_width = len(projected), len(query_weight)
    narrow, up, rank, block = _parts_of(more, projected)
    tokens_at_once, heads_at_once = TURNED if more is None else TURNED_MULTIPLIED
    launch(
        _turn,
        (_parts(tokens, tokens_at_once), _parts(heads, heads_at_once), 2 if more is None else 3),
        TURN_WARPS,
        (projected, query_weight, key_weight, angles, narrow, up),
        (projected.stride(0), tokens, rank),
        (heads, head_width, heads_at_once, tokens_at_once, block),
    )


def add(hidden: Tensor, gate: Tensor, added: Tensor, more: More | None = None, *, into: Tensor) -> None:
    rows, width = hidden.shape
    narrow, up, rank, block = _parts_of(more, hidden)
    frame = FLAT if more is None else ADDED_WITH_MORE
    launch(
        _add,
        frame.grid(rows, width),
        frame.warps,
        (hidden, gate, added, into, narrow, up),
        (rows, width, rank),
        (frame.high, frame.wide, frame.often, frame.stages, block),
    )


def narrow(stored: Tensor, unit: Tensor, low_rank: LowRank) -> Tensor:
    rows, width = stored.shape
    rank = len(low_rank.stored)
    result = torch.empty(rows, rank, dtype=low_rank.up.dtype, device=stored.device)
    block = block_of(rank)
    launch(
        _narrow,
        (_parts(rows, NARROW_ROWS), 1, 1),
        NARROW_WARPS,
        (stored, low_rank.stored, unit, low_rank.scale, result),
        (rows, stored.stride(0), rank),
        (width, NARROW_ROWS, NARROW_AREA // block, NARROW_STAGES, block),
    )
    return result


def _flat(hidden: Tensor, stored: Tensor, unit: Tensor, peak: Tensor, more: More | None, *, is_gelu: bool) -> None:
    rows, width = hidden.shape
    narrow, up, rank, block = _parts_of(more, hidden)
    frame = FLAT if more is None else STORED_WITH_MORE
    launch(
        _store,
        frame.grid(rows, width),
        frame.warps,
        (hidden, stored, unit, peak, narrow, up),
        (hidden.stride(0), stored.stride(0), rows, width, rank),
        (frame.high, frame.wide, frame.often, frame.stages, is_gelu, block),
    )


def _parts_of(more: More | None, instead: Tensor) -> tuple[Tensor, Tensor, int, int]:
    """Its two matrices, their rank, and the rank as programs take it. Of nothing: any tensor, and 0."""
    if more is None:
        return instead, instead, 0, 0
    rank = more.narrow.shape[1]
    return more.narrow, more.up, rank, block_of(rank)


def _parts(of: int, size: int) -> int:
    return -(-of // size)


@triton.jit
def _bits(values, mask):
    """As bits, numbers without a sign are in order, and what is none comes after all of them."""
    return tl.where(mask, values.to(tl.int32, bitcast=True) & 0x7FFFFFFF, 0)


@triton.jit
def _keep_largest(bits, peak):
    tl.atomic_max(peak, tl.max(bits), sem="relaxed")


@triton.jit
def _rows_of(narrow, row, row_mask, rank, block: tl.constexpr):
    places = tl.arange(0, block)
    mask = row_mask[:, None] & (places < rank)[None, :]
    return tl.load(narrow + row[:, None] * rank + places[None, :], mask, 0.0)


@triton.jit
def _product(left, up, column, column_mask, rank, block: tl.constexpr):
    """left · upᵀ, of these columns."""
    places = tl.arange(0, block)
    mask = column_mask[:, None] & (places < rank)[None, :]
    return tl.dot(left, tl.trans(tl.load(up + column[:, None] * rank + places[None, :], mask, 0.0)))


@triton.jit
def _normalize(
    hidden,
    total,
    gate,
    shift,
    scale,
    stored,
    unit,
    peak,
    width: tl.constexpr,
    block: tl.constexpr,
    adds: tl.constexpr,
):
    columns = tl.arange(0, block)
    mask = columns < width
    place = tl.program_id(0).to(tl.int64) * width + columns
    inverse = 1.0 / tl.load(unit)
    values = tl.load(hidden + place, mask, 0.0).to(tl.float32)
    more = tl.load(scale + columns, mask, 0.0).to(tl.float32) + 1.0
    less = tl.load(shift + columns, mask, 0.0).to(tl.float32)
    if adds:
        beside = tl.load(total + place, mask, 0.0).to(tl.float32)
        values += tl.load(gate + columns, mask, 0.0).to(tl.float32) * beside
        rounded = values.to(total.dtype.element_ty)
        tl.store(total + place, rounded, mask)
        values = rounded.to(tl.float32)
    mean = tl.sum(values) / width
    values = tl.where(mask, values - mean, 0.0)
    spread = tl.sum(values * values) / width
    values = values * tl.rsqrt(spread + 1e-6) * more + less
    tl.store(stored + place, (values * inverse).to(stored.dtype.element_ty), mask)
    _keep_largest(_bits(values, mask), peak)


@triton.jit
def _store(
    hidden,
    stored,
    unit,
    peak,
    narrow,
    up,
    hidden_row,
    stored_row,
    rows,
    width,
    rank,
    high: tl.constexpr,
    wide: tl.constexpr,
    often: tl.constexpr,
    stages: tl.constexpr,
    is_gelu: tl.constexpr,
    block: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * high + tl.arange(0, high)
    row_mask = row < rows
    inverse = 1.0 / tl.load(unit)
    if block:
        left = _rows_of(narrow, row, row_mask, rank, block)
    largest = tl.zeros((high, wide), dtype=tl.int32)
    for number in tl.range(0, often, num_stages=stages):
        column = (tl.program_id(1) * often + number) * wide + tl.arange(0, wide)
        column_mask = column < width
        mask = row_mask[:, None] & column_mask[None, :]
        values = tl.load(hidden + row[:, None] * hidden_row + column[None, :], mask, 0.0).to(tl.float32)
        if block:
            values += _product(left, up, column, column_mask, rank, block)
        if is_gelu:
            # With tanh: x · sigmoid(2 · √(2/π) · (x + 0.044715 x³)), and exp(x) as a power of two.
            power = values * (values * values * -0.1029432397 - 2.302208199)
            values = tl.fdiv(values, 1.0 + tl.exp2(power))
        result = (values * inverse).to(stored.dtype.element_ty)
        tl.store(stored + row[:, None] * stored_row + column[None, :], result, mask)
        largest = tl.maximum(largest, _bits(values, mask))
    _keep_largest(largest, peak)


@triton.jit
def _turn(
    projected,
    query_weight,
    key_weight,
    angles,
    narrow,
    up,
    row,
    tokens,
    rank,
    heads: tl.constexpr,
    head_width: tl.constexpr,
    heads_at_once: tl.constexpr,
    tokens_at_once: tl.constexpr,
    block: tl.constexpr,
):
    half: tl.constexpr = head_width // 2
    token = tl.program_id(0).to(tl.int64) * tokens_at_once + tl.arange(0, tokens_at_once)
    token_mask = token < tokens
    kind = tl.program_id(2)
    column = tl.arange(0, head_width)
    angle = angles + token[:, None] * (half * 4) + tl.arange(0, half)[None, :] * 4
    cosine = tl.load(angle, token_mask[:, None], 0.0)
    sine = tl.load(angle + 2, token_mask[:, None], 0.0)
    weights = tl.load((query_weight if kind == 0 else key_weight) + column).to(tl.float32)
    if block:
        left = _rows_of(narrow, token, token_mask, rank, block)
    for number in range(heads_at_once):
        head = tl.program_id(1) * heads_at_once + number
        first = (kind * heads + head) * head_width
        is_there = column < tl.where(head < heads, head_width, 0)
        mask = token_mask[:, None] & is_there[None, :]
        place = projected + token[:, None] * row + first + column[None, :]
        values = tl.load(place, mask, 0.0).to(tl.float32)
        if block:
            values += _product(left, up, first + column, is_there, rank, block)
            # As it would be in memory.
            values = values.to(projected.dtype.element_ty).to(tl.float32)
        if kind < 2:
            share = tl.sum(values * values, 1) / head_width
            values = (values * tl.rsqrt(share + 1e-6)[:, None]).to(projected.dtype.element_ty).to(tl.float32)
            values = (values * weights[None, :]).to(projected.dtype.element_ty).to(tl.float32)
            one, other = tl.split(tl.reshape(values, (tokens_at_once, half, 2)))
            turned = tl.join(cosine * one - sine * other, sine * one + cosine * other)
            values = tl.reshape(turned, (tokens_at_once, head_width))
        tl.store(place, values.to(projected.dtype.element_ty), mask)


@triton.jit
def _add(
    hidden,
    gate,
    added,
    into,
    narrow,
    up,
    rows,
    width,
    rank,
    high: tl.constexpr,
    wide: tl.constexpr,
    often: tl.constexpr,
    stages: tl.constexpr,
    block: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * high + tl.arange(0, high)
    row_mask = row < rows
    if block:
        left = _rows_of(narrow, row, row_mask, rank, block)
    for number in tl.range(0, often, num_stages=stages):
        column = (tl.program_id(1) * often + number) * wide + tl.arange(0, wide)
        column_mask = column < width
        mask = row_mask[:, None] & column_mask[None, :]
        place = row[:, None] * width + column[None, :]
        values = tl.load(hidden + place, mask, 0.0).to(tl.float32)
        beside = tl.load(added + place, mask, 0.0).to(tl.float32)
        if block:
            beside += _product(left, up, column, column_mask, rank, block)
        values += tl.load(gate + column, column_mask, 0.0).to(tl.float32)[None, :] * beside
        tl.store(into + place, values.to(into.dtype.element_ty), mask)


@triton.jit
def _narrow(
    stored,
    down,
    unit,
    scale,
    result,
    rows,
    stored_row,
    rank,
    width: tl.constexpr,
    high: tl.constexpr,
    deep: tl.constexpr,
    stages: tl.constexpr,
    block: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * high + tl.arange(0, high)
    row_mask = (row < rows)[:, None]
    place = tl.arange(0, block)
    known = (place < rank)[None, :]
    sums = tl.zeros((high, block), dtype=tl.float32)
    for start in tl.range(0, width, deep, num_stages=stages):
        depth = start + tl.arange(0, deep)
        inside = depth < width
        left = tl.load(stored + row[:, None] * stored_row + depth[None, :], row_mask & inside[None, :], 0.0)
        right = tl.load(down + place[None, :] * width + depth[:, None], known & inside[:, None], 0.0)
        sums = tl.dot(left, right, sums)
    values = sums * (tl.load(unit) * tl.load(scale))
    tl.store(result + row[:, None] * rank + place[None, :], values.to(result.dtype.element_ty), row_mask & known)
