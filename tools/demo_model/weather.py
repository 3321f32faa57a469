"""What falls or hangs in front of everything: rain, snow, mist; and the paper itself.

Knows the light; must not know land or subjects.
"""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops

from tools.demo_model.brush import Sheet, rounded
from tools.demo_model.palette import PAPER, Light, mix


def fall(sheet: Sheet, light: Light, rng: random.Random) -> None:
    """Rain or snow in front of the whole picture."""
    unit = min(sheet.width, sheet.height) / 512
    area = sheet.width * sheet.height / (512 * 512) / unit**2
    if light.scene.weather == "rain":
        colour = mix(light.sky[2], (255, 255, 255), 0.62 if light.scene.time != "night" else 0.42)
        if light.ink:
            colour = light.line
        for _ in range(round(62 * area)):
            x, y = rng.uniform(-10, sheet.width), rng.uniform(-20, sheet.height)
            length = unit * rng.uniform(18, 34)
            sheet.stroke([(x, y), (x - length * 0.22, y + length)], 2.2 * unit, colour, alpha=0.5)
    if light.scene.weather == "snow":
        colour = (255, 255, 255)
        for _ in range(round(80 * area)):
            x, y = rng.uniform(0, sheet.width), rng.uniform(0, sheet.height)
            r = unit * rng.choice((3.2, 4.0, 5.0, 6.4))
            sheet.soft(x, y, r, r, colour, 0.95)


def mist(sheet: Sheet, light: Light, horizon: float, rng: random.Random) -> None:
    """Banks of fog over the far land."""
    colour = mix(light.haze, (255, 255, 255), 0.22 if light.scene.time != "night" else 0.12)
    for i in range(6):
        y = horizon + (i / 5 - 0.35) * 0.22 * sheet.height
        x = sheet.width * rng.uniform(0.0, 1.0)
        sheet.soft(x, y, sheet.width * rng.uniform(0.45, 0.75), sheet.height * rng.uniform(0.035, 0.06), colour, 0.62)


@lru_cache(maxsize=32)
def _vignette(width: int, height: int) -> Image.Image:
    """How much light is left towards the corners."""
    y, x = np.mgrid[-1 : 1 : height // 8 * 1j, -1 : 1 : width // 8 * 1j]
    level = 255 - 26 * np.clip((x**2 + y**2) / 2, 0, 1) ** 1.6
    small = Image.fromarray(level.astype(np.uint8))
    warm = Image.merge(
        "RGB",
        (small, small.point([v * 252 // 255 for v in range(256)]), small.point([v * 244 // 255 for v in range(256)])),
    )
    return warm.resize((width, height), Image.Resampling.BICUBIC)


def finish(sheet: Sheet, light: Light, rng: random.Random) -> Image.Image:
    """The last touch: a soft vignette in a book, a bare paper edge round an ink drawing."""
    if not light.ink:
        return ImageChops.multiply(sheet.image, _vignette(sheet.width, sheet.height))
    width, height = sheet.width, sheet.height
    margin = min(width, height) * 0.05
    wobble = [
        (x + rng.uniform(-0.25, 0.25) * margin, y + rng.uniform(-0.25, 0.25) * margin)
        for x, y in _frame(width, height, margin)
    ]
    inside = Image.new("RGB", (width, height), PAPER)
    frame = Sheet(inside, line=None, rng=rng)
    got = frame.mask(rounded(wobble))
    if got:
        box, mask = got
        inside.paste(sheet.image.crop((box[0], box[1], box[0] + mask.width, box[1] + mask.height)), box, mask)
    return inside


def _frame(width: int, height: int, margin: float) -> list[tuple[float, float]]:
    m, n = margin, 7
    xs = [m + (width - 2 * m) * i / n for i in range(n + 1)]
    ys = [m + (height - 2 * m) * i / n for i in range(n + 1)]
    return [
        *((x, m) for x in xs[:-1]),
        *((width - m, y) for y in ys[:-1]),
        *((x, height - m) for x in reversed(xs[1:])),
        *((m, y) for y in reversed(ys[1:])),
    ]
