"""Several processes that train one network together, each on its own card and its own share of the pictures.

Started by torchrun; alone without it. Must not know: what is trained.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

STEPS_BETWEEN_LOOKS = 10  # at the clock: each look waits for the card


@dataclass(frozen=True, kw_only=True)
class Team:
    """`rank` counts from 0; the first one speaks and saves for all."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def say(self, text: str) -> None:
        if self.leads:
            print(text, flush=True)

    def same_for_all(self, tensors: Iterable[Tensor]) -> None:
        """Every member takes over the first one's values."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def mean_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Average the gradients over the team."""
        if self.size == 1:
            return
        gradients = [value.grad for value in parameters if value.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        parts = flat.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(
            gradients, [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)]
        )

    def clock(self, minutes: float) -> Iterator[tuple[int, float]]:
        """Steps and the progress from 0 to 1, until the time is over: the same for all, so that all stop together."""
        began, step, progress = time.monotonic(), 0, 0.0
        while True:
            if self.size == 1 or step % STEPS_BETWEEN_LOOKS == 0:
                progress = self._mean((time.monotonic() - began) / (minutes * 60))
            if progress >= 1:
                return
            yield step, progress
            step += 1

    def _mean(self, value: float) -> float:
        if self.size == 1:
            return value
        values = torch.tensor([value], device=self.device)
        distributed.all_reduce(values)
        return float(values) / self.size

    def leave(self) -> None:
        if self.size > 1:
            distributed.barrier()
            distributed.destroy_process_group()


def join_team() -> Team:
    """The team that torchrun has put this process into, or a team of one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if size > 1:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Team(rank=rank, size=size, device=device)
