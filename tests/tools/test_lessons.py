"""What the demo model is taught with agrees with what was drawn and what was said."""

import random
from pathlib import Path

import numpy as np
import pytest

from tools.demo_model.captions import caption
from tools.demo_model.dataset import draw_dataset, picture_sets
from tools.demo_model.lessons import Batches, pictures_a_step
from tools.demo_model.maps import NOTHING, kind_of
from tools.demo_model.reading import NOTHING_ASKED, OF_A_KIND, UNSAID, said_by
from tools.demo_model.scenes import COLOURS, KINDS, PLACES, Scene, Subject, random_scene

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw_dataset(folder, count=24, seed=5, sizes={(256, 256): 0.5, (512, 288): 0.5}, workers=2)
    return folder


def test_a_map_shows_each_kind_of_the_scene_in_its_third_of_the_picture(drawn: Path) -> None:
    seen = 0
    for one in picture_sets(drawn):
        for scene, codes in zip(one.scenes, one.maps, strict=True):
            kinds = kind_of(codes)
            for subject in scene.subjects:
                columns = np.nonzero((kinds == 1 + KINDS.index(subject.kind)).any(axis=0))[0]
                middle = (columns.mean() + 0.5) / codes.shape[1]
                third = PLACES.index(subject.place)
                assert third / 3 - 0.05 <= middle <= (third + 1) / 3 + 0.05
                seen += 1
            assert (codes != NOTHING).any() == bool(scene.subjects)
    assert seen > 10


def test_what_a_caption_says_is_told_apart_from_what_it_leaves_out() -> None:
    scene = Scene(time="night", weather="snow", terrain="lake", subjects=(Subject(kind="cat", colour="blue", count=2),))
    rng = random.Random(3)
    for _ in range(40):
        told = caption(scene, rng)
        said = said_by([scene], [told])
        row = said.of_a_kind[0, KINDS.index("cat")]
        columns = list(OF_A_KIND)
        assert row[columns.index("present")] == 1
        assert row[columns.index("count")] == 1
        assert row[columns.index("colour")] == (1 + COLOURS.index("blue") if "colour:0" in told.mentioned else UNSAID)
        assert (said.whole[0, 0] == UNSAID) == ("time" not in told.mentioned)
        others = [place for place, kind in enumerate(KINDS) if kind != "cat"]
        assert (said.of_a_kind[0, others, 1:] == NOTHING_ASKED).all()


def test_small_pictures_come_alone_at_first_and_all_sizes_afterwards() -> None:
    rng = random.Random(1)
    scenes = [[random_scene(rng) for _ in range(8)] for _ in range(2)]
    options = {"tokens_a_step": 4000, "seed": "a"}
    first = iter(Batches(scenes, [256, 1024], [0.5, 0.5], ROOT / "models" / "demo", small_seconds=600, **options))
    assert {next(first).bucket for _ in range(12)} == {0}
    later = iter(Batches(scenes, [256, 1024], [0.5, 0.5], ROOT / "models" / "demo", **options))
    batches = [next(later) for _ in range(12)]
    assert {batch.bucket for batch in batches} == {0, 1}
    assert all(len(batch.chosen) == pictures_a_step([256, 1024][batch.bucket], 4000) for batch in batches)
    assert all(len(batch.said.whole) == len(batch.t5) == len(batch.chosen) for batch in batches)
