"""Incoming: one tensor of a model, made of one or several of a file, as float8 or in the computation type.

Must not know: which file, which model, or what it is called there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from darkroom.engine.float8 import STORED, quantize
from darkroom.engine.numbers import all_numbers

WEIGHT_SUFFIX = ".weight"


@dataclass(frozen=True, kw_only=True, eq=False)
class Incoming:
    """`name` is DiffSynth's for it in its model, `label` the file's. `take` gives the pieces, which are of `dtypes` and
    lie one below the other; with `turned`, the lower half is the upper one. `scales` belong to the pieces, each one
    number or one for each row.
    """

    name: str
    label: str
    take: Callable[[], tuple[Tensor, ...]]
    dtypes: tuple[torch.dtype, ...]
    # As it comes, without its scales.
    nbytes: int
    scales: tuple[Tensor | None, ...]
    shape: tuple[int, ...]
    turned: bool
    is_float8: bool

    @property
    def layer(self) -> str:
        return self.name.removesuffix(WEIGHT_SUFFIX)

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def pieces(self) -> tuple[Tensor, ...]:
        """From the first look at them on. Such that no writer aligned take memory."""
        return self.take()

    @property
    def is_floating_point(self) -> bool:
        return self.dtypes[0].is_floating_point

    @property
    def is_stored(self) -> bool:
        """It is float8 of our kind already, under one scale, and is kept as it is: never quantised twice."""
        return set(self.dtypes) == {STORED} and _one_scale(self.scales)

    def is_kept_in(self, dtype: torch.dtype) -> bool:
        """As a number of this type it is what it was."""
        return set(self.dtypes) == {dtype} and not any(scale is not None for scale in self.scales)

    def quantized(self) -> tuple[Tensor, Tensor]:
        """As float8 and its scale. A float8 file without a scale is a plain cast: its scale is 1."""
        if not self.is_stored:
            return quantize(self._whole([_wide(*piece) for piece in zip(self.pieces, self.scales, strict=True)]))
        scale = self.scales[0]
        return self._whole(self.pieces), torch.ones(()) if scale is None else scale.reshape(()).float()

    def plain(self, dtype: torch.dtype) -> Tensor:
        if not self.is_floating_point:
            return self._whole(self.pieces)
        return self._whole([_wide(*piece).to(dtype) for piece in zip(self.pieces, self.scales, strict=True)])

    def are_numbers(self, result: Tensor, scale: Tensor | None, *, between: Callable[[], None] = lambda: None) -> bool:
        """`result`, and the scale if it is float8, are what was made of it. `between`: see `all_numbers`."""
        if self.is_stored or scale is None:
            return all_numbers(result, between=between)
        # Of what was quantised, its scale tells: it is infinite or 0 where one weight was no number.
        return 0 < float(scale) < math.inf

    def _whole(self, pieces: Sequence[Tensor]) -> Tensor:
        """One piece stays where it is."""
        whole = pieces[0] if len(pieces) == 1 else torch.cat(list(pieces))
        if self.turned:
            upper, lower = whole.chunk(2)
            whole = torch.cat((lower, upper))
        return whole.reshape(self.shape)


def _wide(piece: Tensor, scale: Tensor | None) -> Tensor:
    wide = piece.float() if piece.itemsize == 1 else piece
    if scale is None:
        return wide
    if scale.numel() == 1:
        return wide * scale.reshape(()).float()
    return wide * scale.float().reshape(-1, *(1 for _ in piece.shape[1:]))


def _one_scale(scales: Sequence[Tensor | None]) -> bool:
    first = scales[0]
    if first is None:
        return all(scale is None for scale in scales)
    return first.numel() == 1 and all(
        scale is not None and scale.numel() == 1 and bool(scale.reshape(()) == first.reshape(())) for scale in scales
    )
