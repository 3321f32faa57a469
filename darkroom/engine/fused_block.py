"""FLUX.1's two kinds of blocks, for cards that multiply float8: products, and as little as possible between them.

Each activation is read once and written as float8 where it is made, scaled by what the step before saw. Hooks, weights
and their places stay the block's own. Must not know: which card it is, or what a picture is.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.engine.compiled_block import FAULTS, first_line
from darkroom.engine.float8 import STORED, Float8Linear, multiplied
from darkroom.engine.fused_stage import FusedStage
from darkroom.engine.operations import More, Narrow, Operations, block_of
from darkroom.engine.peaks import Peaks


class Owner(Protocol):
    """What a block asks of the compilation it belongs to."""

    @property
    def stage(self) -> FusedStage | None: ...

    def give_up(self, why: str, *, lasting: bool) -> None: ...


class FusedBlock:
    """Stands where a block's `forward` stood, so that what runs before and after the block does so as ever."""

    def __init__(
        self, owner: Owner, block: nn.Module, operations: Operations, *, joint: bool, first_layer: int
    ) -> None:
        self._owner, self._block, self._operations, self._joint = owner, block, operations, joint
        layers = (layer for layer in block.modules() if isinstance(layer, Float8Linear))
        self._numbers = {layer: first_layer + number for number, layer in enumerate(layers)}
        self.layers = len(self._numbers)
        self._parts: _Joint | _Single | None = None
        self._uncompiled: Callable[..., Any] = block.forward
        block.forward = self.forward

    def restore(self) -> None:
        del self._block.forward

    def forward(
        self,
        hidden: Tensor,
        prompt: Tensor,
        conditions: Tensor,
        rope: Tensor,
        attn_mask: Tensor | None = None,
        ipadapter_kwargs_list: Any = None,
    ) -> Any:
        stage = self._owner.stage
        if stage is not None:
            is_expected = stage.expects(hidden, prompt, joint=self._joint)
            if attn_mask is not None or ipadapter_kwargs_list is not None or not is_expected:
                self._owner.give_up("the picture is not what was announced", lasting=False)
            else:
                try:
                    return self._run(stage, hidden, prompt, conditions, rope)
                except (torch.OutOfMemoryError, torch.AcceleratorError):
                    raise
                except FAULTS as error:
                    self._owner.give_up(first_line(str(error)) or type(error).__name__, lasting=True)
        return self._uncompiled(hidden, prompt, conditions, rope, attn_mask, ipadapter_kwargs_list)

    def _run(
        self, stage: FusedStage, hidden: Tensor, prompt: Tensor, conditions: Tensor, rope: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self._parts is None:
            # Not before the first pass: weights may have been arranged anew.
            self._parts = self._taken_apart(stage.peaks, hidden.dtype)
        parts = self._parts
        # Until all is settled there is more to do; and without a row, conditions lie somewhere else in each pass.
        key: Hashable = (id(self), parts.place, rope.data_ptr()) if stage.peaks.trusted and parts.has_rows else None
        if isinstance(parts, _Joint):
            pixels, words = stage.apart(hidden, prompt)
            stage.replays.run(key, lambda: parts.run(pixels, words, conditions, rope))
            return pixels[None], words[None]
        tokens = stage.together(hidden)
        stage.replays.run(key, lambda: parts.run(tokens, conditions, rope))
        return tokens[None], prompt

    def _taken_apart(self, peaks: Peaks, dtype: torch.dtype) -> "_Joint | _Single":
        def layer(module: Float8Linear) -> _Layer:
            return _Layer(module, self._numbers[module], peaks, self._operations, dtype)

        kind = _Joint if self._joint else _Single
        return kind(self._block, layer, self._operations)


class _Activations(NamedTuple):
    """Of one layer, (rows, width) in float8; and what LoRAs take of them (`Narrow.sums`), if that is known."""

    stored: Tensor
    sums: Tensor | None


class _Layer:
    """One float8 layer in one picture. The tensors are those of the module, whatever they show at the moment."""

    def __init__(
        self, module: Float8Linear, number: int, peaks: Peaks, operations: Operations, dtype: torch.dtype
    ) -> None:
        self.in_features, self.out_features, self.low_rank = module.in_features, module.out_features, module.low_rank
        self._number, self._peaks, self._operations, self._dtype = number, peaks, operations, dtype
        self._stored, self._scale, self._bias = module.stored, module.scale, module.bias
        self._unit, self._peak = peaks.unit(number), peaks.peak(number)
        # Where the weights are says where all of the block's are.
        self.place = self._stored.data_ptr
        # What has no program is added by itself.
        has_program = self.low_rank is not None and block_of(len(self.low_rank.down))
        self._down = self.low_rank.down if self.low_rank is not None and has_program else None

    def product(self, activations: _Activations, into: Tensor | None = None) -> tuple[Tensor, More | None]:
        """And what LoRAs add to it, which is not in it yet."""
        stored, sums = activations
        result = multiplied(stored, self._unit, self._stored, self._scale, self._bias, self._dtype, into)
        low_rank = self.low_rank
        if low_rank is None:
            return result, None
        if sums is None:
            return low_rank.add_to(result, low_rank.narrow(stored, self._unit, self._dtype)), None
        return result, More(sums, low_rank.up)

    def normalized(
        self,
        hidden: Tensor,
        shift: Tensor,
        scale: Tensor,
        added: Tensor | None = None,
        gate: Tensor | None = None,
        more: More | None = None,
    ) -> tuple[Tensor, _Activations]:
        """The sum, and its norm as this layer's activations."""
        operations, unit, peak = self._operations, self._unit, self._peak
        narrow, sums = self._narrow(hidden)
        total, stored = operations.normalize(
            hidden, shift, scale, unit, peak, added=added, gate=gate, more=more, narrow=narrow
        )
        if self._unsettled():
            total, stored = operations.normalize(total, shift, scale, unit, peak, narrow=narrow)
        return total, _Activations(stored, sums)

    def shrunk(self, hidden: Tensor) -> _Activations:
        return self._written(hidden, partial(self._operations.shrink, hidden))

    def activated(self, hidden: Tensor, more: More | None) -> _Activations:
        return self._written(hidden, partial(self._operations.gelu, hidden, more=more))

    def joined(self, attended: Tensor, wide: Tensor, more: More | None) -> _Activations:
        """Both as one layer's activations, each by itself."""
        operations, width = self._operations, attended.shape[1]
        stored = torch.empty(len(wide), self.in_features, dtype=STORED, device=wide.device)
        narrow, sums = self._narrow(attended, wide)
        left, right = (None, None) if narrow is None else _cut_narrow(narrow, width, operations.parts(width))
        for again in (False, True):
            if not again or self._unsettled():
                operations.shrink(attended, stored[:, :width], self._unit, self._peak, left)
                operations.gelu(wide, stored[:, width:], self._unit, self._peak, more, right)
        return _Activations(stored, sums)

    def _written(self, hidden: Tensor, write: Callable[..., None]) -> _Activations:
        stored = torch.empty(hidden.shape, dtype=STORED, device=hidden.device)
        narrow, sums = self._narrow(hidden)
        for again in (False, True):
            if not again or self._unsettled():
                write(stored, self._unit, self._peak, narrow=narrow)
        return _Activations(stored, sums)

    def _narrow(self, *activations: Tensor) -> tuple[Narrow, Tensor] | tuple[None, None]:
        if self._down is None:
            return None, None
        parts, rows = sum(self._operations.parts(each.shape[1]) for each in activations), len(activations[0])
        sums = torch.empty(parts, rows, len(self._down), dtype=torch.float32, device=self._down.device)
        return Narrow(self._down, sums), sums

    def _unsettled(self) -> bool:
        """Whether all has to be written once more, by what has now been seen."""
        if self._peaks.trusted:
            return False
        self._peaks.settle(self._number)
        return True


class _Side(NamedTuple):
    """What a joint block has twice: for the prompt, and for the picture."""

    modulation: Any
    to_qkv: _Layer
    query_weight: Tensor
    key_weight: Tensor
    to_out: _Layer
    widen: _Layer
    narrow: _Layer


class _Joint:
    """`run` changes the picture's and the prompt's tokens, each (tokens, width); `rope` is of both, prompt first."""

    def __init__(self, block: Any, layer: Callable[[Float8Linear], _Layer], operations: Operations) -> None:
        self._operations, self._heads, attention = operations, int(block.attn.num_heads), block.attn
        self._words, self._pixels = (
            _Side(
                modulation=getattr(block, f"norm1_{side}").linear,
                to_qkv=layer(getattr(attention, f"{side}_to_qkv")),
                query_weight=getattr(attention, f"norm_q_{side}").weight,
                key_weight=getattr(attention, f"norm_k_{side}").weight,
                to_out=layer(getattr(attention, f"{side}_to_out")),
                widen=layer(getattr(block, f"ff_{side}")[0]),
                narrow=layer(getattr(block, f"ff_{side}")[2]),
            )
            for side in ("b", "a")
        )

    @property
    def place(self) -> int:
        return self._words.to_qkv.place()

    @property
    def has_rows(self) -> bool:
        return self._words.modulation.row is not None

    def run(self, hidden: Tensor, prompt: Tensor, conditions: Tensor, rope: Tensor) -> None:
        words, width = prompt.shape
        joined = hidden.new_empty(words + len(hidden), 3 * width)
        angles = rope.reshape(-1, *rope.shape[-3:])
        modulated = []
        for side, tokens, part, turns in (
            (self._words, prompt, joined[:words], angles[:words]),
            (self._pixels, hidden, joined[words:], angles[words:]),
        ):
            shift, scale, *rest = _rows(side.modulation, conditions, 6)
            _, activations = side.to_qkv.normalized(tokens, shift, scale)
            _, more = side.to_qkv.product(activations, into=part)
            self._operations.turn(part, side.query_weight, side.key_weight, turns, heads=self._heads, more=more)
            modulated.append(rest)
        attended = _attention(joined, self._heads, width)
        del joined, activations, part
        pixels = self._last_sum(self._pixels, hidden, attended[words:], modulated[1])
        last = self._last_sum(self._words, prompt, attended[:words], modulated[0])
        # Nothing is changed before all has been set to work.
        self._operations.add(*pixels, into=hidden)
        self._operations.add(*last, into=prompt)

    def _last_sum(
        self, side: _Side, hidden: Tensor, attended: Tensor, rows: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, More | None]:
        gate, shift, scale, last_gate = rows
        added, more = side.to_out.product(side.to_out.shrunk(attended))
        total, activations = side.widen.normalized(hidden, shift, scale, added=added, gate=gate, more=more)
        wide, more = side.widen.product(activations)
        activations = side.narrow.activated(wide, more)
        del wide
        return total, last_gate, *side.narrow.product(activations)


class _Single:
    """`run` changes the tokens of prompt and picture together, `hidden` (tokens, width)."""

    def __init__(self, block: Any, layer: Callable[[Float8Linear], _Layer], operations: Operations) -> None:
        self._operations, self._heads, self._modulation = operations, int(block.num_heads), block.norm.linear
        self._query_weight, self._key_weight = block.norm_q_a.weight, block.norm_k_a.weight
        self._widen, self._narrow = layer(block.to_qkv_mlp), layer(block.proj_out)

    @property
    def place(self) -> int:
        return self._widen.place()

    @property
    def has_rows(self) -> bool:
        return self._modulation.row is not None

    def run(self, hidden: Tensor, conditions: Tensor, rope: Tensor) -> None:
        operations, width = self._operations, hidden.shape[1]
        shift, scale, gate = _rows(self._modulation, conditions, 3)
        _, activations = self._widen.normalized(hidden, shift, scale)
        projected, more = self._widen.product(activations)
        of_three, of_wide = (None, None) if more is None else _cut(more, 3 * width)
        angles = rope.reshape(-1, *rope.shape[-3:])
        operations.turn(projected, self._query_weight, self._key_weight, angles, heads=self._heads, more=of_three)
        attended = _attention(projected, self._heads, width)
        activations = self._narrow.joined(attended, projected[:, 3 * width :], of_wide)
        del projected, attended
        operations.add(hidden, gate, *self._narrow.product(activations), into=hidden)


def _rows(modulation: Any, conditions: Tensor, parts: int) -> Sequence[Tensor]:
    """Shift, scale and gate, and for some blocks those of the feed-forward: each (1, width)."""
    row: Tensor | None = modulation.row
    return (modulation(functional.silu(conditions)) if row is None else row).chunk(parts, dim=1)


def _cut(more: More, width: int) -> tuple[More, More]:
    """For the first columns, and for the others."""
    return More(more.sums, more.up[:width]), More(more.sums, more.up[width:])


def _cut_narrow(narrow: Narrow, width: int, parts: int) -> tuple[Narrow, Narrow]:
    """Of the first columns, which write so many parts, and of the others."""
    return Narrow(narrow.down[:, :width], narrow.sums[:parts]), Narrow(narrow.down[:, width:], narrow.sums[parts:])


def _attention(projected: Tensor, heads: int, width: int) -> Tensor:
    """(tokens, width) of the first 3 · width columns."""
    tokens = len(projected)
    query, key, value = projected[:, : 3 * width].view(1, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind()
    result = functional.scaled_dot_product_attention(query, key, value)
    return result.transpose(1, 2).reshape(tokens, width)
