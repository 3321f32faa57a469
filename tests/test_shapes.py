"""Named shapes are sizes that the model accepts, about as large as its usual size."""

from dataclasses import replace

import pytest

from darkroom.catalog import DEMO, ModelEntry
from darkroom.request import parse_request
from darkroom.shapes import SHAPE_NAMES, shapes_for

LARGE = replace(DEMO, smallest_side=256, largest_side=2048, default_width=1024, default_height=1024)


def sizes(model: ModelEntry) -> dict[str, tuple[int, int]]:
    return {shape.name: (shape.width, shape.height) for shape in shapes_for(model)}


def test_the_shapes_of_the_demo() -> None:
    assert sizes(DEMO) == {
        "square": (512, 512),
        "portrait": (384, 512),
        "landscape": (512, 384),
        "tall": (288, 512),
        "wide": (512, 288),
        "phone": (256, 512),
        "banner": (512, 256),
    }


def test_the_shapes_of_a_model_of_one_megapixel() -> None:
    assert sizes(LARGE) == {
        "square": (1024, 1024),
        "portrait": (880, 1184),
        "landscape": (1184, 880),
        "tall": (768, 1360),
        "wide": (1360, 768),
        "phone": (688, 1520),
        "banner": (1776, 592),
    }


@pytest.mark.parametrize(
    "model",
    [
        DEMO,
        LARGE,
        replace(LARGE, default_width=832, default_height=1216),
        replace(LARGE, smallest_side=1000, largest_side=1050),
        replace(LARGE, smallest_side=64, largest_side=4096, default_width=4096, default_height=4096),
    ],
)
def test_every_shape_is_accepted_by_its_model_and_no_size_comes_twice(model: ModelEntry) -> None:
    found = sizes(model)
    assert len(set(found.values())) == len(found)
    for width, height in found.values():
        values = {"prompt": "", "seed": 0, "steps": 1, "guidance": 1.0, "model": model.name}
        model.check(parse_request({**values, "width": width, "height": height}))


def test_where_there_is_room_no_shape_is_much_larger_or_smaller_than_the_usual_size() -> None:
    for width, height in sizes(LARGE).values():
        assert width * height == pytest.approx(1024 * 1024, rel=0.02)


def test_a_model_with_one_size_has_one_shape() -> None:
    assert sizes(replace(DEMO, smallest_side=512)) == {"square": (512, 512)}


def test_every_name_is_a_shape_of_the_shipped_model() -> None:
    assert tuple(sizes(DEMO)) == SHAPE_NAMES
