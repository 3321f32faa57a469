"""Sea and lake: their colour, waves, the orb's path of light and what they mirror.

Knows the land's light; must not know what floats on the water.
"""

from __future__ import annotations

from PIL import Image

from tools.demo_model.land import Land
from tools.demo_model.palette import RGB, mix

SEA: RGB = (44, 142, 178)
LAKE: RGB = (88, 166, 186)
SHORE = 0.80


def open_water(land: Land, y: float) -> None:
    """Light at the horizon, deep in front, with the orb's path on it."""
    light = land.light
    sunset = light.scene.time == "sunset"
    far = mix(light.ground(SEA, 0.70, snow=0.1), light.sky[2], 0.62 if sunset else 0.32)
    near = mix(light.ground(SEA, 0.05, snow=0.1), mix(light.sky[0], light.sky[1], 0.35), 0.62 if sunset else 0.18)
    edge = [(-4.0, y), (land.w + 4.0, y), (land.w + 4.0, float(land.h)), (-4.0, float(land.h))]
    land.sheet.fill(edge, (far, far, near, near), outline=False)
    if land.sheet.line:
        land.sheet.stroke(edge[:2], land.sheet.pen_width, land.sheet.line, wobble=True)
    land.water = mix(far, near, 0.45)
    _waves(land, y)
    _path_of_light(land, y)


def mirror(land: Land, y: float) -> None:
    """The lake shows what is above its far shore, upside down."""
    water = land.light.ground(LAKE, 0.30, snow=0.2)
    top, line = max(0, round(y - (SHORE * land.h - y) * 1.5)), round(y)
    picture = land.sheet.image.crop((0, top, land.w, line)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    picture = picture.resize((land.w, round(0.86 * land.h) - line), Image.Resampling.BILINEAR)
    tone = Image.new("RGB", picture.size, mix(water, land.light.sky[0], 0.3))
    land.sheet.image.paste(Image.blend(picture, tone, 0.34 if not land.light.ink else 0.2), (0, line))
    land.water = mix(water, land.light.sky[1], 0.4)
    if land.sheet.line:
        land.sheet.stroke([(-4, y), (land.w + 4, y)], land.sheet.pen_width, land.sheet.line, wobble=True)
    bright = mix(land.water, (255, 255, 255), 0.5)
    land.sheet.soft(land.w / 2, y + 0.004 * land.h, land.w * 0.8, 0.012 * land.h, bright, 0.6)
    _waves(land, y)
    if land.light.dusky:
        _path_of_light(land, y)


def _waves(land: Land, y: float) -> None:
    bright = mix(land.water, (255, 255, 255), 0.40 if not land.night else 0.22)
    dark = mix(land.water, land.light.sky[0], 0.4)
    for i in range(22):
        t = ((i + land.rng.random()) / 22) ** 1.4
        wave = y + (SHORE * land.h - y) * (0.05 + 0.9 * t)
        x, half = land.rng.uniform(0, land.w), land.w * (0.02 + 0.06 * t)
        land.sheet.soft(x, wave, half * 1.5, (1.6 + 2.6 * t) * land.unit, bright if i % 3 else dark, 0.8)


def _path_of_light(land: Land, y: float) -> None:
    if land.light.scene.weather == "rain":
        return
    strength = {"morning": 0.55, "day": 0.34, "sunset": 0.80, "night": 0.65}[land.light.scene.time]
    bottom = SHORE * land.h
    for i in range(14):
        t = (i + 0.5) / 14
        half = land.orb.r * (0.75 + 0.9 * t) * land.rng.uniform(0.7, 1.25)
        x = land.orb.x + land.rng.uniform(-0.25, 0.25) * land.orb.r
        thick = land.h * (0.005 + 0.010 * t)
        land.sheet.soft(x, y + (bottom - y) * t, half * 1.5, thick, land.light.sun, strength * (1 - 0.5 * t))
