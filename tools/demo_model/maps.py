"""Where in a picture which thing is: one number for each patch of 16 × 16 pixels.

Pure arithmetic on spots; must not know how anything is drawn or learned.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tools.demo_model.layout import Spot
from tools.demo_model.scenes import COLOURS, KINDS

PATCH = 16
NOTHING = 0
CODES = 1 + len(KINDS) * len(COLOURS)
REACH = 0.52  # of the width and height of a thing, on each side of its middle


def subject_map(spots: Iterable[Spot], *, width: int, height: int) -> npt.NDArray[np.uint8]:
    """(height/16, width/16): NOTHING, or 1 + kind · colours + colour of the nearest thing there."""
    found = np.zeros((height // PATCH, width // PATCH), dtype=np.uint8)
    y = (np.arange(found.shape[0]) + 0.5)[:, None] * PATCH
    x = (np.arange(found.shape[1]) + 0.5)[None, :] * PATCH
    for spot in spots:
        code = 1 + KINDS.index(spot.kind) * len(COLOURS) + COLOURS.index(spot.colour)
        middle = spot.y - spot.height / 2
        reach_x, reach_y = max(REACH * spot.width, PATCH / 2), max(REACH * spot.height, PATCH / 2)
        found[(abs(x - spot.x) <= reach_x) & (abs(y - middle) <= reach_y)] = code
    return found


def kind_of(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """0 for nothing, else 1 + the kind's index."""
    return np.where(codes == NOTHING, 0, 1 + (codes - 1) // len(COLOURS)).astype(np.uint8)
