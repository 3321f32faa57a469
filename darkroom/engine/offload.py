"""Moves a model's weights onto the card for a stage of the work, and drops that copy afterwards.

The weights live once, in RAM, or on the card if they are to stay there; nothing is ever copied back.
Must not know: which stage it is, or why.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Offload:
    """One model: its tensors rest on the CPU and visit `device`. With `stays`, the first whole visit does not end."""

    def __init__(self, model: nn.Module, device: torch.device, *, stays: bool) -> None:
        self._device = device
        self._stays = stays
        self._resting = [(tensor, tensor.data) for tensor in _tensors(model)]
        self._visiting = False

    def visit(self) -> None:
        if self._visiting or self._device.type == "cpu":
            return
        self._visiting = True
        for tensor, resting in self._resting:
            tensor.data = resting.to(self._device, non_blocking=True)
        if self._stays:
            # All of it has arrived, so the copy in RAM has no more use.
            self._resting = []

    def rest(self) -> None:
        if not (self._visiting and self._resting):
            return
        self._visiting = False
        for tensor, resting in self._resting:
            tensor.data = resting


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    """Each parameter and buffer once: layers may share one."""
    seen: set[int] = set()
    for tensor in (*model.parameters(), *model.buffers()):
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield tensor
