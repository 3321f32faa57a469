"""Named shapes of a picture, as sizes a model can make: about as many pixels as its usual size, sides on the grid.

Must not know: pages, or how a shape is drawn.
"""

from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Literal, get_args

from darkroom.catalog import ModelEntry
from darkroom.request import GenerationRequest

ShapeName = Literal["square", "portrait", "landscape", "tall", "wide", "phone", "banner"]
SHAPE_NAMES: tuple[ShapeName, ...] = get_args(ShapeName)

RATIOS: dict[ShapeName, tuple[int, int]] = {
    "square": (1, 1),
    "portrait": (3, 4),
    "landscape": (4, 3),
    "tall": (9, 16),
    "wide": (16, 9),
    "phone": (9, 20),
    "banner": (3, 1),
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A size with a name. `width` and `height` are in pixels."""

    name: ShapeName
    width: int
    height: int


def shapes_for(model: ModelEntry) -> tuple[Shape, ...]:
    """The shapes this model can make, no size twice. Where its sides end, a shape is less long than its name says."""
    shapes: dict[tuple[int, int], Shape] = {}
    for name, (across, down) in RATIOS.items():
        width, height = _size(model, across, down)
        shapes.setdefault((width, height), Shape(name=name, width=width, height=height))
    return tuple(shapes.values())


@cache
def grid() -> int:
    """Every side of a picture is a multiple of this."""
    return int(GenerationRequest.model_json_schema()["properties"]["width"]["multipleOf"])


def _size(model: ModelEntry, across: int, down: int) -> tuple[int, int]:
    unit = sqrt(model.default_width * model.default_height / (across * down))
    unit = min(unit, model.largest_side / max(across, down))
    return _side(model, across * unit), _side(model, down * unit)


def _side(model: ModelEntry, length: float) -> int:
    step = grid()
    smallest, largest = -(-model.smallest_side // step), model.largest_side // step
    return min(max(round(length / step), smallest), largest) * step
