"""Muon for the blocks' matrices and AdamW for all else, behind one small face. Must not know: what is trained."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Optimizers:
    """Rates are AdamW's; Muon's steps are scaled to be as large as AdamW's would be."""

    def __init__(self, model: nn.Module, *, rate: float, weight_decay: float = 0.02, muon: bool = True) -> None:
        matrices = [value for name, value in model.named_parameters() if muon and _is_inner_matrix(name, value)]
        known = {id(value) for value in matrices}
        others = [value for value in model.parameters() if id(value) not in known]
        groups = [
            {"params": [value for value in others if value.ndim >= 2], "weight_decay": weight_decay},
            {"params": [value for value in others if value.ndim < 2], "weight_decay": 0.0},
        ]
        fused = others[0].device.type == "cuda"
        self.parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), fused=fused)]
        if muon:
            self.parts.append(Muon(matrices, rate=rate, weight_decay=weight_decay))

    def set_rate(self, rate: float) -> None:
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal by Newton-Schulz steps; matrices of one shape go together."""

    def __init__(self, matrices: Sequence[Tensor], *, rate: float, momentum: float = 0.95, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": rate, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for value in group["params"]:
                if value.grad is not None:
                    by_shape[value.shape].append(value)
            for values in by_shape.values():
                self._step_together(values, group)

    def _step_together(self, values: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [value.grad for value in values if value.grad is not None]
        for value in values:
            if not self.state[value]:
                self.state[value]["momentum"] = torch.zeros_like(value)
        moments = [self.state[value]["momentum"] for value in values]
        torch._foreach_lerp_(moments, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, moments, group["momentum"])
        updates = orthogonal(torch.stack(list(ahead)))
        rows, columns = values[0].shape
        size = 0.2 * max(rows, columns) ** 0.5
        torch._foreach_mul_(values, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(values, list(updates.to(values[0].dtype).unbind()), alpha=-group["lr"] * size)


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """Each matrix with its singular values brought near 1, by the quintic of Jordan et al."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    found: Tensor = (matrices.mT if tall else matrices).bfloat16()
    found = found / (found.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = found @ found.mT
        found = 3.4445 * found + (-4.7750 * square + 2.0315 * square @ square) @ found
    return found.mT if tall else found


def _is_inner_matrix(name: str, value: Tensor) -> bool:
    outer = ("embed", "shared", "relative", "norm", "final", "guidance")
    return value.ndim == 2 and not any(word in name for word in outer)
