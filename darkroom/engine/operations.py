"""What stands between the products of a fused block, as operations on rows; here written with torch.

`kernels.py` has the same for a card. A `unit` is what 1 in float8 stands for, a `peak` the largest value so far: as
the bits of a float32 in an int32, so that a card can compare them. Must not know: blocks or layers.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from darkroom.engine.float8 import LARGEST, STORED

# Of all norms in FLUX.1.
EPSILON = 1e-6


# Ranks that programs are made for. What has more is added by itself.
RANKS = (16, 32, 64)


def block_of(rank: int) -> int:
    """The rank that a program takes it for. 0 where there is none for it."""
    return next((each for each in RANKS if each >= rank), 0)


class Narrow(NamedTuple):
    """What LoRAs take of activations x: x · downᵀ, which `sums` (parts, rows, rank; float32) become the parts of.

    `down` is (rank, width).
    """

    down: Tensor
    sums: Tensor

    def take(self, values: Tensor) -> None:
        self.sums.zero_()[0] = values.to(self.down.dtype).float() @ self.down.float().t()


class More(NamedTuple):
    """What LoRAs add to a product: the sum of `sums` (parts, rows, rank; float32) · upᵀ. `up` is (width, rank)."""

    sums: Tensor
    up: Tensor

    def of(self, hidden: Tensor) -> Tensor:
        """`hidden` with it, in float32."""
        return hidden.float() + self.sums.sum(0).to(self.up.dtype).float() @ self.up.float().t()


class Operations(Protocol):
    """Each `peak` becomes the largest of itself and of the values that are written as float8."""

    def parts(self, width: int) -> int:
        """How many are written of a `Narrow` for so many columns."""
        ...

    def normalize(
        self,
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
        """The sum `hidden` + `gate` · (`added` and `more`), in the place of `added`; and norm(sum) · (1 + `scale`) +
        `shift` as float8.

        `hidden` and `added` are (rows, width), all others (1, width). Without `added`, the sum is `hidden` itself.
        """
        ...

    def gelu(
        self,
        hidden: Tensor,
        stored: Tensor,
        unit: Tensor,
        peak: Tensor,
        more: More | None = None,
        narrow: Narrow | None = None,
    ) -> None:
        """Of `hidden` and `more`, with tanh, into `stored`. Both (rows, width), of larger rows if need be."""
        ...

    def shrink(self, hidden: Tensor, stored: Tensor, unit: Tensor, peak: Tensor, narrow: Narrow | None = None) -> None:
        """`hidden` into `stored`, as it is. Both (rows, width), of larger rows if need be."""
        ...

    def turn(
        self,
        projected: Tensor,
        query_weight: Tensor,
        key_weight: Tensor,
        angles: Tensor,
        *,
        heads: int,
        more: More | None = None,
    ) -> None:
        """Queries and keys of each head become their norm · weight, turned by the token's angles, where they are.

        `projected` (tokens, at least 3 · heads · width of a head), `angles` (…, tokens, angles, 2, 2), contiguous.
        `more` goes to values too.
        """
        ...

    def add(self, hidden: Tensor, gate: Tensor, added: Tensor, more: More | None = None, *, into: Tensor) -> None:
        """`into` becomes the sum `hidden` + `gate` · (`added` and `more`). It may be either of them."""
        ...


class TorchOperations:
    """For a machine without a card, and to compare with."""

    def parts(self, width: int) -> int:  # noqa: ARG002
        return 1

    def normalize(
        self,
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
        total = hidden
        if added is not None and gate is not None:
            total = added
            self.add(hidden, gate, added, more, into=total)
        normed = functional.layer_norm(total.float(), total.shape[-1:], eps=EPSILON)
        stored = torch.empty(total.shape, dtype=STORED, device=total.device)
        self.shrink(normed * (1 + scale.float()) + shift.float(), stored, unit, peak, narrow)
        return total, stored

    def gelu(
        self,
        hidden: Tensor,
        stored: Tensor,
        unit: Tensor,
        peak: Tensor,
        more: More | None = None,
        narrow: Narrow | None = None,
    ) -> None:
        values = hidden.float() if more is None else more.of(hidden)
        self.shrink(functional.gelu(values, approximate="tanh"), stored, unit, peak, narrow)

    def shrink(self, hidden: Tensor, stored: Tensor, unit: Tensor, peak: Tensor, narrow: Narrow | None = None) -> None:
        values = hidden.float()
        if narrow is not None:
            narrow.take(values)
        stored.copy_((values / unit).clamp(-LARGEST, LARGEST))
        largest = peak.view(torch.float32)
        largest.copy_(torch.maximum(largest, values.abs().amax()))

    def turn(
        self,
        projected: Tensor,
        query_weight: Tensor,
        key_weight: Tensor,
        angles: Tensor,
        *,
        heads: int,
        more: More | None = None,
    ) -> None:
        tokens, width = len(projected), len(query_weight)
        if more is not None:
            all_three = projected[:, : 3 * heads * width]
            all_three.copy_(more.of(all_three))
        turns = angles.reshape(tokens, 1, width // 2, 2, 2)
        for number, weight in enumerate((query_weight, key_weight)):
            part = projected[:, number * heads * width : (number + 1) * heads * width]
            values = part.reshape(tokens, heads, width).float()
            values = values * torch.rsqrt(values.square().mean(-1, keepdim=True) + EPSILON)
            pairs = (values.to(part.dtype) * weight).float().view(tokens, heads, -1, 1, 2)
            part.copy_((turns[..., 0] * pairs[..., 0] + turns[..., 1] * pairs[..., 1]).flatten(1))

    def add(self, hidden: Tensor, gate: Tensor, added: Tensor, more: More | None = None, *, into: Tensor) -> None:
        beside = added.float() if more is None else more.of(added)
        into.copy_(hidden.float() + gate.float() * beside)
