"""Pictures with the modulation table and without it are the same, and the table is kept as long as it may be."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from darkroom.catalog import DEMO
from darkroom.engine.flux import WatchedPipeline, load_pipeline, make_picture
from darkroom.engine.watcher import Watcher
from darkroom.request import GenerationRequest, parse_request
from darkroom.wishes import Wishes
from tests.engine.plans import BLOCKS, streaming_plan
from tests.engine.test_float8 import likeness

MODELS = Path(__file__).parents[2] / "models"
CPU = torch.device("cpu")
SIDE = 128
each_way = pytest.mark.parametrize("in_place", [True, False], ids=["in place", "streamed"])


def load(dtype: torch.dtype) -> WatchedPipeline:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("darkroom.engine.flux.computation_type", lambda _device: dtype)
        return load_pipeline(DEMO, MODELS, CPU, Watcher())


@pytest.fixture(scope="module")
def pipeline() -> WatchedPipeline:
    """In float32, where a multiplication of other rows shows in the last bits."""
    return load(torch.float32)


@pytest.fixture(scope="module")
def in_bf16() -> WatchedPipeline:
    return load(torch.bfloat16)


@pytest.fixture
def fresh(pipeline: WatchedPipeline) -> WatchedPipeline:
    pipeline.residence.drop()
    return pipeline


def picture_of(pipeline: WatchedPipeline, *, table_rows: int = 16, in_place: bool = False, **changes: object) -> bytes:
    """Half of the blocks stay on the "card"; or all is in place, as on a machine without one."""
    request = request_for(**changes)
    size = pipeline.torch_dtype.itemsize
    plan = streaming_plan(resident=tuple(range(0, BLOCKS, 2)), number_bytes=size, table_rows=table_rows)
    if in_place:
        plan = replace(pipeline.plan(request, Wishes()), table_rows=table_rows)
    return make_picture(pipeline, request, Watcher(), plan).pixels


def assert_alike(one: bytes, other: bytes) -> None:
    difference = np.frombuffer(one, np.uint8).astype(int) - np.frombuffer(other, np.uint8)
    assert likeness(one, other, SIDE, SIDE) > 0.999
    assert np.abs(difference).mean() < 0.05


def request_for(**changes: object) -> GenerationRequest:
    values: dict[str, object] = {"prompt": "a red house by a lake", "negative_prompt": "snow", "seed": 3, "steps": 3}
    values |= {"guidance": 3.5, "width": SIDE, "height": SIDE, "model": "demo"}
    return parse_request(values | changes)


class Fillings:
    """Counts how often each block's modulation layers run."""

    def __init__(self, pipeline: WatchedPipeline) -> None:
        self.numbers: list[int] = [0] * BLOCKS
        for place, part in enumerate(pipeline.residence.table.parts):
            part.register_forward_hook(self._counted(place))

    def _counted(self, place: int) -> Callable[..., None]:
        def count(*_: object) -> None:
            self.numbers[place] += 1

        return count

    def take(self) -> int:
        taken = set(self.numbers)
        assert len(taken) == 1
        self.numbers = [0] * BLOCKS
        return taken.pop()


@pytest.fixture(scope="module")
def fillings(pipeline: WatchedPipeline) -> Fillings:
    return Fillings(pipeline)


# --- the same picture


@each_way
@pytest.mark.parametrize("cfg_scale", [1.0, 2.0])
def test_a_table_of_one_row_at_a_time_changes_no_bit(fresh: WatchedPipeline, cfg_scale: float, in_place: bool) -> None:
    without = picture_of(fresh, table_rows=0, cfg_scale=cfg_scale, in_place=in_place)
    assert picture_of(fresh, table_rows=1, cfg_scale=cfg_scale, in_place=in_place) == without


@each_way
def test_all_rows_at_once_differ_by_the_rounding_of_a_larger_multiplication(
    fresh: WatchedPipeline, in_bf16: WatchedPipeline, in_place: bool
) -> None:
    for each in (fresh, in_bf16):
        with_table, without = (
            picture_of(each, table_rows=rows, cfg_scale=2.0, steps=6, in_place=in_place) for rows in (16, 0)
        )
        assert_alike(with_table, without)


def test_with_the_table_blocks_without_their_modulation_stream_and_without_it_whole_ones(
    fresh: WatchedPipeline,
) -> None:
    architecture = replace(DEMO.architecture, number_bytes=fresh.torch_dtype.itemsize)
    apart = replace(architecture, modulation_apart=True)
    pictures = []
    for rows in (16, 0, 16):
        pictures.append(picture_of(fresh, table_rows=rows))
        shape = apart if rows else architecture
        assert fresh.residence.unit_bytes == shape.transformer_blocks
        assert fresh.residence.modulation_bytes == shape.modulation_units
        assert (fresh.residence.table.rows > 0) == (rows > 0)
    assert pictures[0] == pictures[2]


@pytest.mark.parametrize("cfg_scale", [1.0, 2.0])
@pytest.mark.parametrize("guidance_embedder", [True, False], ids=["guidance", "no guidance"])
def test_a_row_is_made_of_exactly_what_the_blocks_get_in_its_pass(
    fresh: WatchedPipeline, monkeypatch: pytest.MonkeyPatch, cfg_scale: float, guidance_embedder: bool
) -> None:
    if not guidance_embedder:
        monkeypatch.setitem(fresh.dit._modules, "guidance_embedder", None)
    seen: list[Tensor] = []
    filled_from: list[Tensor] = []
    hooks = [
        fresh.dit.blocks[0].register_forward_pre_hook(lambda _block, inputs: seen.append(inputs[2])),
        fresh.residence.table.parts[0].register_forward_pre_hook(lambda _, inputs: filled_from.append(inputs[0])),
    ]
    picture_of(fresh, cfg_scale=cfg_scale)
    for hook in hooks:
        hook.remove()
    assert len(filled_from) == 1
    assert len(seen) == len(filled_from[0]) == (3 if cfg_scale == 1 else 6)
    assert torch.equal(functional.silu(torch.cat(seen)), filled_from[0])
    assert len({tuple(row.tolist()) for row in filled_from[0]}) == len(seen)


# --- when it is filled


def test_the_layers_run_once_for_a_picture_however_many_steps_and_prompts(
    fresh: WatchedPipeline, fillings: Fillings
) -> None:
    fillings.take()
    for in_place in (True, False):
        for cfg_scale in (1.0, 2.0):
            fresh.residence.drop()
            picture_of(fresh, steps=4, cfg_scale=cfg_scale, in_place=in_place)
            assert fillings.take() == 1
            assert fresh.residence.table.rows == (4 if cfg_scale == 1 else 8)


@each_way
def test_a_table_is_kept_for_pictures_that_differ_in_nothing_it_depends_on(
    fresh: WatchedPipeline, fillings: Fillings, in_place: bool
) -> None:
    first = picture_of(fresh, in_place=in_place)
    fillings.take()
    changes: tuple[dict[str, Any], ...] = ({"seed": 4}, {"width": 320}, {"negative_prompt": "rain"})
    for change in changes:
        picture_of(fresh, in_place=in_place, **change)
        assert fillings.take() == 0
    assert picture_of(fresh, in_place=in_place) == first


@pytest.mark.parametrize(
    ("field", "value"), [("prompt", "a blue tree"), ("guidance", 2.0), ("steps", 5), ("cfg_scale", 2.0), ("shift", 2.0)]
)
def test_a_table_is_filled_again_when_anything_it_depends_on_changes(
    fresh: WatchedPipeline, fillings: Fillings, monkeypatch: pytest.MonkeyPatch, field: str, value: Any
) -> None:
    changes = {} if field == "shift" else {field: value}
    before = picture_of(fresh)
    fillings.take()
    if field == "shift":
        ordinary = fresh.scheduler.set_timesteps
        monkeypatch.setattr(
            fresh.scheduler, "set_timesteps", lambda number, **options: ordinary(number, **(options | {"shift": value}))
        )
    changed = picture_of(fresh, **changes)
    assert changed != before
    assert fillings.take() == 1
    # To the last bit: a picture does not depend on the one before.
    fresh.residence.drop()
    assert picture_of(fresh, **changes) == changed


@pytest.mark.parametrize("what", ["a block's modulation", "an embedder"])
def test_a_table_is_filled_again_when_weights_change_and_again_when_they_are_as_before(
    fresh: WatchedPipeline, what: str
) -> None:
    layer = fresh.dit.blocks[1].norm1_a.linear.layer if what == "a block's modulation" else fresh.dit.time_embedder
    bias = layer.bias if what == "a block's modulation" else layer.timestep_embedder[2].bias
    as_it_was = bias.data
    before = picture_of(fresh)
    fresh.residence.drop()
    bias.data = as_it_was + 0.1
    fresh.residence.reread()
    changed = picture_of(fresh)
    assert changed != before
    assert_alike(changed, picture_of(fresh, table_rows=0))
    fresh.residence.drop()
    bias.data = as_it_was
    fresh.residence.reread()
    assert picture_of(fresh) == before


def test_prompts_that_differ_only_where_the_pooled_prompt_does_not_reach_have_the_same_rows(
    fresh: WatchedPipeline, fillings: Fillings
) -> None:
    long = "a red house " * 60
    first, second = (f"{long} {word}" for word in ("night", "snow"))
    picture_of(fresh, prompt=first)
    fillings.take()
    kept = picture_of(fresh, prompt=second)
    assert fillings.take() == 0
    fresh.residence.drop()
    assert picture_of(fresh, prompt=second) == kept


@each_way
def test_more_passes_than_rows_fill_the_table_on_the_way(
    fresh: WatchedPipeline, fillings: Fillings, in_place: bool
) -> None:
    whole = picture_of(fresh, table_rows=16, steps=5, cfg_scale=2.0, in_place=in_place)
    fillings.take()
    parts = picture_of(fresh, table_rows=3, steps=5, cfg_scale=2.0, in_place=in_place)
    assert fillings.take() == 4
    assert fresh.residence.table.rows <= 3
    assert_alike(parts, whole)
    assert picture_of(fresh, table_rows=3, steps=5, cfg_scale=2.0, in_place=in_place) == parts


def test_a_fault_while_the_table_is_filled_leaves_the_next_picture_as_it_was(fresh: WatchedPipeline) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault")

    whole = picture_of(fresh)
    fresh.residence.drop()
    failing = fresh.residence.table.parts[4].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="a fault"):
        picture_of(fresh)
    failing.remove()
    assert fresh.residence.table.rows == 0
    assert picture_of(fresh) == whole


@each_way
def test_passes_the_schedule_does_not_know_are_computed_as_without_a_table(
    fresh: WatchedPipeline, monkeypatch: pytest.MonkeyPatch, in_place: bool
) -> None:
    expected = picture_of(fresh, table_rows=0, in_place=in_place)
    ordinary = fresh.model_fn

    def with_another_tensor(*, pooled_prompt_emb: Tensor, **rest: object) -> Tensor:
        noise: Tensor = ordinary(pooled_prompt_emb=pooled_prompt_emb.clone(), **rest)
        return noise

    monkeypatch.setattr(fresh, "model_fn", with_another_tensor)
    assert picture_of(fresh, in_place=in_place) == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
@pytest.mark.parametrize("cfg_scale", [1.0, 2.0])
def test_on_a_card_pictures_with_the_table_and_without_are_alike(cfg_scale: float) -> None:
    pipeline = load_pipeline(DEMO, MODELS, torch.device("cuda"), Watcher())
    request = request_for(cfg_scale=cfg_scale, steps=8)
    whole, half = pipeline.plan(request, Wishes()), streaming_plan(resident=tuple(range(0, BLOCKS, 2)))
    for plan in (whole, half):
        with_table, without = (
            make_picture(pipeline, request, Watcher(), replace(plan, table_rows=rows)).pixels for rows in (16, 0)
        )
        assert likeness(with_table, without, SIDE, SIDE) > 0.99
    pipeline.residence.drop()
    assert pipeline.residence.card_bytes == 0
