"""Draws the subjects of a scene at their spots, with shadows and reflections.

Knows which function draws which kind; must not know sky or land.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from tools.demo_model import buildings, creatures, things
from tools.demo_model.brush import Sheet
from tools.demo_model.layout import Spot
from tools.demo_model.palette import COLOUR_RGB, RGB, Light, mix
from tools.demo_model.pen import Pen
from tools.demo_model.scenes import FLOATING, FLYING, Kind, Terrain

DRAW: dict[Kind, Callable[[Pen, RGB], None]] = {
    "house": buildings.house,
    "tree": creatures.tree,
    "cat": creatures.cat,
    "rabbit": creatures.rabbit,
    "bird": creatures.bird,
    "sailboat": things.sailboat,
    "balloon": things.balloon,
    "lighthouse": buildings.lighthouse,
    "windmill": buildings.windmill,
    "car": things.car,
    "mushroom": creatures.mushroom,
    "flower": creatures.flower,
    "tent": buildings.tent,
    "castle": buildings.castle,
    "kite": things.kite,
    "umbrella": things.umbrella,
}
FOOT: dict[Kind, float] = {"tree": 0.15, "umbrella": 0.05, "flower": 0.07, "mushroom": 0.15, "windmill": 0.28}
GROUND: dict[Terrain, RGB] = {
    "meadow": (112, 174, 78), "mountains": (104, 168, 86), "sea": (244, 210, 152),
    "lake": (112, 174, 78), "desert": (238, 172, 100), "forest": (92, 158, 78),
}  # fmt: skip


def draw_subjects(sheet: Sheet, light: Light, spots: Iterable[Spot], water: RGB, rng: random.Random) -> None:
    """Far subjects first; those on the water with a reflection in it."""
    for spot in spots:
        pen = Pen(sheet, light, x=spot.x, y=spot.y, unit=spot.height, flip=spot.flip, rng=rng)
        if spot.kind in FLOATING:
            pen.tall, pen.veil = -0.62, (water, 0.55)
            DRAW[spot.kind](pen, COLOUR_RGB[spot.colour])
            pen.tall, pen.veil = 1.0, None
        DRAW[spot.kind](pen, COLOUR_RGB[spot.colour])
        if spot.kind in FLOATING:
            _ripples(pen, water)
        elif spot.kind not in FLYING:
            _bed(pen, spot)


def _bed(pen: Pen, spot: Spot) -> None:
    """Grass, sand or snow in front of a thing's foot, so that it stands in the ground and not on it."""
    light, half = pen.light, spot.width * FOOT.get(spot.kind, 0.36)
    if light.scene.weather == "snow":
        tone = mix(light.ground((255, 255, 255), 0.0), (255, 255, 255), 0.25)
        for wide, tall in ((1.5, 0.040), (1.15, 0.028)):
            pen.sheet.soft(spot.x, spot.y + 0.012 * pen.unit, half * wide + 3, tall * pen.unit + 1, tone, 0.85)
        return
    colour = GROUND[light.scene.terrain]
    tone = light.ground(colour, 0.03)
    if light.scene.terrain in ("sea", "desert"):
        pen.sheet.soft(spot.x, spot.y + 0.014 * pen.unit, half * 1.1, 0.018 * pen.unit, tone, 0.8)
        return
    pale = tone if light.ink else mix(tone, light.sun, 0.10 if light.scene.time == "night" else 0.25)
    size = 0.03 * pen.sheet.height**0.5 * pen.unit**0.5
    for side in (-1, 1):
        for k in range(2):
            x, y = spot.x + side * half * (0.75 + 0.3 * k), spot.y + 0.012 * pen.unit
            points = []
            for lean in (-0.6, -0.2, 0.2, 0.6):
                points += [(x + (lean - 0.2) * size * 0.6, y), (x + lean * size, y - size * (1.15 - 0.5 * abs(lean)))]
            pen.sheet.fill([*points, (x + 0.45 * size, y)], (pale, pale, tone, tone), outline=False)


def _ripples(pen: Pen, water: RGB) -> None:
    """Bright lines across the reflection, where the water moves."""
    bright = tuple(min(255, round(v + (255 - v) * 0.35)) for v in water)
    for i, (y, half) in enumerate(((-0.03, 0.50), (-0.15, 0.36), (-0.29, 0.26), (-0.44, 0.16))):
        x = 0.05 * (i % 2)
        points = [pen.at(x - half, y), pen.at(x, y - 0.012), pen.at(x + half, y)]
        pen.sheet.stroke(points, max(1.2, 0.018 * pen.unit), (bright[0], bright[1], bright[2]), alpha=0.75)
