"""The six kinds of land, each as far parts behind the water's boats and near parts in front of them.

Knows land, features, foreground and water; must not know any subject.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.demo_model import features, foreground, water
from tools.demo_model.brush import rounded
from tools.demo_model.land import Land
from tools.demo_model.palette import RGB
from tools.demo_model.scenes import Terrain

GRASS: RGB = (122, 184, 82)
SAND: RGB = (244, 210, 152)
EARTH: RGB = (226, 194, 142)

HORIZON: dict[Terrain, float] = {
    "meadow": 0.60, "mountains": 0.64, "sea": 0.54, "lake": 0.55, "desert": 0.62, "forest": 0.64,
}  # fmt: skip


def paint_far(land: Land) -> None:
    """All the land behind the subjects, except a shore that hides a boat's reflection."""
    FAR[land.light.scene.terrain](land)
    land.bloom()


def paint_near(land: Land) -> None:
    """The ground the subjects stand on."""
    NEAR[land.light.scene.terrain](land)


def _meadow(land: Land) -> None:
    h, y = land.h, land.horizon
    land.hill(land.ridge(y - 0.035 * h, 0.036 * h, 1.3), (104, 152, 146), 0.86)
    land.hill(land.ridge(y + 0.010 * h, 0.034 * h, 1.1), (106, 168, 116), 0.58)
    features.village_lights(land, y + 0.045 * h)
    features.copses(land, y + 0.035 * h, 0.48, land.rng.choice((2, 3)))
    land.hill(land.ridge(y + 0.070 * h, 0.030 * h, 0.9), (120, 182, 92), 0.30)
    features.copses(land, y + 0.11 * h, 0.26, land.rng.choice((0, 1, 2)))


def _near_meadow(land: Land) -> None:
    h, y = land.h, land.horizon
    _grass(land, y + 0.150 * h, 0.026 * h, GRASS, path=0.5)


def _grass(land: Land, y: float, swing: float, colour: RGB, *, path: float = 0.0) -> None:
    """A lawn in the foreground."""
    land.hill(land.ridge(y, swing, 0.8), colour, 0.04)
    top = y + 0.05 * land.h
    land.dapple(top, land.h, colour, 0.04)
    if land.rng.random() < path:
        features.path(land, y + swing, EARTH)
    foreground.puddles(land, top)
    foreground.lawn(land, top, colour)


def _mountains(land: Land) -> None:
    h, y = land.h, land.horizon
    features.peaks(land, y + 0.02 * h, 0.31 * h, 0.72, 3)
    features.peaks(land, y + 0.05 * h, 0.20 * h, 0.40, 4)
    land.hill(land.ridge(y + 0.03 * h, 0.025 * h, 1.2), (88, 152, 112), 0.36)
    features.village_lights(land, y + 0.065 * h)
    features.firs(land, y + 0.075 * h, 0.24, 0.10 * h, 0.5)


def _near_mountains(land: Land) -> None:
    _grass(land, land.horizon + 0.10 * land.h, 0.022 * land.h, (112, 176, 92), path=0.35)


def _sea(land: Land) -> None:
    h, y = land.h, land.horizon
    if land.rng.random() < 0.55:
        x = land.rng.uniform(0.1, 0.9) * land.w
        points = [
            (x - 0.20 * land.w, y),
            (x - 0.10 * land.w, y - 0.030 * h),
            (x, y - 0.055 * h),
            (x + 0.07 * land.w, y - 0.030 * h),
            (x + 0.18 * land.w, y),
        ]
        tone = land.light.ground((110, 140, 160), 0.80)
        land.sheet.fill(rounded(points), (land.bright(tone), tone, land.light.haze, land.light.haze))
    water.open_water(land, y)


def _near_sea(land: Land) -> None:
    h = land.h
    shore = land.ridge(water.SHORE * h, 0.018 * h, 0.6)
    wet = [(x, y - 0.026 * h) for x, y in shore]
    land.hill([(x, y - 0.040 * h) for x, y in shore], (120, 196, 206), 0.12, snow=0.2)
    land.hill(wet, (252, 252, 250), 0.04)
    land.hill([(x, y - 0.010 * h) for x, y in shore], SAND, 0.02, snow=0.66)
    land.dapple(water.SHORE * h + 0.03 * h, h, SAND, 0.02, snow=0.66)
    foreground.puddles(land, 0.84 * h)
    if land.light.scene.weather == "snow":
        foreground.drifts(land, 0.82 * h)
        return
    foreground.shells(land, 0.83 * h)
    foreground.dune_grass(land, water.SHORE * h)


def _lake(land: Land) -> None:
    h, y = land.h, land.horizon
    land.hill(land.ridge(y - 0.10 * h, 0.055 * h, 1.2), (100, 140, 164), 0.78, bottom=y)
    land.hill(land.ridge(y - 0.035 * h, 0.035 * h, 1.5), (88, 154, 116), 0.46, bottom=y)
    features.village_lights(land, y - 0.018 * h)
    features.firs(land, y + 0.004 * h, 0.38, 0.08 * h, 0.55)
    land.bloom()
    water.mirror(land, y)


def _near_lake(land: Land) -> None:
    _grass(land, water.SHORE * land.h, 0.016 * land.h, GRASS)
    foreground.reeds(land, water.SHORE * land.h)
    foreground.fireflies(land, 0.70 * land.h)


def _desert(land: Land) -> None:
    h, y = land.h, land.horizon
    features.mesas(land, y)
    land.hill(land.ridge(y, 0.035 * h, 0.9), (232, 164, 112), 0.55, snow=0.6)
    features.dune(land, y + 0.075 * h, 0.045 * h, 0.28)
    if land.rng.random() < 0.7:
        x = land.rng.choice((0.06, 0.35, 0.65, 0.94)) * land.w
        features.cactus(land, x, y + 0.115 * h, min(h, land.w) * 0.085, 0.2)


def _near_desert(land: Land) -> None:
    h, y = land.h, land.horizon
    features.dune(land, y + 0.165 * h, 0.034 * h, 0.03)
    land.dapple(y + 0.24 * h, h, features.DUNE, 0.03, snow=0.6)
    foreground.puddles(land, y + 0.24 * h)
    if land.light.scene.weather == "snow":
        foreground.drifts(land, y + 0.22 * h)
    else:
        foreground.shells(land, y + 0.23 * h)


def _forest(land: Land) -> None:
    h, y = land.h, land.horizon
    land.hill(land.ridge(y - 0.05 * h, 0.02 * h, 0.9), (98, 150, 120), 0.80)
    features.firs(land, y + 0.02 * h, 0.66, 0.32 * h, 1.0)
    land.hill(land.ridge(y + 0.005 * h, 0.012 * h, 0.9), (96, 152, 104), 0.52)
    features.firs(land, y + 0.055 * h, 0.38, 0.38 * h, 0.9)
    land.hill(land.ridge(y + 0.045 * h, 0.012 * h, 0.9), (90, 152, 88), 0.26)
    features.firs(land, y + 0.115 * h, 0.10, 0.50 * h, 0.55, clearing=True)


def _near_forest(land: Land) -> None:
    _grass(land, land.horizon + 0.10 * land.h, 0.016 * land.h, (98, 166, 82), path=0.45)
    foreground.corners(land)
    foreground.fireflies(land, 0.62 * land.h)


Painter = Callable[[Land], None]
FAR: dict[Terrain, Painter] = {
    "meadow": _meadow, "mountains": _mountains, "sea": _sea, "lake": _lake, "desert": _desert, "forest": _forest,
}  # fmt: skip
NEAR: dict[Terrain, Painter] = {
    "meadow": _near_meadow, "mountains": _near_mountains, "sea": _near_sea,
    "lake": _near_lake, "desert": _near_desert, "forest": _near_forest,
}  # fmt: skip
