"""Things people built on the ground: house, lighthouse, windmill, castle, tent.

Each function draws one in its own units with the pen it is given; it must not know the rest of the picture.
"""

from __future__ import annotations

import math
from itertools import pairwise

from tools.demo_model.palette import RGB, mix
from tools.demo_model.pen import Pen, arch

ROOF: RGB = (112, 76, 70)
WOOD: RGB = (150, 104, 68)
CREAM: RGB = (252, 242, 220)
SLATE: RGB = (92, 100, 128)


def _deeper(colour: RGB, share: float = 0.35) -> RGB:
    """A darker brother of a colour, of the same hue."""
    return mix(colour, (round(colour[0] * 0.45), round(colour[1] * 0.42), round(colour[2] * 0.5)), share)


def house(pen: Pen, colour: RGB) -> None:
    pen.shadow(0.56)
    pen.box(0.20, 0.74, 0.31, 1.0, _deeper(ROOF, 0.2))
    if pen.light.dusky or pen.light.scene.weather in ("snow", "rain"):
        for i in range(3):
            x, y = pen.at(0.27 + 0.05 * i, 1.06 + 0.08 * i)
            r = pen.unit * (0.07 + 0.025 * i)
            pen.sheet.soft(x, y, r, r * 0.8, mix(pen.light.sky[2], (255, 255, 255), 0.5), 0.6 - 0.13 * i)
    pen.poly([(-0.46, 0.0), (0.46, 0.0), (0.44, 0.56), (-0.44, 0.56)], colour)
    pen.poly([(-0.60, 0.50), (-0.56, 0.58), (-0.34, 0.94), (0.34, 0.94), (0.56, 0.58), (0.60, 0.50)], ROOF)
    for y in (0.62, 0.74):
        half = 0.52 - (y - 0.58) * 0.55
        pen.line([(-half, y), (half, y)], 0.012, _deeper(ROOF, 0.4))
    pen.poly([(-0.20, 0.50), (0.20, 0.50), (0.0, 0.84)], colour)
    pen.line([(-0.25, 0.49), (0.0, 0.87), (0.25, 0.49)], 0.05, mix(ROOF, (255, 230, 200), 0.15))
    pen.window(0.0, 0.61, 0.10, 0.12, arched=True)
    pen.poly(arch(0.0, 0.16, 0.20, 0.34), (250, 240, 220), strength=0.6, outline=False)
    pen.poly(arch(0.0, 0.15, 0.155, 0.30), WOOD)
    pen.dot(0.04, 0.14, 0.014, (255, 220, 120))
    pen.window(-0.28, 0.27, 0.15, 0.17)
    pen.window(0.28, 0.27, 0.15, 0.17)
    for x in (-0.40, 0.40):
        pen.oval(x, 0.04, 0.09, 0.07, (86, 146, 78))


def lighthouse(pen: Pen, colour: RGB) -> None:
    pen.shadow(0.32)
    pen.poly([(-0.33, -0.02), (0.33, -0.02), (0.25, 0.09), (-0.25, 0.09)], (150, 140, 136))

    def half(y: float) -> float:
        return 0.215 - 0.085 * (y - 0.06) / 0.66

    white = (252, 248, 238)
    band = colour
    other = white if min(colour) < 200 else (206, 212, 226)
    levels = [0.06, 0.20, 0.33, 0.46, 0.59, 0.72]
    for i, (y0, y1) in enumerate(pairwise(levels)):
        tone = band if i % 2 == 0 else other
        if i % 2 == 1:
            y0, y1 = y0 + 0.02, y1 - 0.02
        pen.poly([(-half(y0), y0), (half(y0), y0), (half(y1), y1), (-half(y1), y1)], other if i % 2 else tone)
        if i % 2 == 1:
            pen.poly(
                [(-half(y0 - 0.02), y0 - 0.02), (half(y0 - 0.02), y0 - 0.02), (half(y0), y0), (-half(y0), y0)],
                band,
                outline=False,
            )
            pen.poly(
                [(-half(y1), y1), (half(y1), y1), (half(y1 + 0.02), y1 + 0.02), (-half(y1 + 0.02), y1 + 0.02)],
                band,
                outline=False,
            )
    pen.poly(arch(0.0, 0.13, 0.10, 0.16), WOOD)
    pen.window(0.0, 0.40, 0.055, 0.08, arched=True, frame=False)
    pen.box(-0.175, 0.71, 0.175, 0.75, (84, 84, 104))
    dusky = pen.light.dusky
    if dusky:
        for sign in (-1, 1):
            _beam(pen, sign)
    pen.box(-0.10, 0.75, 0.10, 0.87, (255, 226, 128) if dusky else (206, 226, 236))
    if dusky:
        pen.glow(0.0, 0.81, 0.26, 0.75)
    pen.line([(0.0, 0.75), (0.0, 0.87)], 0.012, (84, 84, 104))
    pen.poly([(-0.15, 0.86), (0.15, 0.86), (0.07, 0.95), (0.0, 0.99), (-0.07, 0.95)], _deeper(colour, 0.3))
    pen.line([(0.0, 0.98), (0.0, 1.03)], 0.02, (84, 84, 104))


def _beam(pen: Pen, sign: int) -> None:
    """The light of a lighthouse: a widening row of soft spots."""
    strength = 0.20 if pen.light.scene.time == "night" else 0.13
    for i in range(7):
        x, y = pen.at(sign * (0.16 + 0.15 * i), 0.81 + 0.012 * i)
        r = pen.unit * 0.20
        pen.sheet.soft(x, y, r, pen.unit * (0.035 + 0.014 * i), (255, 240, 176), strength * (1 - i / 8))


def windmill(pen: Pen, colour: RGB) -> None:
    pen.shadow(0.30)
    pen.poly([(-0.27, 0.0), (0.27, 0.0), (0.17, 0.60), (-0.17, 0.60)], colour)
    pen.poly(arch(0.0, 0.12, 0.14, 0.24), WOOD)
    pen.window(0.0, 0.37, 0.075, 0.10, arched=True)
    pen.box(-0.19, 0.57, 0.19, 0.62, CREAM)
    pen.poly(
        [(-0.18, 0.61), (0.18, 0.61), (0.13, 0.72), (0.0, 0.78), (-0.13, 0.72)],
        _deeper(colour, 0.3) if min(colour) < 200 else SLATE,
    )
    turn = pen.rng.uniform(0.15, 0.75)
    for i in range(4):
        angle = turn + i * math.pi / 2
        c, s = math.cos(angle), math.sin(angle)

        def spin(u: float, v: float, c: float = c, s: float = s) -> tuple[float, float]:
            return (u * c - v * s, 0.66 + u * s + v * c)

        pen.poly([spin(0.10, 0.0), spin(0.43, 0.0), spin(0.43, 0.13), spin(0.10, 0.11)], CREAM, strength=0.7)
        pen.line([spin(0.0, 0.0), spin(0.45, 0.0)], 0.026, WOOD)
    pen.oval(0.0, 0.66, 0.05, 0.05, _deeper(colour, 0.4))


def castle(pen: Pen, colour: RGB) -> None:
    roof = SLATE if min(colour) > 200 else _deeper(colour, 0.45)
    wall = colour
    pen.shadow(0.56)
    _tower(pen, 0.0, 0.16, 0.40, 0.74, wall, roof, 1.0)
    _battlement(pen, -0.42, 0.42, 0.0, 0.40, wall)
    _tower(pen, -0.42, 0.13, 0.0, 0.54, wall, roof, 0.80)
    _tower(pen, 0.42, 0.13, 0.0, 0.54, wall, roof, 0.80)
    pen.poly(arch(0.0, 0.14, 0.24, 0.28), CREAM, strength=0.6)
    pen.poly(arch(0.0, 0.125, 0.185, 0.25), WOOD)
    for x in (-0.42, 0.42):
        pen.window(x, 0.36, 0.07, 0.13, arched=True, frame=False)
    pen.window(0.0, 0.60, 0.08, 0.13, arched=True, frame=False)
    for x in (-0.21, 0.21):
        pen.window(x, 0.25, 0.06, 0.10, arched=True, frame=False)


def _battlement(pen: Pen, x0: float, x1: float, y0: float, y1: float, colour: RGB) -> None:
    """A wall with teeth."""
    teeth = 6
    step = (x1 - x0) / (2 * teeth - 1)
    points = [(x0, y0), (x1, y0)]
    for i in range(teeth):
        right = x1 - 2 * i * step
        points += [(right, y1), (right - step, y1)]
        if i < teeth - 1:
            points += [(right - step, y1 - 0.05), (right - 2 * step, y1 - 0.05)]
    pen.poly(points, colour)


def _tower(pen: Pen, x: float, half: float, y0: float, y1: float, wall: RGB, roof: RGB, top: float) -> None:
    pen.box(x - half, y0, x + half, y1, wall)
    pen.poly(
        [
            (x - half * 1.30, y1 - 0.01),
            (x + half * 1.30, y1 - 0.01),
            (x + half * 0.5, y1 + (top - y1) * 0.5),
            (x, top),
            (x - half * 0.5, y1 + (top - y1) * 0.5),
        ],
        roof,
    )
    pen.line([(x, top - 0.01), (x, top + 0.07)], 0.014, WOOD)
    pen.flat([(x, top + 0.07), (x + 0.09, top + 0.045), (x, top + 0.02)], (250, 214, 110))


def tent(pen: Pen, colour: RGB) -> None:
    pen.shadow(0.66)
    light = mix(colour, (255, 250, 235), 0.35) if min(colour) < 200 else (226, 226, 232)
    pen.line([(-0.05, 0.98), (0.05, 1.09)], 0.03, WOOD)
    pen.line([(0.05, 0.98), (-0.05, 1.09)], 0.03, WOOD)
    pen.poly([(0.0, 1.0), (0.70, 0.0), (-0.70, 0.0), (-0.66, 0.02)], colour)
    for sign in (-1, 1):
        pen.poly([(0.0, 0.995), (sign * 0.54, 0.0), (sign * 0.40, 0.0)], light, outline=False)
    inside = _deeper(colour, 0.85) if min(colour) < 200 else (120, 110, 124)
    pen.flat([(0.0, 0.76), (0.25, 0.0), (-0.25, 0.0)], inside, outline=True)
    if pen.light.dusky:
        pen.flat([(0.0, 0.66), (0.20, 0.0), (-0.20, 0.0)], (255, 206, 104))
    if pen.light.dusky:
        pen.glow(0.0, 0.22, 0.42, 0.55)
    pen.poly([(0.0, 0.78), (-0.27, 0.0), (-0.38, 0.02), (-0.20, 0.32)], colour)
    pen.poly([(0.0, 0.78), (0.27, 0.0), (0.38, 0.02), (0.20, 0.32)], colour)
