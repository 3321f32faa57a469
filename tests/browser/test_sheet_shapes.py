"""A contact sheet of pictures of every shape: none makes a stamp of its neighbours."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.darkrooms import stocked

pytestmark = pytest.mark.browser

SHAPES = (
    *((256, 256), (256, 512), (2048, 256), (256, 2048), (256, 256), (2048, 256)),
    *((2048, 256), (256, 256), (512, 256), (512, 256)),  # the newest, and so the first
)

darkroom = stocked([{"prompt": "a shape", "width": width, "height": height} for width, height in SHAPES])


@pytest.mark.parametrize("width", [1280, 390])
def test_a_very_wide_picture_has_a_row_of_its_own(width: int, visit: Visit) -> None:
    person = visit(width=width)
    tiles = person.open_history()
    expect(tiles).to_have_count(len(SHAPES))
    boxes = [tiles.nth(place).bounding_box() for place in range(len(SHAPES))]
    usual = 176 if width == 1280 else 108
    for (wide, high), box in zip(reversed(SHAPES), boxes, strict=True):
        assert box
        assert box["width"] / box["height"] == pytest.approx(wide / high, rel=0.02)
        assert box["height"] > usual * 0.6 or box["width"] > width * 0.85
    assert person.sideways() == 0
