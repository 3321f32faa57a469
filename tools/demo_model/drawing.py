"""Draws a scene: the order in which sky, land, subjects and weather go onto the paper.

Deterministic for scene, size and seed; must not know captions or how a model is trained.
"""

from __future__ import annotations

import random

from PIL import Image

from tools.demo_model.brush import Sheet
from tools.demo_model.land import Land
from tools.demo_model.layout import lay_out
from tools.demo_model.palette import PAPER, Light
from tools.demo_model.scenes import FLOATING, Scene
from tools.demo_model.sky import paint_sky, place_orb
from tools.demo_model.subjects import draw_subjects
from tools.demo_model.terrain import HORIZON, paint_far, paint_near
from tools.demo_model.weather import fall, finish, mist


def draw(scene: Scene, *, width: int, height: int, seed: int) -> Image.Image:
    """The picture of a scene; the seed varies outlines, clouds and exact places."""
    rng = random.Random(seed)
    spots = lay_out(scene, width=width, height=height, rng=spots_rng(seed))
    light = Light(scene=scene, side=rng.choice((-1, 1)))
    line = light.line if light.ink else None
    sheet = Sheet(Image.new("RGB", (width, height), PAPER), line=line, rng=random.Random(seed + 2))
    horizon = height * HORIZON[scene.terrain]

    orb = place_orb(light, width, height, horizon, rng)
    paint_sky(sheet, light, orb, horizon, rng)
    land = Land(sheet, light, orb, horizon, rng)
    paint_far(land)
    if scene.weather == "mist":
        mist(sheet, light, horizon, rng)
    draw_subjects(sheet, light, [spot for spot in spots if spot.kind in FLOATING], land.water, rng)
    paint_near(land)
    draw_subjects(sheet, light, [spot for spot in spots if spot.kind not in FLOATING], land.water, rng)
    fall(sheet, light, rng)
    return finish(sheet, light, rng)


def spots_rng(seed: int) -> random.Random:
    """What decides where the things stand in the picture of this seed."""
    return random.Random(seed + 1)
