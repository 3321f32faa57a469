"""A picture by any plan: the same pixels, no more on the card than planned, and nothing left that does not stay."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from darkroom.catalog import DEMO
from darkroom.engine.flux import MadePicture, WatchedPipeline, load_pipeline, make_picture
from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.jobs.messages import Stage
from darkroom.planner import Plan
from darkroom.request import GenerationRequest, parse_request
from tests.engine.plans import BLOCKS, streaming_plan

MODELS = Path(__file__).parents[2] / "models"
DEVICES = [
    torch.device("cpu"),
    pytest.param(
        torch.device("cuda"),
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")],
    ),
]
EVERY_BLOCK = tuple(range(BLOCKS))


@pytest.fixture(scope="module", params=DEVICES, ids=["cpu", "cuda"])
def pipeline(request: pytest.FixtureRequest) -> WatchedPipeline:
    return load_pipeline(DEMO, MODELS, request.param, Watcher())


def picture_request(**changes: object) -> GenerationRequest:
    values = {"prompt": "a red house", "seed": 3, "steps": 2, "guidance": 3.5, "width": 128, "height": 128}
    return parse_request({**values, "model": "demo", **changes})


def plan_for(pipeline: WatchedPipeline, **changes: object) -> Plan:
    return streaming_plan(number_bytes=pipeline.torch_dtype.itemsize, **changes)  # type: ignore[arg-type]


@pytest.fixture
def paint(pipeline: WatchedPipeline) -> Callable[..., MadePicture]:
    def make(plan: Plan, watcher: Watcher | None = None, **changes: object) -> MadePicture:
        pipeline.prompts.clear()
        return make_picture(pipeline, picture_request(**changes), watcher or Watcher(), plan)

    return make


@pytest.mark.parametrize(
    "changes",
    [
        {"resident": EVERY_BLOCK},
        {"resident": EVERY_BLOCK[::2]},
        {"resident": (), "slots": 3},
        {"resident": (1, 7)},
        {"resident": EVERY_BLOCK, "lent": EVERY_BLOCK[::3]},
        {"resident": EVERY_BLOCK, "stays": ("vae", "text_encoder_1", "text_encoder_2"), "slots": 2},
        {"weights": "mapped"},
        {"table_rows": 3, "resident": (1, 7)},
    ],
    ids=[
        "all stay",
        "half stay",
        "none stays",
        "two stay",
        "some are lent",
        "everything stays",
        "not pinned",
        "few rows",
    ],
)
@pytest.mark.parametrize("cfg_scale", [1.0, 2.0])
def test_streaming_changes_no_pixel(
    pipeline: WatchedPipeline, paint: Callable[..., MadePicture], changes: dict[str, object], cfg_scale: float
) -> None:
    whole = plan_for(pipeline, resident=EVERY_BLOCK, stays=("vae", "text_encoder_1", "text_encoder_2"), slots=2)
    expected = paint(whole, cfg_scale=cfg_scale, negative_prompt="snow").pixels
    assert paint(plan_for(pipeline, **changes), cfg_scale=cfg_scale, negative_prompt="snow").pixels == expected


def test_on_the_processor_a_plan_with_a_card_gives_the_same_pixels_as_none() -> None:
    cpu = load_pipeline(DEMO, MODELS, torch.device("cpu"), Watcher())
    in_place = make_picture(cpu, picture_request(), Watcher())
    streamed = make_picture(cpu, picture_request(), Watcher(), plan_for(cpu, slots=3))
    assert in_place.pixels == streamed.pixels
    assert (in_place.facts["profile"], streamed.facts["profile"]) == ("cpu", "24")


class Scale(Watcher):
    """Weighs what is on the card at every step."""

    def __init__(self, pipeline: WatchedPipeline) -> None:
        self.pipeline = pipeline
        self.denoising: list[int] = []

    def step(self, *_of_what: object) -> None:
        self.denoising.append(self.pipeline.residence.card_bytes)


def test_no_more_weights_are_on_the_card_than_the_plan_says(
    pipeline: WatchedPipeline, paint: Callable[..., MadePicture]
) -> None:
    plan = plan_for(pipeline, resident=(0, 5), slots=2)
    scale = Scale(pipeline)
    paint(plan, scale)
    units = pipeline.residence.unit_bytes
    rest = pipeline.residence.part_bytes("dit")
    # The modulation layers are among nothing that stays: only what they said.
    row = sum(part.width for part in pipeline.residence.table.parts) * pipeline.torch_dtype.itemsize
    stays = units[0] + units[5] + rest + (2 + 1) * row
    assert scale.denoising == [stays + 2 * plan.slot_bytes] * 2
    assert pipeline.residence.card_bytes == stays
    pipeline.residence.drop()
    assert pipeline.residence.card_bytes == 0


def test_what_is_lent_leaves_the_card_for_decoding_and_comes_again(
    pipeline: WatchedPipeline, paint: Callable[..., MadePicture]
) -> None:
    plan = plan_for(pipeline, resident=(0, 5, 6), lent=(5,), slots=2)
    lent = pipeline.residence.unit_bytes[5]
    for _ in range(2):
        scale = Scale(pipeline)
        paint(plan, scale)
        assert scale.denoising[-1] - pipeline.residence.card_bytes == lent + 2 * plan.slot_bytes
    pipeline.residence.drop()


@pytest.mark.parametrize("moment", ["encoding", "denoising", "step", "decoding"])
def test_a_stop_at_any_moment_leaves_what_stays_and_nothing_else(
    pipeline: WatchedPipeline, paint: Callable[..., MadePicture], moment: str
) -> None:
    class Stopping(Watcher):
        def entered(self, stage: Stage, fraction: float = 0.0) -> None:  # noqa: ARG002
            if stage == moment:
                raise StopAsked

        def step(self, *_of_what: object) -> None:
            if moment == "step":
                raise StopAsked

    plan = plan_for(pipeline, resident=(2,), slots=2)
    whole = paint(plan)
    resting = pipeline.residence.card_bytes
    with pytest.raises(StopAsked):
        paint(plan, Stopping())
    assert pipeline.residence.card_bytes == resting
    assert paint(plan).pixels == whole.pixels


def test_pictures_by_changing_plans_leave_no_growth(
    pipeline: WatchedPipeline, paint: Callable[..., MadePicture]
) -> None:
    plans = [plan_for(pipeline, resident=EVERY_BLOCK[: 3 * number], slots=2) for number in range(4)]
    first = paint(plans[0]).pixels
    seen = []
    for _ in range(2):
        for plan in plans:
            assert paint(plan).pixels == first
            seen.append(pipeline.residence.card_bytes)
    assert seen[:4] == seen[4:]


def test_a_prompt_that_was_read_before_is_not_read_again(pipeline: WatchedPipeline) -> None:
    pipeline.prompts.clear()
    plan = plan_for(pipeline, resident=EVERY_BLOCK, slots=2)

    class Stages(Watcher):
        def __init__(self) -> None:
            self.seen: list[Stage] = []

        def entered(self, stage: Stage, fraction: float = 0.0) -> None:  # noqa: ARG002
            self.seen.append(stage)

    first, second, other = Stages(), Stages(), Stages()
    pixels = make_picture(pipeline, picture_request(), first, plan).pixels
    assert make_picture(pipeline, picture_request(), second, plan).pixels == pixels
    make_picture(pipeline, picture_request(prompt="a blue house"), other, plan)
    assert "encoding" in first.seen
    assert "encoding" not in second.seen
    assert "encoding" in other.seen


PARTS_THAT_FAIL = ["text_encoder_1", "text_encoder_2.encoder.block.1", "dit.blocks.1", "dit.single_blocks.7", "vae"]


@pytest.mark.parametrize("part", PARTS_THAT_FAIL)
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no room"), RuntimeError("a fault")], ids=["memory", "fault"])
def test_a_fault_in_any_part_leaves_the_next_picture_as_it_was(
    pipeline: WatchedPipeline, paint: Callable[..., MadePicture], part: str, error: Exception
) -> None:
    plan = plan_for(pipeline, resident=(1, 9), slots=2)
    whole = paint(plan)
    resting = pipeline.residence.card_bytes

    def fail(*_: object) -> None:
        raise error

    name = "vae_decoder.decoder.conv_out" if part == "vae" else part
    failing = pipeline.get_submodule(name).register_forward_hook(fail)
    with pytest.raises(type(error), match=str(error)):
        paint(plan)
    failing.remove()
    assert pipeline.residence.card_bytes == resting
    assert paint(plan).pixels == whole.pixels


def test_room_that_is_missing_on_the_card_is_asked_for_again_with_a_smaller_plan(
    pipeline: WatchedPipeline, paint: Callable[..., MadePicture], monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = plan_for(pipeline, resident=(), slots=2), plan_for(pipeline, resident=EVERY_BLOCK, slots=2)
    whole = paint(small)
    taken = 0

    def empty(size: int, **options: object) -> torch.Tensor:
        nonlocal taken
        taken += size
        if taken > large.slot_bytes * 4:
            raise torch.OutOfMemoryError("no room")
        return torch.zeros(size, **options)  # type: ignore[call-overload, no-any-return]

    with monkeypatch.context() as patched:
        patched.setattr("darkroom.engine.staging.torch.empty", empty)
        with pytest.raises(torch.OutOfMemoryError):
            paint(large)
    assert paint(small).pixels == whole.pixels
