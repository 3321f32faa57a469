"""Named shapes of a picture, as sizes a model can make: about the model's usual area, sides on the pixel grid.

Must not know: the form.
"""

from collections.abc import Mapping
from math import sqrt

from darkroom.catalog import ModelEntry
from darkroom.web.form import size_limits

RATIOS = ((1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16))


def shapes_of(model: ModelEntry) -> Mapping[str, tuple[int, int]]:
    """Sizes by name ("4:3"), for the shapes this model can make."""
    limits = size_limits(model)
    shapes: dict[str, tuple[int, int]] = {}
    for across, down in RATIOS:
        area = model.default_width * model.default_height
        unit = min(sqrt(area / (across * down)), limits.largest / max(across, down))
        width, height = (int(round(side * unit / limits.step) * limits.step) for side in (across, down))
        if min(width, height) >= limits.smallest:
            shapes[f"{across}:{down}"] = (width, height)
    return shapes


def shape_of(model: ModelEntry, width: int, height: int) -> str | None:
    """The name of a size, if it has one."""
    return next((name for name, size in shapes_of(model).items() if size == (width, height)), None)
