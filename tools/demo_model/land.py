"""The land as a canvas: rolling outlines, hills in layers, patches of light.

Knows light and brush; must not know which terrain is painted or any subject.
"""

from __future__ import annotations

import math
import random

from tools.demo_model.brush import Point, Sheet
from tools.demo_model.palette import PAPER, RGB, Corners, Light, mix
from tools.demo_model.sky import Orb

DEEP: RGB = (38, 54, 96)


class Land:
    """One picture's land: where its horizon is and what lights it."""

    def __init__(self, sheet: Sheet, light: Light, orb: Orb, horizon: float, rng: random.Random) -> None:
        self.sheet, self.light, self.orb, self.horizon, self.rng = sheet, light, orb, horizon, rng
        self.w, self.h = sheet.width, sheet.height
        self.unit = min(self.w, self.h) / 512
        self.water: RGB = light.haze

    def ridge(self, y: float, swing: float, waves: float) -> list[Point]:
        """A rolling outline from edge to edge around `y`."""
        a, b, c = (self.rng.uniform(0, 2 * math.pi) for _ in range(3))
        points = []
        count = 48
        for i in range(count + 1):
            u = i / count
            s = 0.62 * math.sin(waves * 2 * math.pi * u + a) + 0.28 * math.sin(waves * 3.7 * math.pi * u + b)
            s += 0.10 * math.sin(waves * 9 * math.pi * u + c)
            points.append((-4 + (self.w + 8) * u, y - swing * s))
        return points

    def hill(
        self, outline: list[Point], colour: RGB, depth: float, *, bottom: float | None = None, snow: float = 0.84
    ) -> None:
        """Land below an outline: its crest catches the light, its foot fades into haze or shade."""
        low = self.h + 2 if bottom is None else bottom
        near = self.light.ground(colour, depth, snow=snow)
        crest = self.bright(near)
        base = mix(near, self.light.haze, 0.34) if depth > 0.25 else mix(near, DEEP, 0.22)
        if self.light.ink:
            base = mix(near, PAPER, 0.8)
        lit, far = (crest, mix(crest, near, 0.9)) if self.light.side < 0 else (mix(crest, near, 0.9), crest)
        low_lit, low_far = (mix(base, near, 0.35), base) if self.light.side < 0 else (base, mix(base, near, 0.35))
        corners: Corners = (lit, far, low_lit, low_far)
        self.sheet.fill([*outline, (self.w + 4, low), (-4, low)], corners, outline=False)
        if self.sheet.line:
            self.sheet.stroke(outline, self.sheet.pen_width, self.sheet.line, alpha=0.9 - 0.5 * depth, wobble=True)
        else:
            thick = self.unit * (7 - 4 * depth)
            edge = [(x, y + thick * 0.5) for x, y in outline]
            self.sheet.stroke(edge, thick, mix(crest, self.light.sun, 0.22 if not self.night else 0.06), alpha=0.5)

    @property
    def night(self) -> bool:
        return self.light.scene.time == "night"

    def bright(self, tone: RGB) -> RGB:
        """A tone of the land where light falls on it."""
        if self.light.ink:
            return tone
        if self.night:
            return mix(tone, (150, 172, 226), 0.16)
        return mix(tone, self.light.sun, 0.24 if self.light.scene.weather == "clear" else 0.16)

    def dapple(self, top: float, bottom: float, colour: RGB, depth: float, *, snow: float = 0.84) -> None:
        """Broad soft brush marks of light and shade on the ground."""
        tone = self.light.ground(colour, depth, snow=snow)
        pale, dark = self.bright(self.bright(tone)), mix(tone, DEEP, 0.28)
        if self.light.ink:
            dark = mix(tone, self.light.ground(DEEP, depth), 0.25)
        for i in range(7):
            x = self.w * (i + self.rng.random()) / 7
            y = top + (bottom - top) * self.rng.uniform(0.12, 1.0)
            rx, ry = self.w * self.rng.uniform(0.12, 0.26), self.h * self.rng.uniform(0.012, 0.026)
            self.sheet.soft(x, y, rx, ry, pale if i % 2 else dark, 0.30)

    def bloom(self) -> None:
        """Low light spilling over the far land."""
        strength = {"morning": 0.34, "day": 0.0, "sunset": 0.42, "night": 0.0}[self.light.scene.time]
        strength *= {"clear": 1.0, "cloudy": 0.7, "snow": 0.6, "mist": 0.8, "rain": 0.0}[self.light.scene.weather]
        if strength and not self.light.ink:
            colour = mix(self.light.sun, self.light.sky[3], 0.35)
            x = self.orb.x
            self.sheet.soft(x, self.horizon, self.w * 0.46, self.h * 0.13, colour, strength)
            self.sheet.soft(x, self.orb.y, self.orb.r * 2.6, self.orb.r * 2.4, self.light.sun, strength * 0.6)
