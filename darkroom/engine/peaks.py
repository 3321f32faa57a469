"""Peaks: the largest activation of each float8 layer. By it those of the next step are scaled, and read only once.

All of it stays on the card: the host waits for nothing. Must not know: what layers compute.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from darkroom.engine.float8 import LARGEST_ACTIVATION

# Numbers of one layer begin at multiples of 16 bytes.
SPACED = 4
# In names of what is kept, before a side's number.
STATE = "peaks."


class Peaks:
    """Of one picture's passes. Each begins with its `turn`; then each layer has a `unit` and a `peak`, by its number.

    Of each step, one pass is made with each `side`: a tensor that stays the same. In its first pass nothing is known:
    `trusted` is false, and units are right once they are `settled`, after the layer's activations have been seen.
    """

    def __init__(self, layers: int, device: torch.device) -> None:
        # What is made in inference mode could not be written outside it.
        with torch.inference_mode(False):
            self._now = torch.zeros(layers, SPACED, dtype=torch.int32, device=device)
            self._units = torch.ones(layers, SPACED, dtype=torch.float32, device=device)
        self._before: list[Tensor] = []
        self._sides: list[Tensor] = []
        self._side: int | None = None
        self.trusted = False
        # Ready to be handed out: there are hundreds, in each step.
        self._unit: Sequence[Tensor] = [row[0] for row in self._units.unbind()]
        self._peak: Sequence[Tensor] = [row[0] for row in self._now.unbind()]

    def turn(self, side: Tensor) -> None:
        self._before = self._remembered()
        known = [number for number, other in enumerate(self._sides) if other is side]
        self._side = known[0] if known else len(self._sides)
        if not known:
            self._sides.append(side)
        self.trusted = self._side < len(self._before)
        if not self.trusted:
            self._before.append(torch.zeros_like(self._units))
        self._units.copy_(_units_of(self._before[self._side]))
        self._now.zero_()

    def unit(self, layer: int) -> Tensor:
        return self._unit[layer]

    def peak(self, layer: int) -> Tensor:
        return self._peak[layer]

    def settle(self, layer: int) -> None:
        """By what this pass has seen of it."""
        self._unit[layer].copy_(_units_of(self._peak[layer].view(torch.float32)))

    def state(self) -> dict[str, Tensor]:
        """All that passes to come are scaled by."""
        return {f"{STATE}{side}": before for side, before in enumerate(self._remembered())}

    def go_on(self, tensors: Mapping[str, Tensor]) -> None:
        """As if the passes until now had been made here, from the `state` of whoever made them."""
        held = {name: tensor for name, tensor in tensors.items() if name.startswith(STATE)}
        if all(tensor.shape == self._units.shape for tensor in held.values()):
            self._before = [tensor.to(self._units.device) for _, tensor in sorted(held.items())]

    def _remembered(self) -> list[Tensor]:
        before = [*self._before]
        if self._side is not None:
            # A step that is skipped sees nothing.
            before[self._side] = torch.where(self._now == 0, before[self._side], self._now.view(torch.float32))
        return before


def _units_of(largest: Tensor) -> Tensor:
    """Of nothing, or of what is all 0: any will do."""
    return torch.where(largest == 0, 1.0, largest / LARGEST_ACTIVATION)
