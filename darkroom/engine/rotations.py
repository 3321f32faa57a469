"""Rotations: where a picture's tokens are, as the angles attention turns them by; computed once for all steps.

DiffSynth computes them anew in each step, in float64. Must not know: pictures, plans or blocks.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Rotations:
    """Of the transformer's `pos_embedder`, whose `forward` it stands for. `forget` before another picture."""

    def __init__(self, embedder: nn.Module) -> None:
        self._compute: Callable[[Tensor], Tensor] = embedder.forward
        self._known: tuple[Any, Tensor] | None = None
        embedder.forward = self.of

    def of(self, places: Tensor) -> Tensor:
        """(1, tokens, 3) to (1, 1, tokens, angles, 2, 2). Of one picture, as many tokens are always the same ones."""
        key = (places.shape, places.dtype, places.device)
        if self._known is None or self._known[0] != key:
            self._known = None
            self._known = (key, self._compute(places))
        return self._known[1]

    def forget(self) -> None:
        self._known = None
