"""Where each subject of a scene stands and how tall it is, in pixels.

Pure arithmetic: this file must not know how anything is drawn.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tools.demo_model.scenes import FLOATING, FLYING, WATERS, Colour, Kind, Place, Scene, Size, Subject

SHAPE: dict[Kind, tuple[float, float]] = {  # height of a medium one in the picture, and its width per height
    "house": (0.34, 1.20),
    "tree": (0.40, 0.75),
    "cat": (0.32, 0.90),
    "rabbit": (0.34, 0.68),
    "bird": (0.19, 1.85),
    "sailboat": (0.38, 0.95),
    "balloon": (0.38, 0.74),
    "lighthouse": (0.46, 0.60),
    "windmill": (0.40, 0.85),
    "car": (0.20, 1.80),
    "mushroom": (0.31, 1.08),
    "flower": (0.36, 0.66),
    "tent": (0.28, 1.42),
    "castle": (0.40, 1.12),
    "kite": (0.38, 0.62),
    "umbrella": (0.33, 1.14),
}
SCALE: dict[Size, float] = {"small": 0.58, "medium": 1.0, "large": 1.42}
CENTRE: dict[Place, float] = {"left": 0.20, "centre": 0.50, "right": 0.80}


@dataclass(frozen=True, kw_only=True)
class Spot:
    """One thing to draw: `x`, `y` where it stands (its foot's middle) and its height, all in pixels."""

    subject: int
    kind: Kind
    colour: Colour
    x: float
    y: float
    height: float
    flip: bool

    @property
    def width(self) -> float:
        return self.height * SHAPE[self.kind][1]


def lay_out(scene: Scene, *, width: int, height: int, rng: random.Random) -> tuple[Spot, ...]:
    """The spots of a scene, far ones first."""
    spots: list[Spot] = []
    for index, subject in enumerate(scene.subjects):
        spots += _group(scene, index, subject, width, height, rng)
    return tuple(sorted(spots, key=lambda spot: (spot.kind not in FLYING, spot.y)))


def _group(scene: Scene, index: int, subject: Subject, width: int, height: int, rng: random.Random) -> list[Spot]:
    alone, ink = len(scene.subjects) == 1, scene.style == "ink"
    reference = min(height, 1.18 * width)
    share, aspect = SHAPE[subject.kind]
    medium = min(share * reference, width * (0.40 if alone else 0.33) / aspect)
    step = 0.97 if subject.count == 3 else 1.04
    room = width * ((0.53 if alone else 0.38) - (0.07 if ink else 0.0))
    crowd = 1.0
    if subject.count > 1:
        crowd = min({2: 0.86, 3: 0.76}[subject.count], room / ((1 + step * (subject.count - 1)) * medium * aspect))
    tall = medium * SCALE[subject.size] * crowd
    if subject.size == "large":
        tall = min(tall, width * ((0.53 if alone else 0.45) - (0.04 if ink else 0.0)) / aspect)
    tall = max(tall, 0.115 * width / min(aspect, 1.0), 0.118 * reference / max(aspect, 1.0) ** 0.5)
    wide = tall * aspect
    centre = width * (CENTRE[subject.place] + rng.uniform(-0.025, 0.025))
    step *= wide
    half = step * (subject.count - 1) / 2 + wide / 2
    if subject.place != "centre":  # large things lean towards the middle, but stay inside their third
        inner = min(half + (0.055 if ink else 0.015) * width, 0.288 * width)
        centre = max(centre, inner) if subject.place == "left" else min(centre, width - inner)
    foot = _foot(scene, subject, tall, height, rng)
    spots = []
    lift = rng.choice((-1, 1))
    for i in range(subject.count):
        offset = i - (subject.count - 1) / 2
        stagger = lift * (1 if i % 2 else -1) * tall * (0.16 if subject.kind in FLYING else 0.07)
        stagger = 0.0 if subject.count == 1 else stagger
        spots.append(
            Spot(
                subject=index,
                kind=subject.kind,
                colour=subject.colour,
                x=centre + offset * step,
                y=min(foot + stagger, height * 0.965),
                height=tall * (rng.uniform(0.94, 1.04) if subject.count > 1 else 1.0),
                flip=rng.random() < 0.5,
            )
        )
    return spots


def _foot(scene: Scene, subject: Subject, tall: float, height: int, rng: random.Random) -> float:
    """The y of the ground, or of the lower edge of something that flies."""
    if subject.kind in FLYING:
        middle = height * rng.uniform(0.24, 0.33)
        return max(middle + tall / 2, tall * 1.12 + height * (0.06 if scene.style == "ink" else 0.02))
    if subject.kind in FLOATING:
        base = {"small": 0.645, "medium": 0.70, "large": 0.745}[subject.size]
        return height * (base + rng.uniform(-0.012, 0.012))
    near = {"small": 0.855, "medium": 0.895, "large": 0.935}[subject.size]
    if scene.terrain not in WATERS:
        near -= 0.02
    return height * (near + rng.uniform(-0.02, 0.015))
