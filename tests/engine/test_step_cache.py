"""Steps that are passed over: which, at what cost of likeness, and that nothing else notices."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffsynth.pipelines.flux_image import TeaCache
from torch import Tensor, nn

from darkroom.architecture import DEMO as DEMO_SHAPE
from darkroom.architecture import FLUX1
from darkroom.catalog import DEMO, FLUX1_DEV
from darkroom.engine.flux import MadePicture, WatchedPipeline, load_pipeline, make_picture
from darkroom.engine.step_cache import CURVES, FEWEST_STEPS, StepCache, curve_of, guessed_change, step_cache_for
from darkroom.engine.streaming import BlockStream
from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.planner import make_plan
from darkroom.request import GenerationRequest, parse_request
from darkroom.wishes import Wishes
from tests.engine.plans import BLOCKS, MACHINE, streaming_plan
from tests.engine.test_float8 import likeness

MODELS = Path(__file__).parents[2] / "models"
CPU = torch.device("cpu")
SIDE, STEPS = 128, 16
THRESHOLD = 0.3


def request(**changes: object) -> GenerationRequest:
    values: dict[str, object] = {"prompt": "a red house by a lake", "seed": 3, "steps": STEPS, "guidance": 3.5}
    return parse_request(values | {"width": SIDE, "height": SIDE, "model": "demo"} | changes)


@pytest.fixture(scope="module")
def pipeline() -> WatchedPipeline:
    return load_pipeline(DEMO, MODELS, CPU, Watcher())


class Runs:
    """How often each block runs, in the order in which they do, and how many steps were told."""

    def __init__(self, pipeline: WatchedPipeline) -> None:
        blocks = (*pipeline.dit.blocks, *pipeline.dit.single_blocks)
        self.places: list[int] = []
        self._hooks = [block.register_forward_hook(self._noting(place)) for place, block in enumerate(blocks)]

    def _noting(self, place: int) -> Callable[..., None]:
        return lambda *_: self.places.append(place)

    def end(self) -> None:
        for hook in self._hooks:
            hook.remove()


@pytest.fixture
def runs(pipeline: WatchedPipeline) -> Iterator[Runs]:
    runs = Runs(pipeline)
    yield runs
    runs.end()


class Steps(Watcher):
    def __init__(self, stop_at: int = 0) -> None:
        self.numbers: list[int] = []
        self._stop_at = stop_at

    def step(self, number: int, of: int, preview_jpeg: Callable[[], bytes]) -> None:
        assert of == STEPS
        assert preview_jpeg()
        self.numbers.append(number)
        if number == self._stop_at:
            raise StopAsked


def paint(pipeline: WatchedPipeline, watcher: Watcher | None = None, **changes: object) -> MadePicture:
    asked = request(**changes)
    return make_picture(pipeline, asked, watcher or Watcher(), replace(pipeline.plan(asked, Wishes())))


# --- which steps are made


class Norm(nn.Module):
    """The first block's, as the cache knows it: what it is given is what it answers."""

    others: tuple[int, ...] = ()

    def forward(self, hidden: Tensor, emb: Tensor) -> tuple[object, ...]:
        return hidden * emb, emb, *self.others


class Small:
    """A transformer of one block."""

    def __init__(self) -> None:
        self.norm, block = Norm(), nn.Module()
        block.norm1_a = self.norm
        self.blocks = nn.ModuleList([block])


def pattern(changes: list[float], threshold: float, *, curve: tuple[float, ...] = (1.0, 0.0)) -> list[int]:
    """The steps that are made where the input grows by these shares from step to step."""
    cache, hidden = StepCache(threshold, len(changes) + 1, curve), torch.ones(1, 4, 8)
    for step, change in enumerate([0.0, *changes]):
        hidden = hidden * (1 + change)
        cache.turn(step)
        if not cache.check(Small(), hidden, torch.ones(1)):
            cache.store(hidden + step)
        assert cache.skipped is (step not in cache.computed)
    return cache.computed


def test_a_step_is_made_once_the_changes_since_the_last_one_made_add_up_to_the_threshold() -> None:
    assert pattern([0.1] * 9, 0.25) == [0, 3, 6, 9]
    assert pattern([0.1, 0.1, 0.3, 0.01, 0.01, 0.01], 0.25) == [0, 3, 6]


def test_the_first_and_the_last_step_are_always_made() -> None:
    assert pattern([0.0] * 9, 1.0) == [0, 9]


def test_what_is_not_a_number_is_made() -> None:
    assert pattern([float("nan")] * 3, 1.0) == [0, 1, 2, 3]


def test_the_curve_says_what_a_change_of_the_input_means() -> None:
    assert guessed_change((2.0, 3.0, 4.0), 10.0) == 234
    assert guessed_change((1.0, -5.0), 1.0) == 0
    assert pattern([0.1] * 9, 0.25, curve=(2.0, 0.0)) == [0, 2, 4, 6, 8, 9]


def test_a_step_passed_over_adds_what_the_last_one_made_has_added() -> None:
    cache, hidden = StepCache(1.0, 4, (1.0, 0.0)), torch.ones(1, 4, 8)
    cache.turn(0)
    assert not cache.check(Small(), hidden, torch.ones(1))
    cache.store(hidden + 5)
    cache.turn(1)
    assert cache.check(Small(), hidden * 1.1, torch.ones(1))
    assert torch.equal(cache.update(hidden * 1.1), hidden * 1.1 + 5)


def test_of_the_same_curve_diffsynths_own_makes_the_same_choice() -> None:
    draw = torch.Generator().manual_seed(1)
    ours, theirs = StepCache(0.3, 20, CURVES[FLUX1]), TeaCache(20, 0.3)
    hidden, small = torch.randn(1, 16, 8, generator=draw), Small()
    small.norm.others = (0, 0, 0)
    for step in range(20):
        hidden = hidden + 0.1 * torch.randn(1, 16, 8, generator=draw)
        ours.turn(step)
        choice = ours.check(small, hidden, torch.ones(1))
        assert choice == theirs.check(small, hidden, torch.ones(1))
        if not choice:
            ours.store(hidden * 2)
            theirs.store(hidden * 2)
        assert step == 0 or not choice or torch.equal(ours.update(hidden), theirs.update(hidden))
    assert 3 < len(ours.computed) < 18


def test_models_made_of_flux1_have_its_curve_and_the_demo_its_own() -> None:
    assert curve_of(FLUX1) == curve_of(replace(FLUX1, guidance=False)) == CURVES[FLUX1]
    assert curve_of(DEMO_SHAPE) != CURVES[FLUX1]


def test_there_is_none_where_it_would_do_nothing() -> None:
    assert step_cache_for(0.0, steps=50, curve=CURVES[FLUX1]) is None
    assert step_cache_for(0.4, steps=FEWEST_STEPS - 1, curve=CURVES[FLUX1]) is None
    assert step_cache_for(0.4, steps=FEWEST_STEPS, curve=CURVES[FLUX1]) is not None


# --- pictures


def test_blocks_run_in_the_steps_that_are_made_and_every_step_is_told(pipeline: WatchedPipeline, runs: Runs) -> None:
    steps = Steps()
    picture = paint(pipeline, steps, step_cache=THRESHOLD)
    computed = picture.facts["steps_computed"]
    assert isinstance(computed, int)
    assert 3 <= computed < STEPS
    assert runs.places == list(range(BLOCKS)) * computed
    assert steps.numbers == list(range(1, STEPS + 1))


def test_without_it_every_step_is_made_and_nothing_is_said_of_it(pipeline: WatchedPipeline, runs: Runs) -> None:
    whole = paint(pipeline)
    assert runs.places == list(range(BLOCKS)) * STEPS
    assert "steps_computed" not in whole.facts
    # So small a threshold passes nothing over, and the pixels are those of today.
    everything = paint(pipeline, step_cache=1e-9)
    assert everything.pixels == whole.pixels
    assert everything.facts["steps_computed"] == STEPS


def test_more_is_passed_over_the_higher_the_threshold_and_the_picture_stays_alike(pipeline: WatchedPipeline) -> None:
    whole = paint(pipeline)
    pictures = [paint(pipeline, step_cache=threshold) for threshold in (0.15, 0.3, 0.6)]
    computed = [picture.facts["steps_computed"] for picture in pictures]
    assert STEPS > computed[0] > computed[1] > computed[2] >= 2  # type: ignore[operator]
    assert likeness(pictures[0].pixels, whole.pixels, SIDE, SIDE) > 0.95


def test_the_same_request_makes_the_same_choice(pipeline: WatchedPipeline) -> None:
    first = paint(pipeline, step_cache=THRESHOLD)
    paint(pipeline, step_cache=0.5, prompt="a blue tree")
    assert paint(pipeline, step_cache=THRESHOLD).pixels == first.pixels


def test_in_few_steps_none_is_passed_over_and_the_facts_say_so(pipeline: WatchedPipeline) -> None:
    few = paint(pipeline, steps=4, step_cache=1.0)
    assert few.facts["steps_computed"] == 4
    assert few.pixels == paint(pipeline, steps=4).pixels


@pytest.mark.parametrize("table_rows", [16, 5, 0])
@pytest.mark.parametrize("resident", [(), range(0, BLOCKS, 2), range(BLOCKS)], ids=["none", "half", "all"])
def test_streamed_pictures_pass_over_the_same_steps(
    pipeline: WatchedPipeline, resident: Sequence[int], table_rows: int
) -> None:
    asked = request(step_cache=THRESHOLD)
    size = pipeline.torch_dtype.itemsize
    in_place = make_picture(pipeline, asked, Watcher(), replace(pipeline.plan(asked, Wishes()), table_rows=table_rows))
    plan = streaming_plan(resident=tuple(resident), number_bytes=size, table_rows=table_rows)
    streamed = make_picture(pipeline, asked, Watcher(), plan)
    assert streamed.pixels == in_place.pixels
    assert streamed.facts["steps_computed"] == in_place.facts["steps_computed"]
    assert pipeline.step_cache is None


def test_a_step_passed_over_costs_no_copy(pipeline: WatchedPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = BlockStream.expect
    copies: list[int] = []

    def expect(stream: BlockStream, places: Iterator[int]) -> None:
        def read() -> Iterator[int]:
            for place in places:
                copies.append(place)
                yield place

        ordinary(stream, read())

    monkeypatch.setattr(BlockStream, "expect", expect)
    plan = streaming_plan(resident=(), slots=3, number_bytes=pipeline.torch_dtype.itemsize, table_rows=16)

    def copied(**changes: object) -> tuple[int, int]:
        copies.clear()
        picture = make_picture(pipeline, request(**changes), Watcher(), plan)
        last = pipeline.residence._blocks
        return sum(place in last for place in copies), int(picture.facts.get("steps_computed", STEPS))

    whole, _ = copied()
    assert whole == BLOCKS * STEPS
    fewer, computed = copied(step_cache=THRESHOLD)
    assert fewer == BLOCKS * computed


@pytest.mark.parametrize("streamed", [False, True])
def test_a_stop_among_passed_over_steps_leaves_nothing_behind(pipeline: WatchedPipeline, streamed: bool) -> None:
    asked = request(step_cache=THRESHOLD)
    plan = pipeline.plan(asked, Wishes())
    if streamed:
        plan = streaming_plan(resident=(2,), number_bytes=pipeline.torch_dtype.itemsize)
    whole = make_picture(pipeline, asked, Watcher(), plan)
    resting = pipeline.residence.card_bytes
    for stop_at in range(1, 7):
        steps = Steps(stop_at)
        with pytest.raises(StopAsked):
            make_picture(pipeline, asked, steps, plan)
        assert steps.numbers[-1] == stop_at
        assert pipeline.step_cache is None
        assert pipeline.residence.card_bytes == resting
    assert make_picture(pipeline, asked, Watcher(), plan).pixels == whole.pixels


# --- shorter prompts


def test_a_prompt_is_read_as_fewer_tokens_only_where_it_fits(pipeline: WatchedPipeline) -> None:
    long = "a red house " * 20
    assert pipeline.prompt_tokens(request()) == DEMO.prompt_tokens
    assert pipeline.prompt_tokens(request(prompt_tokens=48)) == 48
    assert pipeline.prompt_tokens(request(prompt_tokens=48, prompt=long)) == DEMO.prompt_tokens
    # Another prompt counts only where it is read.
    assert pipeline.prompt_tokens(request(prompt_tokens=48, negative_prompt=long)) == 48
    both = request(prompt_tokens=48, negative_prompt=long, cfg_scale=2.0)
    assert pipeline.prompt_tokens(both) == DEMO.prompt_tokens
    # A model never reads more than it can.
    assert pipeline.prompt_tokens(request(prompt_tokens=512)) == DEMO.prompt_tokens


def test_the_end_of_the_prompt_counts_as_a_token(pipeline: WatchedPipeline) -> None:
    words = "house"
    while len(pipeline.tokenizer_2(words).input_ids) < 48:
        words += " house"
    assert pipeline.prompt_tokens(request(prompt_tokens=48, prompt=words)) == 48
    assert pipeline.prompt_tokens(request(prompt_tokens=48, prompt=f"{words} house")) == DEMO.prompt_tokens


@pytest.mark.parametrize("streamed", [False, True])
def test_a_short_prompt_is_another_picture_with_a_reading_of_its_own(pipeline: WatchedPipeline, streamed: bool) -> None:
    seen: list[int] = []
    hook = pipeline.dit.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1].shape[1]))
    pipeline.prompts.clear()
    plan = streaming_plan(number_bytes=pipeline.torch_dtype.itemsize) if streamed else None
    pictures = []
    for tokens in (0, 48, 0, 48):
        pictures.append(make_picture(pipeline, request(steps=2, prompt_tokens=tokens), Watcher(), plan))
    hook.remove()
    assert seen == [DEMO.prompt_tokens] * 2 + [48] * 2 + [DEMO.prompt_tokens] * 2 + [48] * 2
    assert pictures[0].pixels == pictures[2].pixels != pictures[1].pixels == pictures[3].pixels
    assert [picture.facts.get("prompt_tokens") for picture in pictures] == [None, 48, None, 48]


def test_the_compiled_size_follows_the_request(pipeline: WatchedPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(pipeline.compilation, "begin", lambda size, **_: sizes.append(size.text))
    paint(pipeline, steps=1, prompt_tokens=48)
    assert sizes == [48]


def test_the_plan_has_room_for_what_is_asked() -> None:
    def denoising(*, prompt_tokens: int | None = None, step_cache: bool = False) -> int:
        options = {"prompt_tokens": prompt_tokens, "step_cache": step_cache}
        return make_plan(FLUX1_DEV, MACHINE, Wishes(), width=1024, height=1024, **options).peaks.denoising  # type: ignore[arg-type]

    whole = denoising()
    assert denoising(prompt_tokens=256) < whole
    assert denoising(step_cache=True) - whole == 2 * 4096 * 3072 * 2
