"""The sky: its gradient, sun or moon with their glow, stars and clouds.

Knows the light; must not know the land below or any subject.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from tools.demo_model.brush import Sheet, corner_gradient
from tools.demo_model.palette import PAPER, RGB, Light, mix
from tools.demo_model.pen import oval


@dataclass(frozen=True, kw_only=True)
class Orb:
    """Sun or moon: where it is and its radius, in pixels."""

    x: float
    y: float
    r: float


def place_orb(light: Light, width: int, height: int, horizon: float, rng: random.Random) -> Orb:
    time = light.scene.time
    r = min(width, height) * {"morning": 0.062, "day": 0.060, "sunset": 0.095, "night": 0.066}[time]
    x = width * (0.5 + light.side * rng.uniform(0.20, 0.36))
    up = {"morning": (0.62, 0.74), "day": (0.20, 0.30), "sunset": (0.84, 0.95), "night": (0.24, 0.36)}[time]
    return Orb(x=x, y=horizon * rng.uniform(*up), r=r)


def paint_sky(sheet: Sheet, light: Light, orb: Orb, horizon: float, rng: random.Random) -> None:
    width, height = sheet.width, sheet.height
    sheet.image.paste(_gradient(light, orb, width, height, horizon, rng))
    weather = light.scene.weather
    if light.scene.time == "night" and weather in ("clear", "cloudy"):
        _stars(sheet, light, horizon, rng, 46 if weather == "clear" else 18)
    if weather != "rain":
        _orb(sheet, light, orb)
    _clouds(sheet, light, orb, horizon, rng)


def _gradient(light: Light, orb: Orb, width: int, height: int, horizon: float, rng: random.Random) -> Image.Image:
    """The sky with the glow of the orb in it, worked out on a small grid."""
    columns, rows = max(8, width // 8), max(8, height // 8)
    stops = np.array(light.sky, dtype=np.float32)
    y = (np.arange(rows, dtype=np.float32) + 0.5) * (height / rows)
    x = (np.arange(columns, dtype=np.float32) + 0.5) * (width / columns)
    t = np.clip(y / horizon, 0, 1)
    bands = np.stack([np.interp(t, (0.0, 0.38, 0.74, 1.0), stops[:, c]) for c in range(3)], axis=-1)
    grid = np.repeat(bands[:, None, :], columns, axis=1)
    distance = np.hypot(x[None, :] - orb.x, (y[:, None] - orb.y) * 1.1) / min(width, height)
    clear = {"clear": 1.0, "cloudy": 0.7, "snow": 0.5, "mist": 0.75, "rain": 0.12}[light.scene.weather]
    wide = {"morning": 0.36, "day": 0.36, "sunset": 0.62, "night": 0.34}[light.scene.time]
    glow = 0.62 * clear * np.exp(-((distance / (0.30 * wide / 0.42)) ** 2))
    glow += 0.30 * clear * np.exp(-distance / (0.34 * wide / 0.42))
    if light.ink:
        glow *= 0.8
    colour = np.array(light.sun if not light.ink else PAPER, dtype=np.float32)
    if light.scene.time == "night":
        colour, glow = np.array((206, 214, 240), dtype=np.float32), glow * 0.62
    if light.scene.time == "sunset" and not light.ink:
        colour = np.array((255, 216, 130), dtype=np.float32)
    grid += (colour - grid) * np.clip(glow, 0, 0.95)[..., None]
    a, b, c = rng.uniform(0, 6.3), rng.uniform(0, 6.3), rng.uniform(0, 6.3)
    u, v = x[None, :] / width, y[:, None] / height
    strokes = np.sin(3.1 * u + 9 * v + a) + np.sin(7 * u - 13 * v + b) * 0.6 + np.sin(2 * u + 23 * v + c) * 0.5
    grid += strokes[..., None] * (2.6 if light.ink else 1.6)
    small = Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def _stars(sheet: Sheet, light: Light, horizon: float, rng: random.Random, count: int) -> None:
    unit = min(sheet.width, sheet.height) / 512
    number = round(count * sheet.width * horizon / (512 * 300))
    colour = PAPER if light.ink else (255, 250, 226)
    for _ in range(number):
        x, y = rng.uniform(0, sheet.width), horizon * rng.random() ** 1.3 * 0.88
        r = unit * rng.choice((2.6, 3.0, 3.6, 4.6))
        sheet.soft(x, y, r, r, colour, 1.0)
        if r > 4.2 * unit:
            sheet.soft(x, y, r * 3.2, r * 3.2, colour, 0.22)


def _orb(sheet: Sheet, light: Light, orb: Orb) -> None:
    weather = light.scene.weather
    alpha = {"clear": 1.0, "cloudy": 0.95, "snow": 0.75, "mist": 0.85, "rain": 0.0}[weather]
    disc = light.sun
    if light.ink:
        disc = mix(PAPER, (240, 120, 80), 0.62) if light.scene.time == "sunset" else mix(PAPER, (250, 196, 90), 0.6)
        if light.scene.time == "night":
            disc = PAPER
    points = oval(orb.x, orb.y, orb.r, orb.r, 48)
    edge = mix(disc, (255, 176, 96), 0.30) if light.scene.time == "sunset" else mix(disc, (255, 214, 120), 0.45)
    if light.scene.time == "night":
        edge = mix(disc, (214, 206, 200), 0.5)
    sheet.ball(points, disc, edge, light.side, alpha=alpha)
    if light.scene.time == "night" and weather != "mist":
        spot = mix(disc, (206, 200, 206), 0.6)
        for dx, dy, r in ((-0.28, -0.2, 0.24), (0.32, 0.22, 0.17), (-0.1, 0.42, 0.13)):
            sheet.soft(orb.x + dx * orb.r, orb.y + dy * orb.r, r * orb.r * 1.3, r * orb.r * 1.3, spot, 0.8 * alpha)


def _clouds(sheet: Sheet, light: Light, orb: Orb, horizon: float, rng: random.Random) -> None:
    """Clouds, far ones first; single clouds keep clear of the orb."""
    weather = light.scene.weather
    number = {"clear": rng.choice((0, 1, 2)), "cloudy": 7, "rain": 7, "snow": 3, "mist": 0}[weather]
    crowded = weather in ("cloudy", "rain")
    clouds = []
    for i in range(number):
        size = sheet.width * (rng.uniform(0.20, 0.30) if crowded else rng.uniform(0.11, 0.17))
        size = max(size, min(sheet.height, sheet.width) * 0.16)
        x = sheet.width * ((i + rng.uniform(0.1, 0.9)) / number if number > 1 else rng.uniform(0.1, 0.9))
        y = horizon * (rng.uniform(0.06, 0.50) if crowded else rng.uniform(0.12, 0.46))
        if not crowded and abs(x - orb.x) < size + orb.r * 1.2 and abs(y - orb.y) < size * 0.5 + orb.r * 1.2:
            continue
        clouds.append((y, x, size))
    for y, x, size in sorted(clouds):
        _cloud(sheet, light, x, y, size, rng)


def _cloud_tones(light: Light) -> tuple[RGB, RGB]:
    """Lit top and shaded bottom."""
    top = {
        "morning": (255, 246, 230),
        "day": (255, 255, 255),
        "sunset": (255, 196, 160),
        "night": (112, 126, 178),
    }[light.scene.time]
    share = {"clear": 0.42, "cloudy": 0.50, "rain": 0.72, "snow": 0.45, "mist": 0.5}[light.scene.weather]
    if light.scene.weather == "rain":
        top = mix(top, light.sky[1], 0.42)
    below = mix(light.sky[1], light.sky[2], 0.5)
    if light.scene.weather in ("cloudy", "rain"):
        below = mix(
            below, {"night": (24, 30, 60), "sunset": (116, 74, 120)}.get(light.scene.time, (116, 132, 160)), 0.35
        )
    bottom = mix(top, below, min(share + 0.25, 0.9))
    if light.scene.time == "morning" and light.scene.weather in ("clear", "snow"):
        bottom = mix(bottom, (252, 204, 186), 0.7)
    if light.ink:
        top, bottom = mix(PAPER, (255, 255, 255), 0.3), mix(light.sky[1], PAPER, 0.35)
    return top, bottom


def _cloud(sheet: Sheet, light: Light, x: float, y: float, half: float, rng: random.Random) -> None:
    """Puffs on a flat base, lit from above."""
    top, bottom = _cloud_tones(light)
    puffs = []
    number = rng.choice((4, 5, 5, 6))
    for i in range(number):
        u = (i + 0.5) / number * 2 - 1
        r = half * min(0.51, (0.24 + 0.24 * (1 - abs(u))) * rng.uniform(0.85, 1.15))
        puffs.append((half * (1 + u * 0.74), half * 0.86 - r * 0.62, r))
    w, h = max(8, round(half * 2)), max(6, round(half))
    scale = 2
    mask = Image.new("L", (w * scale, h * scale), 0)
    draw = ImageDraw.Draw(mask)
    draw.rounded_rectangle(
        (0.16 * w * scale, 0.66 * h * scale, 0.84 * w * scale, 0.94 * h * scale), 0.14 * h * scale, fill=255
    )
    for px, py, r in puffs:
        draw.ellipse([(px - r) * scale, (py - r) * scale, (px + r) * scale, (py + r) * scale], fill=255)
    mask = mask.reduce(scale)
    if sheet.line:
        pen = sheet.pen_width
        for px, py, r in puffs:
            sheet.stroke(oval(x - half + px, y - half / 2 + py, r, r, 24), pen * 2, sheet.line, alpha=0.8, wobble=True)
    else:
        mask = mask.filter(ImageFilter.BoxBlur(max(0.7, half / 60)))
        fade = Image.new("L", (1, 8))
        fade.putdata((255, 255, 255, 255, 250, 220, 150, 70))
        mask = ImageChops.multiply(mask, fade.resize(mask.size, Image.Resampling.BICUBIC))
    patch = corner_gradient((w, h), (top, top, bottom, bottom))
    alpha = 1.0 if light.ink else 0.92 if light.scene.weather in ("cloudy", "rain") else 0.82
    mask = mask.point([round(v * alpha) for v in range(256)])
    sheet.image.paste(patch, (round(x - half), round(y - half / 2)), mask)
    for px, py, r in puffs:
        cx, cy = x - half + px, y - half / 2 + py
        if not light.ink:
            sheet.soft(cx + light.side * r * 0.2, cy - r * 0.28, r * 0.72, r * 0.60, top, 0.55)
