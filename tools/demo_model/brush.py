"""Soft-edged shapes on a sheet of paper: filled, shaded, glowing or stroked.

Knows pixels, gradients and anti-aliasing; must not know what the shapes stand for.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw

from tools.demo_model.palette import RGB, Corners

Point = tuple[float, float]


@lru_cache(maxsize=1)
def _soft_dot() -> Image.Image:
    """A Gaussian-like spot, 96 pixels wide, that reaches zero at its rim."""
    size = 96
    values = bytearray()
    for y in range(size):
        for x in range(size):
            r2 = ((x - 47.5) ** 2 + (y - 47.5) ** 2) / 48**2
            values.append(round(255 * max(0.0, 1 - r2) ** 2))
    return Image.frombytes("L", (size, size), bytes(values))


@lru_cache(maxsize=2)
def _sphere(side: int) -> Image.Image:
    """How dark a ball is at each point when light comes from above and from `side`."""
    size = 64
    values = bytearray()
    for y in range(size):
        for x in range(size):
            dx, dy = (x - 31.5) / 32 - 0.38 * side, (y - 31.5) / 32 + 0.42
            values.append(round(255 * min(1.0, max(0.0, math.hypot(dx, dy) / 1.62 - 0.06))))
    return Image.frombytes("L", (size, size), bytes(values))


@lru_cache(maxsize=256)
def _level(alpha: int) -> list[int]:
    return [value * alpha // 255 for value in range(256)]


def corner_gradient(size: tuple[int, int], corners: Corners) -> Image.Image:
    """An image whose four corners have these colours."""
    seed = Image.new("RGB", (2, 2))
    seed.putdata(corners)
    return seed.resize(size, Image.Resampling.BILINEAR, box=(0.5, 0.5, 1.5, 1.5))


def rounded(points: Sequence[Point], *, closed: bool = True, steps: int = 7) -> list[Point]:
    """A smooth curve (Catmull-Rom) through the points."""
    count = len(points)
    out: list[Point] = []
    for i in range(count if closed else count - 1):
        if closed:
            p0, p1, p2, p3 = (points[(i + k) % count] for k in (-1, 0, 1, 2))
        else:
            p0, p1, p2, p3 = (points[min(max(i + k, 0), count - 1)] for k in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            a, b = t * t, t * t * t
            w0, w1, w2, w3 = -t + 2 * a - b, 2 - 5 * a + 3 * b, t + 4 * a - 3 * b, b - a
            out.append(
                (
                    (w0 * p0[0] + w1 * p1[0] + w2 * p2[0] + w3 * p3[0]) / 2,
                    (w0 * p0[1] + w1 * p1[1] + w2 * p2[1] + w3 * p3[1]) / 2,
                )
            )
    if not closed:
        out.append(points[-1])
    return out


class Sheet:
    """A picture in the making. `line` is the pen's colour where outlines are wanted, None where not."""

    def __init__(self, image: Image.Image, *, line: RGB | None, rng: random.Random) -> None:
        self.image = image
        self.width, self.height = image.size
        self.line = line
        self.rng = rng
        self.pen_width = max(1.3, min(image.size) / 290)

    def fill(self, points: Sequence[Point], corners: Corners, *, alpha: float = 1.0, outline: bool = True) -> None:
        """A polygon with a gradient in it."""
        got = self.mask(points)
        if got is None:
            return
        box, mask = got
        self._paste(corner_gradient(mask.size, corners), box, mask, alpha)
        if outline and self.line:
            self.stroke([*points, points[0]], self.pen_width, self.line, wobble=True)

    def ball(
        self, points: Sequence[Point], lit: RGB, dark: RGB, side: int, *, alpha: float = 1.0, outline: bool = True
    ) -> None:
        """A polygon shaded like something round."""
        got = self.mask(points)
        if got is None:
            return
        box, mask = got
        shading = _sphere(side).resize(mask.size, Image.Resampling.BILINEAR)
        patch = Image.new("RGB", mask.size, lit)
        patch.paste(dark, (0, 0), shading)
        self._paste(patch, box, mask, alpha)
        if outline and self.line:
            self.stroke([*points, points[0]], self.pen_width, self.line, wobble=True)

    def soft(self, cx: float, cy: float, rx: float, ry: float, colour: RGB, alpha: float) -> None:
        """A spot of colour without edges: glow, shadow or fog."""
        size = (max(2, round(rx * 2)), max(2, round(ry * 2)))
        mask = _soft_dot().resize(size, Image.Resampling.BILINEAR).point(_level(round(255 * alpha)))
        self.image.paste(colour, (round(cx - rx), round(cy - ry)), mask)

    def stroke(
        self, points: Sequence[Point], width: float, colour: RGB, *, alpha: float = 1.0, wobble: bool = False
    ) -> None:
        """A line with round ends; a wobbling one looks drawn by hand."""
        if wobble:
            points = self._by_hand(points)
        pad = width / 2 + 2
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        x0, y0 = max(math.floor(min(xs) - pad), -8), max(math.floor(min(ys) - pad), -8)
        x1 = min(math.ceil(max(xs) + pad), self.width + 8)
        y1 = min(math.ceil(max(ys) + pad), self.height + 8)
        if x1 <= x0 or y1 <= y0:
            return
        scale = 3 if (x1 - x0) * (y1 - y0) < 60_000 else 2
        mask = Image.new("L", ((x1 - x0) * scale, (y1 - y0) * scale), 0)
        draw = ImageDraw.Draw(mask)
        moved = [((x - x0) * scale, (y - y0) * scale) for x, y in points]
        thick = max(1, round(width * scale))
        draw.line(moved, fill=255, width=thick, joint="curve" if thick > 3 else None)
        r = thick / 2
        for x, y in (moved[0], moved[-1]):
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
        mask = mask.reduce(scale)
        if alpha < 1:
            mask = mask.point(_level(round(255 * alpha)))
        self.image.paste(colour, (x0, y0), mask)

    def _by_hand(self, points: Sequence[Point]) -> list[Point]:
        amount = self.pen_width * 0.32
        phase, pace = self.rng.uniform(0, 6.3), self.rng.uniform(0.5, 0.8)
        return [
            (x + amount * math.sin(phase + i * pace), y + amount * math.cos(phase * 1.7 + i * pace * 0.8))
            for i, (x, y) in enumerate(points)
        ]

    def mask(self, points: Sequence[Point]) -> tuple[tuple[int, int], Image.Image] | None:
        """Where a polygon lies and its anti-aliased shape; None when it is off the sheet."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        x0, y0 = math.floor(min(xs)), math.floor(min(ys))
        x1, y1 = math.ceil(max(xs)) + 1, math.ceil(max(ys)) + 1
        if x1 <= 0 or y1 <= 0 or x0 >= self.width or y0 >= self.height:
            return None
        scale = 3 if (x1 - x0) * (y1 - y0) < 20_000 else 2
        mask = Image.new("L", ((x1 - x0) * scale, (y1 - y0) * scale), 0)
        ImageDraw.Draw(mask).polygon([((x - x0) * scale, (y - y0) * scale) for x, y in points], fill=255)
        return (x0, y0), mask.reduce(scale)

    def _paste(self, patch: Image.Image, box: tuple[int, int], mask: Image.Image, alpha: float) -> None:
        if alpha < 1:
            mask = mask.point(_level(round(255 * alpha)))
        self.image.paste(patch, box, mask)
