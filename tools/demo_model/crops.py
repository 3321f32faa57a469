"""What the VAE learns from: square crops of the drawn pictures, and how much each pixel of them counts.

Must not know: the VAE.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tools.demo_model.dataset import picture_sets
from tools.demo_model.maps import NOTHING, PATCH
from tools.demo_model.team import Team

CROP = 160
BATCH = 80
NEAR_A_THING = 0.75
THING_WEIGHT = 4.0


class Crops:
    """Square crops of the drawn pictures, most of them around a thing; each member of the team has its own share."""

    def __init__(self, folders: list[Path], most: int, team: Team, *, seed: int) -> None:
        self.team = team
        self.device = team.device
        self.rng = random.Random(f"crops {seed} {team.rank}")
        self.sets: list[_Drawn] = []
        sets = [one for folder in folders for one in picture_sets(folder)]
        share = min(1.0, most / sum(len(one.scenes) for one in sets))
        for one in sets:
            mine = slice(team.rank, max(team.size, int(len(one.scenes) * share)), team.size)
            pixels = torch.from_numpy(np.array(one.pixels[mine])).to(team.device)
            maps = torch.from_numpy(np.array(one.maps[mine]))
            things = [(codes != NOTHING).nonzero().tolist() for codes in maps]
            self.sets.append(
                _Drawn(pixels=pixels.permute(0, 3, 1, 2), maps=(maps != NOTHING).to(team.device), things=things)
            )

    def batch(self, size: int = BATCH) -> tuple[Tensor, Tensor]:
        """Pictures (batch, 3, CROP, CROP) in −1…1, and how much each pixel counts (batch, 1, CROP, CROP)."""
        drawn = self.rng.choices(self.sets, [len(one.things) for one in self.sets])[0]
        crops, weights = [], []
        for _ in range(size):
            place = self.rng.randrange(len(drawn.things))
            top, left = self._corner(drawn, place)
            crops.append(drawn.pixels[place, :, top : top + CROP, left : left + CROP])
            patch = slice(top // PATCH, (top + CROP) // PATCH), slice(left // PATCH, (left + CROP) // PATCH)
            weights.append(drawn.maps[place][patch])
        pictures = torch.stack(crops).float() / 127.5 - 1
        counted = 1 + (THING_WEIGHT - 1) * torch.stack(weights)[:, None].float()
        counted = functional.interpolate(counted, scale_factor=PATCH, mode="nearest")
        if self.rng.random() < 0.5:
            pictures, counted = pictures.flip(3), counted.flip(3)
        return pictures.contiguous(memory_format=torch.channels_last), counted

    def _corner(self, drawn: "_Drawn", place: int) -> tuple[int, int]:
        """A multiple of PATCH from the top and from the left."""
        rows, columns = (side // PATCH for side in drawn.pixels.shape[2:])
        patches = CROP // PATCH
        row, column = self.rng.randint(0, rows - patches), self.rng.randint(0, columns - patches)
        if drawn.things[place] and self.rng.random() < NEAR_A_THING:
            row, column = (at - self.rng.randrange(patches) for at in self.rng.choice(drawn.things[place]))
        return max(0, min(row, rows - patches)) * PATCH, max(0, min(column, columns - patches)) * PATCH


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """Pictures of one size on the device, where things are (pictures, H/16, W/16), and the same as [row, column]s."""

    pixels: Tensor
    maps: Tensor
    things: list[list[list[int]]]
