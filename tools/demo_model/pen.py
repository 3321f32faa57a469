"""A pen that draws one subject: its unit is the subject's height, its origin where the subject stands, y up.

Knows light and the brush; must not know kinds of subjects or where in the picture it is.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from tools.demo_model.brush import Point, Sheet, rounded
from tools.demo_model.palette import RGB, WARM, Corners, Light, mix


class Pen:
    """Draws shapes in a subject's own units, lit by the picture's light."""

    def __init__(
        self, sheet: Sheet, light: Light, *, x: float, y: float, unit: float, flip: bool = False, rng: random.Random
    ) -> None:
        self.sheet, self.light, self.rng = sheet, light, rng
        self.x, self.y, self.unit = x, y, unit
        self.sign = -1 if flip else 1
        self.tall = 1.0  # negative while a reflection is drawn
        self.veil: tuple[RGB, float] | None = None

    def at(self, x: float, y: float) -> Point:
        return (self.x + self.sign * x * self.unit, self.y - y * self.unit * self.tall)

    def _tone(self, colour: RGB) -> RGB:
        return mix(colour, *self.veil) if self.veil else colour

    def _corners(self, colour: RGB, strength: float) -> Corners:
        a, b, c, d = self.light.corners(colour, strength)
        return (self._tone(a), self._tone(b), self._tone(c), self._tone(d))

    def poly(
        self, points: Sequence[Point], colour: RGB, *, soft: bool = False, strength: float = 1.0, outline: bool = True
    ) -> None:
        """A shaded polygon; `soft` rounds it."""
        moved = [self.at(x, y) for x, y in (rounded(points) if soft else points)]
        self.sheet.fill(moved, self._corners(colour, strength), outline=outline and self.veil is None)

    def flat(self, points: Sequence[Point], colour: RGB, *, soft: bool = False, outline: bool = False) -> None:
        """A polygon in one tone."""
        moved = [self.at(x, y) for x, y in (rounded(points) if soft else points)]
        tone = self._tone(self.light.flat(colour))
        self.sheet.fill(moved, (tone, tone, tone, tone), outline=outline and self.veil is None)

    def ball(self, points: Sequence[Point], colour: RGB, *, soft: bool = False, outline: bool = True) -> None:
        """Something round."""
        moved = [self.at(x, y) for x, y in (rounded(points) if soft else points)]
        lit, dark = self._tone(self.light.lit(colour, 1.1)), self._tone(self.light.shade(colour, 1.15))
        self.sheet.ball(moved, lit, dark, self.light.side, outline=outline and self.veil is None)

    def oval(self, cx: float, cy: float, rx: float, ry: float, colour: RGB, *, outline: bool = True) -> None:
        self.ball(oval(cx, cy, rx, ry), colour, outline=outline)

    def disc(self, cx: float, cy: float, rx: float, ry: float, colour: RGB, *, outline: bool = False) -> None:
        self.flat(oval(cx, cy, rx, ry), colour, outline=outline)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: RGB, *, outline: bool = True) -> None:
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, outline=outline)

    def line(self, points: Sequence[Point], width: float, colour: RGB, *, soft: bool = False) -> None:
        """A line `width` units thick."""
        moved = [self.at(x, y) for x, y in (rounded(points, closed=False) if soft else points)]
        tone = self._tone(self.light.flat(colour))
        thick = max(1.2, width * self.unit)
        if self.sheet.line and thick > 3 and self.veil is None:
            self.sheet.stroke(moved, thick + 2.4, self.sheet.line)
        self.sheet.stroke(moved, thick, tone)

    def mark(self, points: Sequence[Point], width: float, *, soft: bool = False) -> None:
        """A thin dark line: a mouth, a whisker, a seam."""
        moved = [self.at(x, y) for x, y in (rounded(points, closed=False) if soft else points)]
        colour = self.sheet.line or (66, 48, 62)
        self.sheet.stroke(moved, max(1.1, width * self.unit), colour, alpha=0.85)

    def dot(self, x: float, y: float, r: float, colour: RGB) -> None:
        """A small dot that keeps its colour in every light."""
        cx, cy = self.at(x, y)
        r = max(1.2, r * self.unit)
        points = [(cx + r * px, cy + r * py) for px, py in oval(0, 0, 1, 1, 14)]
        self.sheet.fill(points, (colour, colour, colour, colour), outline=False)

    def window(self, cx: float, cy: float, w: float, h: float, *, arched: bool = False, frame: bool = True) -> None:
        """A window, warm at dusk and at night."""
        pane = arch(cx, cy, w, h) if arched else block(cx, cy, w, h)
        if frame:
            rim = arch(cx, cy, w * 1.36, h * 1.24) if arched else block(cx, cy, w * 1.36, h * 1.30)
            self.poly(rim, (250, 240, 220), strength=0.6, outline=False)
        moved = [self.at(x, y) for x, y in pane]
        if self.light.dusky:
            low, high = (255, 196, 84), (255, 236, 156)
            self.sheet.fill(moved, (high, high, low, low))
            x, y = self.at(cx, cy)
            r = max(w, h) * self.unit * 1.5
            self.sheet.soft(x, y, r, r, WARM, 0.42 if self.light.scene.time == "night" else 0.26)
        else:
            glass = self.light.flat((86, 116, 150))
            self.sheet.fill(moved, (mix(glass, (255, 255, 255), 0.45), glass, glass, mix(glass, (40, 60, 110), 0.3)))
        if frame and not arched:
            bar = self.light.flat((246, 232, 208))
            thick = max(1.0, w * 0.10 * self.unit)
            self.sheet.stroke([self.at(cx, cy - h / 2), self.at(cx, cy + h / 2)], thick, bar)
            self.sheet.stroke([self.at(cx - w / 2, cy), self.at(cx + w / 2, cy)], thick, bar)

    def glow(self, x: float, y: float, r: float, alpha: float = 0.5, colour: RGB = WARM) -> None:
        px, py = self.at(x, y)
        self.sheet.soft(px, py, r * self.unit, r * self.unit, colour, alpha)

    def shadow(self, half: float, *, x: float = 0.0, depth: float = 0.10) -> None:
        """The soft shadow where the subject touches the ground, drawn out away from the light."""
        px, py = self.at(x, 0)
        dark = (20, 22, 60) if self.light.scene.time == "night" else (52, 44, 84)
        alpha = 0.20 if self.light.ink else 0.46
        reach = half * self.unit
        self.sheet.soft(px, py, reach * 1.18, reach * depth * 2.2 + 2, dark, alpha)
        self.sheet.soft(
            px - self.light.side * reach * 0.62, py + 1, reach * 1.4, reach * depth * 2.6 + 2, dark, alpha * 0.7
        )


def oval(cx: float, cy: float, rx: float, ry: float, count: int = 36) -> list[Point]:
    return [
        (cx + rx * math.cos(2 * math.pi * i / count), cy + ry * math.sin(2 * math.pi * i / count)) for i in range(count)
    ]


def block(cx: float, cy: float, w: float, h: float) -> list[Point]:
    return [(cx - w / 2, cy - h / 2), (cx + w / 2, cy - h / 2), (cx + w / 2, cy + h / 2), (cx - w / 2, cy + h / 2)]


def arch(cx: float, cy: float, w: float, h: float) -> list[Point]:
    """A doorway: straight below, round above."""
    top = cy + h / 2 - w / 2
    curve = [(cx + w / 2 * math.cos(math.pi * i / 10), top + w / 2 * math.sin(math.pi * i / 10)) for i in range(11)]
    return [(cx - w / 2, cy - h / 2), (cx + w / 2, cy - h / 2), *curve]
