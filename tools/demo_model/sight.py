"""What stands where, read off the half-made picture inside the network: the lesson by which it learns to place things.

Thrown away after training. Must not know: captions, or how the network thinks.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.engine.demo import WIDTH
from tools.demo_model.maps import NOTHING
from tools.demo_model.scenes import COLOURS, KINDS

EMPTY_WEIGHT = 0.1


class Sight(nn.Module):
    """From image tokens (batch, H/16 · W/16, width) to scores of kinds and colours for each patch."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.SiLU())
        self.kind = nn.Linear(WIDTH, 1 + len(KINDS))
        self.colour = nn.Linear(WIDTH, len(COLOURS))

    def loss(self, halfway: Tensor, maps: Tensor) -> Tensor:
        """`maps` is (batch, H/16, W/16), the codes of `maps.subject_map`. Cross entropy; empty patches count less."""
        codes = maps.flatten().long()
        there = codes != NOTHING
        seen = self.hidden(halfway.flatten(0, 1).float())
        kinds = torch.where(there, 1 + (codes - 1) // len(COLOURS), 0)
        weights = torch.where(there, 1.0, EMPTY_WEIGHT)
        of_kind = functional.cross_entropy(self.kind(seen), kinds, reduction="none")
        colours = torch.where(there, (codes - 1) % len(COLOURS), 0)
        of_colour = functional.cross_entropy(self.colour(seen), colours, reduction="none")
        return (of_kind * weights).sum() / weights.sum() + (of_colour * there).sum() / there.sum().clamp(min=1)
