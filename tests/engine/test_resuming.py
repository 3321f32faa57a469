"""A picture that was cut off goes on from its checkpoint and ends in the very pixels of one that was not."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from darkroom.catalog import DEMO
from darkroom.engine.checkpoint import Start, identity_of, pack, unpack
from darkroom.engine.flux import WatchedPipeline, load_pipeline, make_picture
from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.planner import Plan
from darkroom.request import GenerationRequest, parse_request
from tests.engine.plans import streaming_plan

MODELS = Path(__file__).parents[2] / "models"
CPU = torch.device("cpu")


def request(**changes: object) -> GenerationRequest:
    values = {
        "prompt": "a red house by a lake at night",
        "seed": 7,
        "steps": 6,
        "guidance": 3.5,
        "width": 128,
        "height": 128,
        "model": "demo",
    }
    return parse_request(values | changes)


class Keeper(Watcher):
    """Keeps the checkpoint of one step and ends the picture there, if it is to. Counts the steps that were made."""

    def __init__(self, *, keep: int = 0, end: bool = False, finish_after: int = 0) -> None:
        self.content: bytes | None = None
        self.made: list[int] = []
        self._keep, self._end, self._finish_after = keep, end, finish_after

    def step(self, number: int, of: int, preview_jpeg: Callable[[], bytes]) -> None:  # noqa: ARG002
        self.made.append(number)

    def checkpoint(self, number: int, content: Callable[[], bytes]) -> None:
        if number == self._keep:
            self.content = content()
            if self._end:
                raise StopAsked

    def finish_asked(self) -> bool:
        return self._finish_after > 0 and len(self.made) >= self._finish_after


@pytest.fixture(scope="module")
def pipeline() -> WatchedPipeline:
    return load_pipeline(DEMO, MODELS, CPU, Watcher())


def cut_off(pipeline: WatchedPipeline, asked: GenerationRequest, after: int, plan: Plan | None = None) -> bytes:
    """The checkpoint of a picture that ended after so many steps."""
    keeper = Keeper(keep=after, end=True)
    with pytest.raises(StopAsked):
        make_picture(pipeline, asked, keeper, plan)
    assert keeper.content is not None
    return keeper.content


PLANS: dict[str, Plan | None] = {
    "as this machine likes": None,
    "streaming": streaming_plan(),
    "without a table": streaming_plan(table_rows=0),
    "with a table of few rows": streaming_plan(table_rows=4),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("after", [1, 5, 6])
def test_a_resumed_picture_is_the_unbroken_one_bit_for_bit(
    plan: Plan | None, after: int, pipeline: WatchedPipeline
) -> None:
    asked = request()
    unbroken = make_picture(pipeline, asked, Watcher(), plan)
    checkpoint = cut_off(pipeline, asked, after, plan)
    make_picture(pipeline, request(prompt="another picture between", steps=1), Watcher(), plan)
    keeper = Keeper()
    resumed = make_picture(pipeline, asked, keeper, plan, checkpoint)
    assert resumed.pixels == unbroken.pixels
    assert keeper.made == [*range(after + 1, 7)]
    assert resumed.facts["resumed_at_step"] == after
    assert "resumed_at_step" not in unbroken.facts


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_so_is_one_with_two_prompts_in_each_step(plan: Plan | None, pipeline: WatchedPipeline) -> None:
    asked = request(cfg_scale=3.0, negative_prompt="snow", steps=5)
    unbroken = make_picture(pipeline, asked, Watcher(), plan)
    resumed = make_picture(pipeline, asked, Watcher(), plan, cut_off(pipeline, asked, 3, plan))
    assert resumed.pixels == unbroken.pixels


def test_so_is_one_whose_steps_are_cached(pipeline: WatchedPipeline) -> None:
    asked = request(step_cache=0.5, steps=12)
    unbroken = make_picture(pipeline, asked, Watcher())
    assert int(unbroken.facts["steps_computed"]) < 12
    for after in (1, 4, 7):
        resumed = make_picture(pipeline, asked, Watcher(), None, cut_off(pipeline, asked, after))
        assert resumed.pixels == unbroken.pixels
        assert resumed.facts["steps_computed"] == unbroken.facts["steps_computed"]


def test_another_engine_goes_on_as_well(pipeline: WatchedPipeline) -> None:
    asked = request()
    checkpoint = cut_off(pipeline, asked, 4)
    other = load_pipeline(DEMO, MODELS, CPU, Watcher())
    assert (
        make_picture(other, asked, Watcher(), None, checkpoint).pixels
        == make_picture(pipeline, asked, Watcher()).pixels
    )


@pytest.mark.parametrize("change", [{"seed": 8}, {"prompt": "a blue house"}, {"steps": 7}, {"guidance": 3.0}])
def test_a_checkpoint_of_another_request_is_passed_over_and_the_log_says_so(
    change: dict[str, object], pipeline: WatchedPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = cut_off(pipeline, request(), 2)
    keeper = Keeper()
    with caplog.at_level(logging.WARNING):
        picture = make_picture(pipeline, request(**change), keeper, None, checkpoint)
    assert keeper.made[0] == 1
    assert "another request, model or version" in caplog.text
    assert "resumed_at_step" not in picture.facts


def test_a_changed_model_is_another_identity() -> None:
    asked = request()
    same = identity_of(asked, "demo", (("weights", 1, 2),), "cpu")
    assert same == identity_of(request(), "demo", (("weights", 1, 2),), "cpu")
    assert len({same, identity_of(asked, "demo", (("weights", 1, 3),), "cpu"), identity_of(asked, "demo2")}) == 3


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_half_a_checkpoint_is_passed_over(keep: int, caplog: pytest.LogCaptureFixture) -> None:
    content = pack(Start(number=2, latents=torch.ones(1, 16, 8, 8)), "same")
    assert unpack(content, identity="same", steps=4) is not None
    with caplog.at_level(logging.WARNING):
        assert unpack(content[:keep], identity="same", steps=4) is None
    assert "begins anew" in caplog.text


def test_changed_bits_and_values_that_are_not_finite_are_passed_over() -> None:
    content = bytearray(pack(Start(number=2, latents=torch.ones(1, 16, 8, 8)), "same"))
    content[-1] ^= 1
    assert unpack(bytes(content), identity="same", steps=4) is None
    lost = pack(Start(number=2, latents=torch.full((1, 16, 8, 8), float("nan"))), "same")
    assert unpack(lost, identity="same", steps=4) is None
    assert unpack(pack(Start(number=5, latents=torch.ones(1, 16, 8, 8)), "same"), identity="same", steps=4) is None


def test_finishing_now_keeps_what_the_last_step_pointed_to(pipeline: WatchedPipeline) -> None:
    keeper = Keeper(finish_after=3)
    picture = make_picture(pipeline, request(), keeper)
    assert keeper.made == [1, 2, 3]
    assert picture.facts["steps_done"] == 3
    assert picture.pixels != make_picture(pipeline, request(), Watcher()).pixels
    whole = Keeper(finish_after=6)
    assert "steps_done" not in make_picture(pipeline, request(), whole).facts


def test_a_checkpoint_holds_no_prompt() -> None:
    content = pack(Start(number=1, latents=torch.ones(1, 16, 8, 8)), identity_of(request(prompt="a secret")))
    assert b"secret" not in content
    words = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert set(words) == {"identity", "number", "figures", "digest"}
    assert replace(streaming_plan(), slots=3).slots == 3
