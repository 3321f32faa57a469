"""A block whose work is done by a compiled graph, while its hooks, its weights and their places stay its own.

Must not know: where graphs come from, or when there are any.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from darkroom.engine.float8 import Float8Linear, LowRank
from darkroom.engine.tracing import BlockTensors, Compiled, Size

# What a graph that does not fit its tensors raises, or a kernel that cannot be started.
FAULTS = (RuntimeError, AssertionError, TypeError, ValueError)


class Owner(Protocol):
    """What a block asks of the compilation it belongs to."""

    def graph(self, *, joint: bool) -> Compiled | None: ...

    def nothing_added(self, layer: Float8Linear, like: Tensor) -> LowRank: ...

    def give_up(self, why: str, *, lasting: bool) -> None: ...


class CompiledBlock:
    """Stands where a block's `forward` stood, so that what runs before and after the block does so as ever."""

    def __init__(
        self,
        owner: Owner,
        block: nn.Module,
        size: Size,
        *,
        joint: bool,
        rows: bool,
        low_ranks: bool,
    ) -> None:
        self._owner, self._block, self._size = owner, block, size
        self._joint, self._has_rows, self._low_ranks = joint, rows, low_ranks
        self._uncompiled: Callable[..., Any] = block.forward
        self._tensors: BlockTensors | None = None
        self._weights: list[tuple[Tensor, bool]] = []
        self._low_rank: list[Tensor] = []
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
        graph = self._owner.graph(joint=self._joint)
        if graph is not None:
            given = self._given(hidden, prompt, conditions, rope)
            if given is None or attn_mask is not None or ipadapter_kwargs_list is not None:
                self._owner.give_up("the picture is not what was announced", lasting=False)
            else:
                try:
                    results = graph(*given)
                except (torch.OutOfMemoryError, torch.AcceleratorError):
                    raise
                except FAULTS as error:
                    self._owner.give_up(first_line(str(error)) or type(error).__name__, lasting=True)
                else:
                    return tuple(results) if self._joint else (results[0], prompt)
        return self._uncompiled(hidden, prompt, conditions, rope, attn_mask, ipadapter_kwargs_list)

    def _given(self, hidden: Tensor, prompt: Tensor, conditions: Tensor, rope: Tensor) -> list[Tensor] | None:
        """What the graph is called with; None where it was not made for this."""
        if self._tensors is None:
            # Not before the first pass: weights may have been arranged anew.
            self._tensors = BlockTensors(self._block, rows=self._has_rows)
            held = [getattr(module, name) for module, name in self._tensors.weights]
            self._weights = list(zip(held, self._tensors.as_bytes, strict=True))
            for layer in self._tensors.layers if self._low_ranks else ():
                self._low_rank += layer.low_rank or self._owner.nothing_added(layer, hidden)
        size, tensors = self._size, self._tensors
        tokens = size.image if self._joint else size.text + size.image
        rows = [row.row for row in tensors.rows if row.row is not None]
        if hidden.shape[:2] != (1, tokens) or prompt.shape[:2] != (1, size.text) or len(rows) != len(tensors.rows):
            return None
        inputs = (hidden, prompt, conditions, rope) if self._joint else (hidden, conditions, rope)
        # Each time anew: what a weight shows has changed.
        weights = (weight.view(torch.uint8) if as_bytes else weight for weight, as_bytes in self._weights)
        return [*weights, *rows, *self._low_rank, *(each.contiguous() for each in inputs)]


def first_line(text: str) -> str:
    return next(iter(text.splitlines()), "")
