"""What lies in its final form in a file comes when it is needed: told as it comes, a text encoder's first, and stopped.

The processor stands for a card: what is on it there comes by the same path.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from darkroom.catalog import DEMO
from darkroom.engine.flux import MadePicture, WatchedPipeline, load_pipeline, make_picture
from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.jobs.messages import Stage
from darkroom.planner import Plan
from darkroom.request import parse_request
from tests.engine.plans import BLOCKS, streaming_plan

MODELS = Path(__file__).parents[2] / "models"
CPU = torch.device("cpu")
REQUEST = parse_request(
    {"prompt": "a barn", "seed": 3, "steps": 2, "guidance": 3.5, "width": 256, "height": 256, "model": "demo"}
)
PLANS: dict[str, dict[str, object]] = {
    "all blocks stream": {},
    "some stay": {"resident": (0, 3, 9)},
    "some are lent": {"resident": (0, 3, 9), "lent": (3,)},
    "all blocks stay": {"resident": tuple(range(BLOCKS)), "stays": ("vae", "text_encoder_1", "text_encoder_2")},
    "nothing is pinned": {"weights": "mapped"},
    "without a table": {"table_rows": 0},
}


class Listener(Watcher):
    """Writes down what is loaded between which stages; `look` is called each time."""

    def __init__(self, look: Callable[[str, float], None] = lambda *_: None) -> None:
        self.told: list[tuple[str, float]] = []
        self.look = look

    def loading(self, part: str, fraction: float) -> None:
        self.told.append((part, fraction))
        self.look(part, fraction)

    def entered(self, stage: Stage, fraction: float = 0.0) -> None:
        self.told.append((stage, fraction))

    def step(self, number: int, of: int, preview_jpeg: Callable[[], bytes]) -> None:  # noqa: ARG002
        self.told.append(("step", number))


def plan_for(pipeline: WatchedPipeline, name: str) -> Plan:
    return streaming_plan(number_bytes=pipeline.torch_dtype.itemsize, **PLANS[name])  # type: ignore[arg-type]


def paint(pipeline: WatchedPipeline, name: str, watcher: Watcher | None = None) -> MadePicture:
    return make_picture(pipeline, REQUEST, watcher or Watcher(), plan_for(pipeline, name))


@pytest.fixture(scope="module")
def expected() -> bytes:
    return paint(load_pipeline(DEMO, MODELS, CPU, Watcher()), "all blocks stream").pixels


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's blocks come faster than anyone is told of."""
    monkeypatch.setattr("darkroom.engine.staging.PATIENCE", 0.0)


@pytest.mark.parametrize("name", PLANS)
def test_bytes_are_told_as_they_come_and_none_twice(name: str, expected: bytes) -> None:
    listener = Listener()
    pipeline = load_pipeline(DEMO, MODELS, CPU, listener)
    assert 0 < pipeline.residence.unread <= pipeline.residence.bytes
    before = max((fraction for part, fraction in listener.told if part == "vae"), default=0)
    assert before < 0.5
    assert paint(pipeline, name, listener).pixels == expected
    fractions = [fraction for part, fraction in listener.told if part in ("text_encoder_2", "transformer", "vae")]
    assert fractions == sorted(fractions)
    assert max(fractions) > before
    assert max(fractions) <= 1
    listener.told.clear()
    pipeline.prompts.clear()
    assert paint(pipeline, name, listener).pixels == expected
    assert {part for part, _ in listener.told} == {"encoding", "denoising", "decoding", "step"}


def test_a_prompt_is_read_before_all_of_the_transformer_is_there(expected: bytes) -> None:
    listener = Listener()
    pipeline = load_pipeline(DEMO, MODELS, CPU, Watcher())
    assert paint(pipeline, "all blocks stream", listener).pixels == expected
    kinds = [part for part, _ in listener.told]
    last_word = len(kinds) - 1 - kinds[::-1].index("encoding")
    assert "transformer" in kinds[last_word:]
    assert "text_encoder_2" not in kinds[last_word:]


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("part", ["text_encoder_2", "transformer"])
def test_a_stop_while_weights_come_leaves_them_to_come_for_the_next_picture(
    name: str, part: str, expected: bytes
) -> None:
    pipeline = load_pipeline(DEMO, MODELS, CPU, Watcher())

    def stop(coming: str, fraction: float) -> None:  # noqa: ARG001
        if coming == part:
            raise StopAsked

    try:
        paint(pipeline, name, Listener(stop))
    except StopAsked:
        assert pipeline.residence.unread > 0
    else:
        # Through staging, everything may have come before anyone waited for it.
        assert name in ("nothing is pinned", "all blocks stay")
    assert paint(pipeline, name).pixels == expected


def test_where_the_processor_computes_nothing_is_read_before_it_is_used() -> None:
    pipeline = load_pipeline(DEMO, MODELS, CPU, Watcher())
    unread = pipeline.residence.unread
    listener = Listener()
    make_picture(pipeline, REQUEST, listener)
    assert pipeline.residence.unread == unread
    assert not any(part in ("transformer", "text_encoder_2") for part, _ in listener.told)
