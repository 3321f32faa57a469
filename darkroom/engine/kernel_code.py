"""What the card's own kernels do, in Triton's language. Each reads once what it needs, and writes float8.

What each computes is said, and written with torch, in `operations.py`; `kernels.py` sets them to work. Imports triton:
only for a process that has a card. Must not know: blocks, layers, or why.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

import triton
import triton.language as tl


@triton.jit
def _bits(values, mask):
    """As bits, numbers without a sign are in order, and what is none comes after all of them."""
    return tl.where(mask, values.to(tl.int32, bitcast=True) & 0x7FFFFFFF, 0)


@triton.jit
def _larger(one, other):
    """What is no number is larger than all."""
    return tl.maximum(one, other, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _keep_largest(bits, peak):
    tl.atomic_max(peak, tl.max(bits), sem="relaxed")


@triton.jit
def _rows_of(sums, up, row, row_mask, rows, rank, parts: tl.constexpr, block: tl.constexpr):
    """Of these rows, the sum of all parts."""
    places = tl.arange(0, block)
    mask = row_mask[:, None] & (places < rank)[None, :]
    place = row[:, None] * rank + places[None, :]
    total = tl.load(sums + place, mask, 0.0)
    for part in tl.static_range(1, parts):
        total += tl.load(sums + place + part * rows.to(tl.int64) * rank, mask, 0.0)
    return total.to(up.dtype.element_ty)


@triton.jit
def _more(values, left, up, column, column_mask, rank, block: tl.constexpr):
    """values + left · upᵀ, of these columns."""
    places = tl.arange(0, block)
    mask = column_mask[:, None] & (places < rank)[None, :]
    return tl.dot(left, tl.trans(tl.load(up + column[:, None] * rank + places[None, :], mask, 0.0)), values)


@triton.jit
def _taken(sums, values, down, down_row, column, column_mask, rank, block: tl.constexpr):
    """sums + values · downᵀ, of these columns."""
    places = tl.arange(0, block)
    mask = column_mask[:, None] & (places < rank)[None, :]
    right = tl.load(down + column[:, None] + places[None, :] * down_row, mask, 0.0)
    return tl.dot(values.to(right.dtype), right, sums)


@triton.jit
def _hand_over(taken, sums, row, row_mask, rank, block: tl.constexpr):
    places = tl.arange(0, block)
    mask = row_mask[:, None] & (places < rank)[None, :]
    tl.store(sums + row[:, None] * rank + places[None, :], taken, mask)


@triton.jit
def normalize(
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
def normalize_with_more(
    hidden,
    total,
    gate,
    shift,
    scale,
    stored,
    unit,
    peak,
    sums,
    up,
    down,
    taken_sums,
    rows,
    rank,
    taken_rank,
    down_row,
    width: tl.constexpr,
    high: tl.constexpr,
    wide: tl.constexpr,
    stages: tl.constexpr,
    parts: tl.constexpr,
    taken_parts: tl.constexpr,
    block: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * high + tl.arange(0, high)
    row_mask = row < rows
    left = _rows_of(sums, up, row, row_mask, rows, rank, parts, block)
    of_row = tl.zeros((high, wide), dtype=tl.float32)
    squares = tl.zeros((high, wide), dtype=tl.float32)
    for start in tl.range(0, width, wide, num_stages=stages):
        column = start + tl.arange(0, wide)
        column_mask = column < width
        mask = row_mask[:, None] & column_mask[None, :]
        place = row[:, None] * width + column[None, :]
        values = tl.load(hidden + place, mask, 0.0).to(tl.float32)
        beside = _more(tl.load(total + place, mask, 0.0).to(tl.float32), left, up, column, column_mask, rank, block)
        values += tl.load(gate + column, column_mask, 0.0).to(tl.float32)[None, :] * beside
        rounded = values.to(total.dtype.element_ty)
        tl.store(total + place, rounded, mask)
        values = rounded.to(tl.float32)
        of_row += values
        squares += values * values
    # What is read now, other threads may have written.
    tl.debug_barrier()
    inverse = 1.0 / tl.load(unit)
    mean = tl.sum(of_row, 1) / width
    factor = tl.rsqrt(tl.maximum(tl.sum(squares, 1) / width - mean * mean, 0.0) + 1e-6)
    largest = tl.zeros((high,), dtype=tl.float32)
    taken = tl.zeros((high, block), dtype=tl.float32)
    for start in tl.range(0, width, wide, num_stages=stages):
        column = start + tl.arange(0, wide)
        column_mask = column < width
        mask = row_mask[:, None] & column_mask[None, :]
        place = row[:, None] * width + column[None, :]
        values = tl.load(total + place, mask, 0.0).to(tl.float32)
        larger = tl.load(scale + column, column_mask, 0.0).to(tl.float32) + 1.0
        less = tl.load(shift + column, column_mask, 0.0).to(tl.float32)
        values = (values - mean[:, None]) * factor[:, None] * larger[None, :] + less[None, :]
        if taken_parts:
            taken = _taken(taken, values, down, down_row, column, column_mask, taken_rank, block)
        tl.store(stored + place, (values * inverse).to(stored.dtype.element_ty), mask)
        largest = _larger(largest, tl.reduce(tl.where(mask, tl.abs(values), 0.0), 1, _larger))
    for part in tl.static_range(taken_parts):
        if part:
            taken = tl.zeros((high, block), dtype=tl.float32)
        _hand_over(taken, taken_sums + part * rows.to(tl.int64) * taken_rank, row, row_mask, taken_rank, block)
    _keep_largest(_bits(largest, row_mask), peak)


@triton.jit
def take(
    stored,
    unit,
    down,
    taken_sums,
    stored_row,
    rows,
    width,
    taken_rank,
    down_row,
    high: tl.constexpr,
    wide: tl.constexpr,
    often: tl.constexpr,
    stages: tl.constexpr,
    block: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * high + tl.arange(0, high)
    row_mask = row < rows
    taken = tl.zeros((high, block), dtype=tl.float32)
    for number in tl.range(0, often, num_stages=stages):
        column = (tl.program_id(1) * often + number) * wide + tl.arange(0, wide)
        column_mask = column < width
        mask = row_mask[:, None] & column_mask[None, :]
        values = tl.load(stored + row[:, None] * stored_row + column[None, :], mask, 0.0)
        taken = _taken(taken, values, down, down_row, column, column_mask, taken_rank, block)
    place = taken_sums + tl.program_id(1) * rows.to(tl.int64) * taken_rank
    _hand_over(taken * tl.load(unit), place, row, row_mask, taken_rank, block)


@triton.jit
def store(
    hidden,
    stored,
    unit,
    peak,
    sums,
    up,
    down,
    taken_sums,
    hidden_row,
    stored_row,
    rows,
    width,
    rank,
    taken_rank,
    down_row,
    high: tl.constexpr,
    wide: tl.constexpr,
    often: tl.constexpr,
    stages: tl.constexpr,
    is_gelu: tl.constexpr,
    parts: tl.constexpr,
    takes: tl.constexpr,
    block: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * high + tl.arange(0, high)
    row_mask = row < rows
    inverse = 1.0 / tl.load(unit)
    if parts:
        left = _rows_of(sums, up, row, row_mask, rows, rank, parts, block)
    if takes:
        taken = tl.zeros((high, block), dtype=tl.float32)
    largest = tl.zeros((high,), dtype=tl.float32)
    for number in tl.range(0, often, num_stages=stages):
        column = (tl.program_id(1) * often + number) * wide + tl.arange(0, wide)
        column_mask = column < width
        mask = row_mask[:, None] & column_mask[None, :]
        # What is not there is 0, and stays so.
        values = tl.load(hidden + row[:, None] * hidden_row + column[None, :], mask, 0.0).to(tl.float32)
        if parts:
            values = _more(values, left, up, column, column_mask, rank, block)
        if is_gelu:
            # With tanh: x · sigmoid(2 · √(2/π) · (x + 0.044715 x³)), and exp(x) as a power of two. 1/√ twice: a
            # division takes a card longer.
            power = values * (values * values * -0.1029432397 - 2.302208199)
            root = tl.rsqrt(1.0 + tl.exp2(power))
            values = values * root * root
        if takes:
            taken = _taken(taken, values, down, down_row, column, column_mask, taken_rank, block)
        result = (values * inverse).to(stored.dtype.element_ty)
        tl.store(stored + row[:, None] * stored_row + column[None, :], result, mask)
        largest = _larger(largest, tl.reduce(tl.abs(values), 1, _larger))
    if takes:
        place = taken_sums + tl.program_id(1) * rows.to(tl.int64) * taken_rank
        _hand_over(taken, place, row, row_mask, taken_rank, block)
    _keep_largest(_bits(largest, row_mask), peak)


@triton.jit
def turn(
    projected,
    query_weight,
    key_weight,
    angles,
    sums,
    up,
    row,
    tokens,
    rank,
    heads: tl.constexpr,
    head_width: tl.constexpr,
    heads_at_once: tl.constexpr,
    tokens_at_once: tl.constexpr,
    stages: tl.constexpr,
    parts: tl.constexpr,
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
    if parts:
        left = _rows_of(sums, up, token, token_mask, tokens, rank, parts, block)
    for number in tl.range(0, heads_at_once, num_stages=stages):
        head = tl.program_id(1) * heads_at_once + number
        first = (kind * heads + head) * head_width
        is_there = column < tl.where(head < heads, head_width, 0)
        mask = token_mask[:, None] & is_there[None, :]
        place = projected + token[:, None] * row + first + column[None, :]
        values = tl.load(place, mask, 0.0).to(tl.float32)
        if parts:
            values = _more(values, left, up, first + column, is_there, rank, block)
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
def add(
    hidden,
    gate,
    added,
    into,
    sums,
    up,
    rows,
    width,
    rank,
    high: tl.constexpr,
    wide: tl.constexpr,
    often: tl.constexpr,
    stages: tl.constexpr,
    parts: tl.constexpr,
    block: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * high + tl.arange(0, high)
    row_mask = row < rows
    if parts:
        left = _rows_of(sums, up, row, row_mask, rows, rank, parts, block)
    for number in tl.range(0, often, num_stages=stages):
        column = (tl.program_id(1) * often + number) * wide + tl.arange(0, wide)
        column_mask = column < width
        mask = row_mask[:, None] & column_mask[None, :]
        place = row[:, None] * width + column[None, :]
        values = tl.load(hidden + place, mask, 0.0).to(tl.float32)
        beside = tl.load(added + place, mask, 0.0).to(tl.float32)
        if parts:
            beside = _more(beside, left, up, column, column_mask, rank, block)
        values += tl.load(gate + column, column_mask, 0.0).to(tl.float32)[None, :] * beside
        tl.store(into + place, values.to(into.dtype.element_ty), mask)
