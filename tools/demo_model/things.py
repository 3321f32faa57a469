"""Things that sail, fly, roll or open: sailboat, balloon, car, kite, umbrella.

Each function draws one in its own units with the pen it is given; it must not know the rest of the picture.
"""

from __future__ import annotations

import math

from tools.demo_model.palette import RGB, mix
from tools.demo_model.pen import Pen

WOOD: RGB = (150, 104, 68)
CREAM: RGB = (252, 242, 220)
TYRE: RGB = (62, 58, 70)


def _paler(colour: RGB, share: float = 0.5) -> RGB:
    """A paler brother; of white a greyish one, so that stripes still show."""
    return mix(colour, (255, 250, 238), share) if min(colour) < 200 else (222, 220, 226)


def sailboat(pen: Pen, colour: RGB) -> None:
    _hull_and_sails(pen, colour)


def _hull_and_sails(pen: Pen, colour: RGB) -> None:
    pen.line([(0.0, 0.10), (0.0, 1.0)], 0.028, WOOD)
    pen.poly([(0.035, 0.97), (0.12, 0.80), (0.30, 0.48), (0.42, 0.24), (0.035, 0.24)], colour)
    pen.poly(
        [(-0.035, 0.88), (-0.16, 0.58), (-0.36, 0.26), (-0.035, 0.26)],
        mix(colour, (255, 252, 240), 0.22) if min(colour) < 200 else (232, 230, 232),
    )
    pen.flat([(0.0, 1.0), (-0.13, 0.965), (0.0, 0.93)], (250, 214, 110))
    pen.poly([(-0.46, 0.19), (0.48, 0.19), (0.40, 0.06), (0.30, -0.02), (-0.28, -0.02), (-0.38, 0.06)], WOOD)
    pen.poly([(-0.46, 0.20), (0.48, 0.20), (0.46, 0.14), (-0.44, 0.14)], CREAM)


def balloon(pen: Pen, colour: RGB) -> None:
    for x in (-0.09, 0.09):
        pen.line([(x * 0.8, 0.16), (x * 1.9, 0.38)], 0.012, WOOD)
    pen.line([(0.0, 0.14), (0.0, 0.36)], 0.010, WOOD)
    pen.ball(
        [
            (-0.10, 0.28),
            (0.10, 0.28),
            (0.29, 0.48),
            (0.37, 0.70),
            (0.27, 0.92),
            (0.0, 1.0),
            (-0.27, 0.92),
            (-0.37, 0.70),
            (-0.29, 0.48),
        ],
        colour,
        soft=True,
    )
    pale = _paler(colour, 0.55)
    for sign in (-1, 1):
        pen.ball(
            [
                (sign * 0.045, 0.285),
                (sign * 0.085, 0.285),
                (sign * 0.22, 0.50),
                (sign * 0.27, 0.70),
                (sign * 0.19, 0.91),
                (sign * 0.03, 0.992),
                (sign * 0.11, 0.88),
                (sign * 0.145, 0.70),
                (sign * 0.115, 0.50),
            ],
            pale,
            soft=True,
            outline=False,
        )
    pen.poly([(-0.105, 0.30), (0.105, 0.30), (0.09, 0.265), (-0.09, 0.265)], mix(colour, (60, 40, 60), 0.35))
    if pen.light.dusky:
        pen.glow(0.0, 0.38, 0.26, 0.5)
    pen.poly([(-0.10, 0.16), (0.10, 0.16), (0.08, 0.0), (-0.08, 0.0)], (178, 126, 78))
    pen.line([(-0.105, 0.155), (0.105, 0.155)], 0.03, (122, 82, 54))


def car(pen: Pen, colour: RGB) -> None:
    pen.shadow(0.86, depth=0.07)
    for x in (-0.48, 0.48):
        pen.disc(x, 0.22, 0.25, 0.24, (70, 62, 78))
    pen.ball(
        [
            (-0.62, 0.50),
            (-0.50, 0.82),
            (-0.30, 1.0),
            (0.16, 1.0),
            (0.36, 0.86),
            (0.52, 0.56),
            (0.3, 0.44),
            (-0.4, 0.44),
        ],
        colour,
        soft=True,
    )
    lit = pen.light.dusky
    pane = (255, 226, 140) if lit else (172, 208, 228)
    pen.poly([(-0.48, 0.58), (-0.38, 0.82), (-0.24, 0.90), (-0.06, 0.90), (-0.06, 0.58)], pane, strength=0.6)
    pen.poly([(0.02, 0.58), (0.02, 0.90), (0.14, 0.90), (0.27, 0.80), (0.40, 0.58)], pane, strength=0.6)
    pen.ball(
        [
            (-0.88, 0.22),
            (-0.86, 0.42),
            (-0.70, 0.56),
            (-0.3, 0.57),
            (0.4, 0.57),
            (0.74, 0.50),
            (0.88, 0.36),
            (0.88, 0.20),
            (0.5, 0.16),
            (-0.5, 0.16),
        ],
        colour,
        soft=True,
    )
    pen.line([(-0.86, 0.20), (0.88, 0.20)], 0.05, (236, 228, 214))
    for x in (-0.48, 0.48):
        pen.oval(x, 0.17, 0.19, 0.185, TYRE)
        pen.oval(x, 0.17, 0.095, 0.09, (236, 228, 214))
    pen.mark([(-0.02, 0.54), (-0.02, 0.24)], 0.014)
    pen.disc(0.81, 0.40, 0.06, 0.07, (255, 240, 180))
    pen.disc(-0.85, 0.38, 0.035, 0.055, (220, 70, 60))
    if lit:
        pen.glow(0.92, 0.38, 0.42, 0.5)


def kite(pen: Pen, colour: RGB) -> None:
    """A diamond with a bowed tail; the unit spans both."""
    tail = [(0.0, 0.42), (0.06, 0.32), (-0.07, 0.21), (0.06, 0.10), (-0.02, 0.0)]
    pen.line(tail, 0.016, (120, 90, 80), soft=True)
    for x, y in ((0.045, 0.30), (-0.045, 0.20), (0.04, 0.09)):
        for sign in (-1, 1):
            pen.poly(
                [(x, y), (x + sign * 0.085, y + 0.035), (x + sign * 0.085, y - 0.035)],
                mix(colour, (255, 250, 238), 0.15) if min(colour) < 200 else (232, 226, 226),
            )
    top, left, right, low = (0.0, 1.0), (-0.30, 0.74), (0.30, 0.74), (0.0, 0.40)
    pale = _paler(colour, 0.30)
    pen.poly([top, left, low, right], colour)
    pen.poly([top, (0.0, 0.74), left], pale, outline=False)
    pen.poly([low, (0.0, 0.74), right], pale, outline=False)
    pen.line([left, right], 0.016, (120, 84, 66))
    pen.line([top, low], 0.016, (120, 84, 66))


def umbrella(pen: Pen, colour: RGB) -> None:
    """Open, leaning a little, its hook on the ground."""
    pen.shadow(0.40, depth=0.08)
    pen.line([(0.0, 0.92), (0.0, 0.08), (0.03, 0.02), (0.08, 0.01), (0.115, 0.05), (0.115, 0.10)], 0.034, (132, 88, 62))
    ribs = 4
    rim = [(-0.56, 0.46)]
    dome = [(0.56 * math.cos(a), 0.46 + 0.48 * math.sin(a)) for a in (math.pi * i / 24 for i in range(25))]
    for i in range(ribs):
        x0, x1 = -0.56 + 1.12 * i / ribs, -0.56 + 1.12 * (i + 1) / ribs
        rim += [(x0 + (x1 - x0) * t, 0.46 + 0.075 * math.sin(math.pi * t)) for t in (0.15, 0.3, 0.5, 0.7, 0.85)] + [
            (x1, 0.46)
        ]
    pen.ball([*dome, *rim], colour)
    pale = _paler(colour, 0.34)
    for inner, outer in ((0.0, 0.28), (-0.28, -0.56)):
        left = [
            (inner * math.cos(a) + 0.0, 0.46 + 0.48 * math.sin(a)) for a in (math.pi / 2 * i / 10 for i in range(11))
        ]
        right = [
            (outer * math.cos(a), 0.46 + 0.48 * math.sin(a)) for a in (math.pi / 2 * i / 10 for i in range(10, -1, -1))
        ]
        edge = [
            (outer + (inner - outer) * t, 0.46 + 0.075 * math.sin(math.pi * t)) for t in (0.15, 0.3, 0.5, 0.7, 0.85)
        ]
        pen.ball([*left, *right, *edge], pale, outline=False)
    pen.line([(0.0, 0.93), (0.0, 1.0)], 0.03, (132, 88, 62))
    pen.disc(0.0, 1.0, 0.022, 0.022, (132, 88, 62))
