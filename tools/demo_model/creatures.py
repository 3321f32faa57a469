"""Living things: cat, rabbit, bird, tree, mushroom, flower.

Each function draws one in its own units with the pen it is given; it must not know the rest of the picture.
"""

from __future__ import annotations

import math

from tools.demo_model.palette import RGB, mix
from tools.demo_model.pen import Pen, oval

BARK: RGB = (128, 90, 66)
LEAF: RGB = (84, 148, 72)
DARK: RGB = (52, 40, 56)
ROSE: RGB = (244, 150, 150)


def _belly(colour: RGB) -> RGB:
    return mix(colour, (255, 248, 236), 0.72)


def _face(pen: Pen, x: float, y: float, s: float, nose: RGB) -> None:
    for sign in (-1, 1):
        pen.dot(x + sign * 0.40 * s, y + 0.06 * s, 0.115 * s, DARK)
        pen.dot(x + sign * 0.40 * s - 0.03 * s, y + 0.11 * s, 0.035 * s, (255, 255, 255))
        px, py = pen.at(x + sign * 0.56 * s, y - 0.20 * s)
        pen.sheet.soft(px, py, 0.22 * s * pen.unit, 0.15 * s * pen.unit, ROSE, 0.55)
    pen.flat([(x - 0.09 * s, y - 0.08 * s), (x + 0.09 * s, y - 0.08 * s), (x, y - 0.19 * s)], nose)
    pen.mark(
        [
            (x - 0.15 * s, y - 0.30 * s),
            (x - 0.07 * s, y - 0.31 * s),
            (x, y - 0.20 * s),
            (x + 0.07 * s, y - 0.31 * s),
            (x + 0.15 * s, y - 0.30 * s),
        ],
        0.045 * s,
        soft=True,
    )


def cat(pen: Pen, colour: RGB) -> None:
    pen.shadow(0.40)
    tail = [(0.22, 0.08), (0.42, 0.06), (0.52, 0.20), (0.44, 0.36), (0.50, 0.50)]
    pen.line(tail, 0.10, mix(colour, (60, 40, 60), 0.18), soft=True)
    pen.ball(
        [
            (-0.30, 0.0),
            (0.0, -0.02),
            (0.30, 0.0),
            (0.34, 0.18),
            (0.24, 0.48),
            (0.0, 0.58),
            (-0.24, 0.48),
            (-0.34, 0.18),
        ],
        colour,
        soft=True,
    )
    pen.oval(0.0, 0.22, 0.155, 0.20, _belly(colour), outline=False)
    for sign in (-1, 1):
        pen.oval(sign * 0.13, 0.035, 0.115, 0.06, mix(colour, (255, 250, 240), 0.25))
    for sign in (-1, 1):
        pen.poly([(sign * 0.30, 0.66), (sign * 0.31, 0.99), (sign * 0.29, 1.0), (sign * 0.04, 0.86)], colour)
        pen.flat([(sign * 0.25, 0.76), (sign * 0.265, 0.91), (sign * 0.12, 0.84)], ROSE)
    pen.ball(
        [
            (-0.36, 0.64),
            (-0.27, 0.83),
            (0.0, 0.88),
            (0.27, 0.83),
            (0.36, 0.64),
            (0.24, 0.47),
            (0.0, 0.42),
            (-0.24, 0.47),
        ],
        colour,
        soft=True,
    )
    pen.oval(0.0, 0.545, 0.14, 0.085, _belly(colour), outline=False)
    _face(pen, 0.0, 0.65, 0.36, ROSE)
    for sign in (-1, 1):
        for k in (-1, 1):
            pen.mark([(sign * 0.20, 0.555 + 0.012 * k), (sign * 0.40, 0.565 + 0.04 * k)], 0.010)


def rabbit(pen: Pen, colour: RGB) -> None:
    pen.shadow(0.34)
    pen.oval(0.30, 0.13, 0.085, 0.085, _belly(colour))
    for sign, lean in ((-1, 0.03), (1, 0.09)):
        pen.ball(
            [
                (sign * 0.06, 0.58),
                (sign * (0.02 + lean), 0.80),
                (sign * (0.09 + lean), 0.99),
                (sign * (0.17 + lean), 0.97),
                (sign * (0.18 + lean), 0.80),
                (sign * 0.18, 0.58),
            ],
            colour,
            soft=True,
        )
        pen.flat(
            [
                (sign * 0.10, 0.66),
                (sign * (0.075 + lean), 0.80),
                (sign * (0.115 + lean), 0.93),
                (sign * (0.14 + lean), 0.80),
                (sign * 0.14, 0.66),
            ],
            ROSE,
            soft=True,
        )
    pen.ball(
        [
            (-0.25, 0.0),
            (0.0, -0.02),
            (0.25, 0.0),
            (0.29, 0.16),
            (0.20, 0.38),
            (0.0, 0.46),
            (-0.20, 0.38),
            (-0.29, 0.16),
        ],
        colour,
        soft=True,
    )
    pen.oval(0.0, 0.17, 0.14, 0.155, _belly(colour), outline=False)
    for sign in (-1, 1):
        pen.oval(sign * 0.14, 0.03, 0.12, 0.05, mix(colour, (255, 250, 240), 0.3))
    pen.ball(
        [
            (-0.27, 0.50),
            (-0.19, 0.64),
            (0.0, 0.69),
            (0.19, 0.64),
            (0.27, 0.50),
            (0.19, 0.37),
            (0.0, 0.33),
            (-0.19, 0.37),
        ],
        colour,
        soft=True,
    )
    pen.oval(0.0, 0.435, 0.11, 0.07, _belly(colour), outline=False)
    _face(pen, 0.0, 0.515, 0.28, ROSE)


def bird(pen: Pen, colour: RGB) -> None:
    """In flight, looking to the right, one wing up; the unit is its whole height."""
    dark = mix(colour, (50, 40, 90), 0.22)
    pen.poly([(-0.36, 0.40), (-0.92, 0.62), (-0.84, 0.42), (-0.94, 0.26), (-0.38, 0.26)], dark, soft=True)
    pen.poly([(0.18, 0.46), (0.12, 0.78), (-0.16, 0.98), (-0.30, 0.98), (-0.26, 0.74), (-0.16, 0.44)], dark, soft=True)
    pen.poly([(0.70, 0.46), (0.93, 0.36), (0.68, 0.30)], (246, 160, 48))
    pen.ball(
        [
            (-0.52, 0.34),
            (-0.24, 0.10),
            (0.14, 0.04),
            (0.46, 0.14),
            (0.72, 0.36),
            (0.66, 0.56),
            (0.44, 0.62),
            (0.22, 0.54),
            (-0.14, 0.46),
        ],
        colour,
        soft=True,
    )
    pen.ball(
        [(-0.18, 0.16), (0.14, 0.08), (0.40, 0.17), (0.54, 0.28), (0.30, 0.30), (0.0, 0.27)],
        _belly(colour),
        soft=True,
        outline=False,
    )
    pen.dot(0.53, 0.45, 0.048, DARK)
    pen.dot(0.515, 0.465, 0.016, (255, 255, 255))
    px, py = pen.at(0.52, 0.33)
    pen.sheet.soft(px, py, 0.09 * pen.unit, 0.07 * pen.unit, ROSE, 0.6)
    pen.poly(
        [(0.20, 0.42), (0.04, 0.70), (-0.36, 1.04), (-0.54, 0.98), (-0.50, 0.66), (-0.26, 0.40), (0.0, 0.32)],
        mix(colour, (255, 255, 255), 0.10),
        soft=True,
    )
    for k in range(2):
        pen.mark([(-0.42 + 0.13 * k, 0.88 - 0.10 * k), (-0.26 + 0.12 * k, 0.62 - 0.06 * k)], 0.018)


def tree(pen: Pen, colour: RGB) -> None:
    pen.shadow(0.34)
    pen.poly([(-0.10, 0.0), (-0.055, 0.12), (-0.055, 0.45), (0.055, 0.45), (0.055, 0.12), (0.11, 0.0)], BARK)
    pen.line([(0.02, 0.26), (0.15, 0.42)], 0.035, BARK)
    dark = mix(colour, (50, 40, 90), 0.20)
    pen.ball(oval(-0.20, 0.50, 0.18, 0.155), dark)
    pen.ball(oval(0.20, 0.50, 0.18, 0.155), dark)
    crown = []
    lobes = 9
    for i in range(lobes * 6):
        a = 2 * math.pi * i / (lobes * 6)
        r = 1 + 0.045 * abs(math.sin(a * lobes / 2))
        crown.append((0.355 * r * math.cos(a), 0.68 + 0.315 * r * math.sin(a)))
    pen.ball(crown, colour)
    side = pen.light.side * pen.sign
    for x, y, r in ((0.12, 0.82, 0.10), (0.20, 0.66, 0.075), (-0.02, 0.66, 0.085), (0.04, 0.52, 0.06)):
        px, py = pen.at(side * x, y)
        pen.sheet.soft(
            px, py, r * 1.5 * pen.unit, r * 1.2 * pen.unit, pen.light.lit(mix(colour, (255, 252, 220), 0.22)), 0.65
        )


def mushroom(pen: Pen, colour: RGB) -> None:
    pen.shadow(0.28)
    pen.poly(
        [(-0.15, 0.0), (0.15, 0.0), (0.11, 0.22), (0.13, 0.52), (-0.13, 0.52), (-0.11, 0.22)],
        (252, 240, 214),
        soft=False,
    )
    pen.flat([(-0.44, 0.46), (0.0, 0.37), (0.44, 0.46), (0.0, 0.56)], (226, 204, 176), soft=True, outline=True)
    pen.ball(
        [
            (-0.54, 0.46),
            (-0.50, 0.66),
            (-0.30, 0.90),
            (0.0, 1.0),
            (0.30, 0.90),
            (0.50, 0.66),
            (0.54, 0.46),
            (0.30, 0.43),
            (0.0, 0.42),
            (-0.30, 0.43),
        ],
        colour,
        soft=True,
    )
    spot = (255, 250, 236) if min(colour) < 200 else (222, 204, 176)
    for x, y, r in (
        (0.0, 0.80, 0.10),
        (-0.30, 0.66, 0.085),
        (0.30, 0.66, 0.085),
        (0.03, 0.56, 0.07),
        (-0.20, 0.86, 0.045),
        (0.20, 0.87, 0.045),
    ):
        pen.disc(x, y, r, r * 0.86, spot)
    pen.dot(-0.055, 0.27, 0.018, DARK)
    pen.dot(0.055, 0.27, 0.018, DARK)
    pen.mark([(-0.03, 0.215), (0.0, 0.20), (0.03, 0.215)], 0.014, soft=True)


def flower(pen: Pen, colour: RGB) -> None:
    pen.shadow(0.16)
    pen.line([(0.0, 0.0), (0.03, 0.25), (0.0, 0.60)], 0.045, LEAF, soft=True)
    pen.poly([(0.02, 0.10), (0.16, 0.30), (0.34, 0.34), (0.24, 0.16)], LEAF, soft=True)
    pen.poly([(0.02, 0.06), (-0.14, 0.22), (-0.30, 0.24), (-0.20, 0.08)], LEAF, soft=True)
    cy, count = 0.70, 8
    for ring, (reach, wide) in enumerate(((0.215, 0.105), (0.185, 0.09))):
        tone = mix(colour, (60, 40, 80), 0.14) if ring == 0 else colour
        for i in range(count):
            a = 2 * math.pi * (i + 0.5 * ring) / count
            c, s = math.cos(a), math.sin(a)
            petal = [
                (reach * 0.72 * c + 0.13 * u * c - wide * v * s, cy + reach * 0.72 * s + 0.13 * u * s + wide * v * c)
                for u, v in oval(0, 0, 1, 1, 16)
            ]
            pen.poly(petal, tone, strength=0.8)
    heart = (250, 196, 60) if colour != (252, 212, 58) else (176, 104, 44)
    pen.oval(0.0, cy, 0.105, 0.10, heart)
