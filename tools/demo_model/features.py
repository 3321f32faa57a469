"""What stands far off on the land: mountains, firs, little trees, mesas, dunes, a path, village lights.

Each function paints onto the land it is given; it must not know which terrain it is for.
"""

from __future__ import annotations

import math

from tools.demo_model.land import DEEP, Land
from tools.demo_model.palette import RGB, WARM, mix

FIR: RGB = (64, 132, 92)
ROCK: RGB = (122, 128, 164)
DUNE: RGB = (238, 172, 100)


def peaks(land: Land, base: float, tall: float, depth: float, number: int) -> None:
    """A range of mountains."""
    step = land.w / number
    order = list(range(-1, number + 1))
    land.rng.shuffle(order)
    for i in order:
        x = (i + 0.5 + land.rng.uniform(-0.25, 0.25)) * step
        top = base - tall * land.rng.uniform(0.62, 1.0)
        half = max(step * land.rng.uniform(0.75, 0.95), (base - top) * 0.72)
        _peak(land, x, top, half, base, depth)


def _peak(land: Land, x: float, top: float, half: float, base: float, depth: float) -> None:
    """One mountain: a lit side, a shaded side, haze at its foot and snow on its head."""
    light = land.light
    bend = half * land.rng.uniform(-0.06, 0.06)
    deep = base - top
    ridge = [(x, top), (x + bend - 0.05 * half, top + deep * 0.35), (x + bend + 0.06 * half, top + deep * 0.62)]
    tone = light.ground(ROCK, depth, snow=0.35)
    lit, dark = mix(tone, light.sun, 0.22), mix(tone, light.sky[0], 0.30)
    if light.ink:
        lit = mix(lit, (255, 255, 250), 0.4)
    foot, foot_dark = mix(lit, light.haze, 0.55), mix(dark, light.haze, 0.50)
    left, right = (lit, dark) if light.side < 0 else (dark, lit)
    low_left, low_right = (foot, foot_dark) if light.side < 0 else (foot_dark, foot)
    whole = [(x - half, base), (x - 0.45 * half, top + deep * 0.47), (x, top)]
    whole += [(x + 0.48 * half, top + deep * 0.46), (x + half, base)]
    land.sheet.fill(whole, (left, left, low_left, low_left), outline=True)
    other = [*ridge, (x + bend, base), (x + half, base), (x + 0.48 * half, top + deep * 0.46)]
    land.sheet.fill(other, (right, right, low_right, low_right), outline=False)
    snow = light.ground((250, 251, 255), depth * 0.55)
    if land.night:
        snow = mix(snow, (190, 204, 240), 0.45)
    shade = mix(snow, tone, 0.45)
    y, w = top + deep * 0.30, half * 0.285
    d = y - top
    teeth = [(x + w, y), (x + 0.55 * w, y - 0.12 * d), (x + 0.25 * w, y + 0.16 * d), (x - 0.1 * w, y - 0.10 * d)]
    teeth += [(x - 0.5 * w, y + 0.14 * d), (x - w, y)]
    land.sheet.fill([(x, top), *teeth], (snow, snow, snow, snow), outline=False)
    away = 1 if light.side < 0 else -1
    lee = [(x, top), *(point for point in teeth if (point[0] - x) * away >= -0.12 * w)]
    land.sheet.fill(lee, (shade, shade, shade, shade), outline=False)


def fir(land: Land, x: float, foot: float, tall: float, depth: float, colour: RGB = FIR) -> None:
    """A fir in three tiers."""
    tone = land.light.ground(colour, depth, snow=0.38)
    lit = land.bright(tone)
    dark = mix(tone, DEEP, 0.22) if depth < 0.6 else tone
    left, right = (lit, dark) if land.light.side < 0 else (dark, lit)
    half = tall * 0.25
    edge = []
    for k in range(3):
        y0, y1 = foot - tall + tall * 0.27 * k, foot - tall + tall * (0.40 + 0.27 * k)
        r = half * (0.50 + 0.25 * k)
        edge += [
            (r * 0.34 * (k > 0), y0 + (0.06 * tall if k else 0)),
            (r * 0.72, (y0 + 2 * y1) / 3),
            (r, min(y1, foot - 0.06 * tall)),
        ]
    trunk = land.light.ground((110, 84, 72), depth, snow=0.1)
    w = half * 0.15
    stem = [(x - w, foot - 0.1 * tall), (x + w, foot - 0.1 * tall), (x + w, foot), (x - w, foot)]
    land.sheet.fill(stem, (trunk, trunk, trunk, trunk), outline=False)
    whole = [*((x + dx, y) for dx, y in edge), *((x - dx, y) for dx, y in reversed(edge))]
    land.sheet.fill(whole, (left, right, left, right))


def firs(land: Land, foot: float, depth: float, tall: float, density: float, *, clearing: bool = False) -> None:
    """A row of firs; a clearing leaves the middle free."""
    gap = tall * 0.34 / density
    x = land.rng.uniform(-gap, 0)
    while x < land.w + gap:
        size = tall * land.rng.uniform(0.70, 1.05)
        if not (clearing and 0.12 < x / land.w < 0.88):
            fir(land, x, foot + land.rng.uniform(-0.01, 0.01) * land.h, size, depth)
        x += gap * land.rng.uniform(0.75, 1.30)


def copses(land: Land, foot: float, depth: float, number: int) -> None:
    """Round little trees in groups on a hill."""
    for _ in range(number):
        x, y = land.rng.uniform(0, land.w), foot + land.rng.uniform(-0.012, 0.012) * land.h
        for _ in range(land.rng.choice((2, 3, 4))):
            bush(land, x, y, land.h * land.rng.uniform(0.014, 0.024), depth)
            x += land.h * land.rng.uniform(0.022, 0.034)


def bush(land: Land, x: float, foot: float, r: float, depth: float, colour: RGB = (84, 150, 92)) -> None:
    tone = land.light.ground(colour, depth, snow=0.4)
    points = [
        (x + r * (1 + 0.05 * math.sin(a * 1.7)) * math.cos(a / 4), foot - r * 0.75 + r * math.sin(a / 4))
        for a in range(25)
    ]
    land.sheet.ball(points, land.bright(land.bright(tone)), mix(tone, DEEP, 0.24 * (1 - depth)), land.light.side)


def mesas(land: Land, y: float) -> None:
    """Flat-topped rocks on the horizon of a desert."""
    for _ in range(2):
        x, half = land.rng.uniform(0.1, 0.9) * land.w, land.w * land.rng.uniform(0.08, 0.15)
        top = y - land.h * land.rng.uniform(0.07, 0.14)
        tone = land.light.ground((206, 112, 92), 0.58, snow=0.38)
        lit, low = land.bright(tone), mix(tone, land.light.haze, 0.4)
        dark = mix(tone, land.light.sky[0], 0.18)
        left, right = (lit, dark) if land.light.side < 0 else (dark, lit)
        step, foot = 0.03 * land.h, y + 0.05 * land.h
        points = [(x - half * 1.25, foot), (x - half, top + step), (x - half * 0.86, top)]
        points += [(x + half * 0.86, top), (x + half, top + step), (x + half * 1.25, foot)]
        land.sheet.fill(points, (left, right, low, low))


def dune(land: Land, y: float, swing: float, depth: float) -> None:
    """A dune whose lee side lies in soft shadow."""
    outline = land.ridge(y, swing, 0.75)
    land.hill(outline, DUNE, depth, snow=0.6)
    top = min(range(8, 41), key=lambda i: outline[i][1])
    tone = land.light.ground((176, 92, 96), depth, snow=0.6)
    for k in range(1, 7):
        i = top - land.light.side * k * 3
        if not 0 <= i < len(outline):
            break
        x, crest = outline[i]
        land.sheet.soft(x, crest + swing * 1.15, land.w * 0.11, swing * 0.75, tone, 0.34 - 0.04 * k)


def cactus(land: Land, x: float, foot: float, tall: float, depth: float) -> None:
    tone = land.light.ground((78, 150, 104), depth, snow=0.25)
    for points, thick in (
        ([(0.0, 0.0), (0.0, 1.0)], 0.22),
        ([(0.0, 0.35), (0.30, 0.40), (0.30, 0.75)], 0.15),
        ([(0.0, 0.5), (-0.28, 0.52), (-0.28, 0.84)], 0.15),
    ):
        moved = [(x + px * tall, foot - py * tall) for px, py in points]
        if land.sheet.line:
            land.sheet.stroke(moved, thick * tall + 2, land.sheet.line, alpha=0.7)
        land.sheet.stroke(moved, thick * tall, tone)
        shift = land.light.side * thick * tall * 0.22
        land.sheet.stroke([(px + shift, py) for px, py in moved], thick * tall * 0.3, land.bright(land.bright(tone)))


def path(land: Land, top: float, colour: RGB) -> None:
    """A light path that winds from the hills to our feet; snow hides it."""
    if land.light.scene.weather == "snow":
        return
    x0, x1 = land.rng.uniform(0.3, 0.7) * land.w, land.rng.uniform(0.25, 0.75) * land.w
    swing = land.w * land.rng.choice((-1, 1)) * land.rng.uniform(0.10, 0.18)
    left, right = [], []
    for i in range(15):
        t = i / 14
        x = x0 + (x1 - x0) * t + swing * math.sin(t * 4.6) * (0.35 + t)
        y = top + (land.h + 6 - top) * t**1.25
        half = land.w * (0.006 + 0.075 * t**1.4)
        left.append((x - half, y))
        right.append((x + half, y))
    far, near = land.light.ground(colour, 0.35), land.light.ground(colour, 0.04)
    land.sheet.fill([*left, *reversed(right)], (far, far, near, near), alpha=0.85, outline=False)


def village_lights(land: Land, y: float) -> None:
    """A few warm lights far away after dark."""
    if not land.light.dusky:
        return
    x = land.w * land.rng.uniform(0.1, 0.8)
    for _ in range(land.rng.choice((4, 5, 6))):
        px, py = x + land.rng.uniform(0, 0.14) * land.w, y + land.rng.uniform(-0.012, 0.012) * land.h
        land.sheet.soft(px, py, 9 * land.unit, 7 * land.unit, WARM, 0.35)
        land.sheet.soft(px, py, 3.2 * land.unit, 2.8 * land.unit, (255, 228, 150), 1.0)
