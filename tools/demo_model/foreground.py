"""What lies at our feet: grass, blossoms, bushes in the corners, shells, reeds, fireflies, puddles.

Small and soft on purpose; must not know the subjects that stand among it.
"""

from __future__ import annotations

from tools.demo_model.features import bush
from tools.demo_model.land import DEEP, Land
from tools.demo_model.palette import RGB, mix

PETALS: tuple[RGB, ...] = ((255, 250, 236), (255, 222, 110), (250, 184, 196), (202, 176, 236))


def lawn(land: Land, top: float, green: RGB) -> None:
    """Grass in tufts with blossoms between; under snow only soft drifts."""
    if land.light.scene.weather == "snow":
        drifts(land, top)
        return
    tufts(land, top, green)
    blossoms(land, top)


def tufts(land: Land, top: float, green: RGB) -> None:
    tone = land.light.ground(green, 0.03)
    pale, dark = land.bright(land.bright(tone)), mix(tone, DEEP, 0.24)
    for i in range(round(20 * max(1.0, land.w / land.h))):
        t = ((i + land.rng.random()) / 20) ** 0.8 if land.w <= land.h else land.rng.random() ** 0.8
        x, y = land.rng.uniform(0, land.w), top + (land.h * 1.01 - top) * min(t, 1.0)
        tall = land.unit * (9 + 15 * t)
        colour = pale if land.rng.random() < 0.6 else dark
        points = []
        for lean in (-0.55, -0.15, 0.25, 0.6):
            points += [(x + (lean - 0.17) * tall * 0.55, y), (x + lean * tall, y - tall * (1 - 0.4 * abs(lean)))]
        points.append((x + 0.42 * tall, y))
        land.sheet.fill(points, (colour, colour, tone, tone), outline=False, alpha=0.7)


def blossoms(land: Land, top: float) -> None:
    """Soft dots of flowers, in drifts of one colour."""
    number = round(5 * land.w / min(land.w, land.h))
    for _ in range(number):
        colour = land.light.ground(land.rng.choice(PETALS), 0.08)
        if land.night:
            colour = mix(colour, (220, 220, 250), 0.25)
        x, t = land.rng.uniform(0, land.w), land.rng.uniform(0.05, 1.0)
        for _ in range(6):
            u = min(1.0, max(0.0, t + land.rng.uniform(-0.12, 0.12)))
            px, py = x + land.rng.gauss(0, 0.06) * land.w, top + (land.h - top) * u
            r = land.unit * (3.0 + 3.6 * u)
            land.sheet.soft(px, py, r * 1.25, r * 1.05, colour, 0.95)


def drifts(land: Land, top: float) -> None:
    white = land.light.ground((255, 255, 255), 0.0)
    shade = mix(white, land.light.sky[0], 0.28)
    for i in range(8):
        x, y = land.rng.uniform(0, land.w), top + (land.h - top) * (i + land.rng.random()) / 8
        rx = land.w * land.rng.uniform(0.12, 0.25)
        land.sheet.soft(x, y + 0.012 * land.h, rx, 0.016 * land.h, shade, 0.5)
        land.sheet.soft(x, y, rx, 0.016 * land.h, mix(white, (255, 255, 255), 0.4), 0.55)


def corners(land: Land, colour: RGB = (62, 128, 78)) -> None:
    """Bushes cut off by the picture's lower corners, for depth; an ink drawing's paper edge leaves no room."""
    if land.light.ink:
        return
    for side in (-1, 1):
        if land.rng.random() < 0.3:
            continue
        edge = 0.0 if side < 0 else float(land.w)
        for dx, r in ((0.075, 0.036), (0.0, 0.060), (0.125, 0.022)):
            size = r * min(land.h, land.w * 1.2) * land.rng.uniform(0.9, 1.2)
            bush(land, edge - side * dx * land.w, land.h * 1.02, size, 0.0, colour)


def shells(land: Land, top: float) -> None:
    """Pebbles and shells on the sand."""
    for _ in range(round(14 * land.w / min(land.w, land.h))):
        x, t = land.rng.uniform(0, land.w), land.rng.uniform(0.15, 1.0)
        colour = land.light.ground(land.rng.choice(((255, 244, 228), (232, 176, 150), (214, 196, 180))), 0.05)
        r = land.unit * (2.6 + 2.4 * t)
        y = top + (land.h - top) * t
        land.sheet.soft(x + 1, y + r * 0.5, r * 1.6, r, mix(colour, DEEP, 0.5), 0.35)
        land.sheet.soft(x, y, r * 1.4, r, colour, 0.95)


def reeds(land: Land, y: float) -> None:
    """Bulrushes at both ends of the bank."""
    stem, head = land.light.ground((80, 136, 70), 0.05, snow=0.3), land.light.ground((146, 92, 60), 0.05, snow=0.1)
    unit = min(land.w * 1.2, land.h) / 512
    for side in (0.015, 0.935):
        for _ in range(5):
            x, tall = land.w * (side + land.rng.uniform(0, 0.05)), unit * land.rng.uniform(34, 62)
            lean, foot = land.rng.uniform(-7, 7) * unit, y + 0.05 * land.h
            top = (x + lean, foot - tall)
            land.sheet.stroke([(x, foot), (x + lean * 0.3, foot - tall * 0.6), top], 2.4 * unit, stem)
            land.sheet.stroke([top, (x + lean * 1.1, foot - tall * 1.22)], 5.4 * unit, head)


def dune_grass(land: Land, y: float) -> None:
    """Pale grass on the sand at the sides."""
    tone = land.light.ground((150, 166, 96), 0.05)
    for side in (0.0, 0.95):
        for _ in range(8):
            x, tall = land.w * (side + land.rng.uniform(0, 0.05)), land.unit * land.rng.uniform(18, 40)
            foot, lean = y + land.h * land.rng.uniform(0.04, 0.09), land.rng.uniform(-12, 12) * land.unit
            blade = [(x, foot), (x + lean * 0.4, foot - tall * 0.7), (x + lean, foot - tall)]
            land.sheet.stroke(blade, 2.6 * land.unit, tone)


def fireflies(land: Land, top: float) -> None:
    if not land.night or land.light.scene.weather not in ("clear", "cloudy"):
        return
    for _ in range(round(11 * land.w / min(land.w, land.h))):
        x, y = land.rng.uniform(0, land.w), land.rng.uniform(top, land.h * 0.97)
        land.sheet.soft(x, y, 10 * land.unit, 10 * land.unit, (236, 244, 140), 0.30)
        land.sheet.soft(x, y, 3.4 * land.unit, 3.4 * land.unit, (250, 252, 190), 1.0)


def puddles(land: Land, top: float) -> None:
    """Rain on the ground mirrors the sky."""
    if land.light.scene.weather != "rain":
        return
    tone = mix(land.light.sky[2], (255, 255, 255), 0.18)
    for i in range(4):
        x, y = land.w * (i + land.rng.random()) / 4, top + (land.h - top) * land.rng.uniform(0.25, 0.95)
        land.sheet.soft(x, y, land.w * land.rng.uniform(0.06, 0.12), 0.014 * land.h, tone, 0.85)
