"""The judge: a small network that says what a drawn picture shows, trained on the drawing program's labels.

Must not know: captions, or the model whose pictures it judges.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.demo_model.scenes import COLOURS, KINDS, PLACES, TERRAINS, TIMES, WEATHERS, Scene

SIDE = 256
MOST_IN_GROUP = 3


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Indices into the tuples of `scenes`. Kind 0, colour 0 and count 0 mean "nothing there".

    time, weather, terrain: (batch,); kind, colour, count: (batch, 3), one for each place from left to right.
    """

    time: Tensor
    weather: Tensor
    terrain: Tensor
    kind: Tensor
    colour: Tensor
    count: Tensor

    NAMES = ("time", "weather", "terrain", "kind", "colour", "count")

    def to(self, device: torch.device) -> "Labels":
        return Labels(**{name: getattr(self, name).to(device) for name in self.NAMES})


def labels_of(scenes: list[Scene]) -> Labels:
    kind = torch.zeros(len(scenes), len(PLACES), dtype=torch.long)
    colour, count = torch.zeros_like(kind), torch.zeros_like(kind)
    for row, scene in enumerate(scenes):
        for subject in scene.subjects:
            place = PLACES.index(subject.place)
            kind[row, place] = 1 + KINDS.index(subject.kind)
            colour[row, place] = 1 + COLOURS.index(subject.colour)
            count[row, place] = subject.count
    return Labels(
        time=torch.tensor([TIMES.index(scene.time) for scene in scenes]),
        weather=torch.tensor([WEATHERS.index(scene.weather) for scene in scenes]),
        terrain=torch.tensor([TERRAINS.index(scene.terrain) for scene in scenes]),
        kind=kind,
        colour=colour,
        count=count,
    )


class Judge(nn.Module):
    """Pictures (batch, 3, H, W) in −1…1, of any size, to scores for every label."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 112, 112)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1),
                nn.GroupNorm(8, after),
                nn.SiLU(),
                nn.Conv2d(after, after, 3, padding=1),
                nn.GroupNorm(8, after),
                nn.SiLU(),
            )
            for before, after in itertools.pairwise(widths)
        )
        features = widths[-1] * 2
        self.hidden = nn.Sequential(nn.Linear(features * 3, 192), nn.SiLU())
        self.time = nn.Linear(192, len(TIMES))
        self.weather = nn.Linear(192, len(WEATHERS))
        self.terrain = nn.Linear(192, len(TERRAINS))
        self.place = nn.Sequential(nn.Linear(features + 192, 192), nn.SiLU())
        self.kind = nn.Linear(192, 1 + len(KINDS))
        self.colour = nn.Linear(192, 1 + len(COLOURS))
        self.count = nn.Linear(192, 1 + MOST_IN_GROUP)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """What each stage sees, finest first."""
        seen = []
        for stage in self.stages:
            pictures = stage(pictures)
            seen.append(pictures)
        return seen

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        pictures = functional.interpolate(pictures, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        seen = self.features(pictures)[-1]
        columns = torch.cat(
            [functional.adaptive_avg_pool2d(seen, (1, 3)), functional.adaptive_max_pool2d(seen, (1, 3))], dim=1
        )[:, :, 0].transpose(1, 2)
        whole = self.hidden(columns.flatten(1))
        places = self.place(torch.cat([columns, whole[:, None].expand(-1, 3, -1)], dim=2))
        return {
            "time": self.time(whole),
            "weather": self.weather(whole),
            "terrain": self.terrain(whole),
            "kind": self.kind(places),
            "colour": self.colour(places),
            "count": self.count(places),
        }


def judge_loss(scores: dict[str, Tensor], labels: Labels) -> Tensor:
    losses = [
        functional.cross_entropy(scores[name].flatten(0, -2), getattr(labels, name).flatten()) for name in Labels.NAMES
    ]
    return torch.stack(losses).sum()


@torch.no_grad()
def right_share(scores: dict[str, Tensor], labels: Labels) -> dict[str, float]:
    """Share of right answers by label; kind, colour and count only where there is something."""
    result = {}
    for name in Labels.NAMES:
        truth = getattr(labels, name)
        right = scores[name].argmax(-1) == truth
        result[name] = float(right[truth > 0].float().mean() if truth.ndim == 2 else right.float().mean())
    result["nothing"] = float((scores["kind"].argmax(-1) == 0)[labels.kind == 0].float().mean())
    return result
