"""From a request to pixels, with the shipped demo model on the CPU."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from darkroom.catalog import DEMO
from darkroom.engine.flux import WatchedPipeline, load_pipeline, make_picture
from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.errors import ModelUnusable
from darkroom.jobs.messages import Stage
from darkroom.request import GenerationRequest, parse_request

MODELS = Path(__file__).parents[2] / "models"
CPU = torch.device("cpu")


def request(**changes: object) -> GenerationRequest:
    values = {
        "prompt": "a red house by a lake at night",
        "seed": 7,
        "steps": 3,
        "guidance": 3.5,
        "width": 256,
        "height": 256,
        "model": "demo",
    }
    return parse_request(values | changes)


class Notes(Watcher):
    """Writes down what it is told; raises StopAsked when told `stop_at`."""

    def __init__(self, stop_at: str = "") -> None:
        self.seen: list[str] = []
        self.previews: list[bytes] = []
        self.stop_at = stop_at

    def loading(self, part: str, fraction: float) -> None:
        assert 0 <= fraction <= 1
        self.note(part)

    def entered(self, stage: Stage, fraction: float = 0.0) -> None:  # noqa: ARG002
        self.note(stage)

    def step(self, number: int, of: int, preview_jpeg: Callable[[], bytes]) -> None:
        self.previews.append(preview_jpeg())
        self.note(f"step {number} of {of}")

    def note(self, what: str) -> None:
        if what not in self.seen:
            self.seen.append(what)
        if what == self.stop_at:
            raise StopAsked


@pytest.fixture(scope="module")
def pipeline() -> WatchedPipeline:
    return load_pipeline(DEMO, MODELS, CPU, Watcher())


def test_loading_tells_each_part_in_order() -> None:
    notes = Notes()
    load_pipeline(DEMO, MODELS, CPU, notes)
    assert notes.seen == ["text_encoder_1", "text_encoder_2", "transformer", "vae"]


def test_a_picture_has_the_asked_size_and_tells_every_stage_and_step(pipeline: WatchedPipeline) -> None:
    notes = Notes()
    pipeline.prompts.clear()
    picture = make_picture(pipeline, request(width=288, height=256), notes)
    assert (picture.width, picture.height, len(picture.pixels)) == (288, 256, 288 * 256 * 3)
    assert notes.seen == ["encoding", "denoising", "step 1 of 3", "step 2 of 3", "step 3 of 3", "decoding"]
    assert picture.facts["device"] == "cpu"


def test_the_preview_is_a_small_picture_of_the_same_shape(pipeline: WatchedPipeline, tmp_path: Path) -> None:
    notes = Notes()
    make_picture(pipeline, request(width=512, height=256, steps=2), notes)
    (tmp_path / "preview.jpg").write_bytes(notes.previews[-1])
    with Image.open(tmp_path / "preview.jpg") as preview:
        assert (preview.format, preview.size) == ("JPEG", (256, 128))


def test_the_last_preview_looks_like_the_result(pipeline: WatchedPipeline, tmp_path: Path) -> None:
    notes = Notes()
    picture = make_picture(pipeline, request(steps=4), notes)
    (tmp_path / "preview.jpg").write_bytes(notes.previews[-1])
    result = Image.frombytes("RGB", (256, 256), picture.pixels).resize((16, 16), Image.Resampling.BOX)
    with Image.open(tmp_path / "preview.jpg") as preview:
        seen = preview.resize((16, 16), Image.Resampling.BOX)
    differences = [abs(a - b) for a, b in zip(seen.tobytes(), result.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 30


def test_the_same_request_gives_the_same_pixels_and_another_seed_does_not(pipeline: WatchedPipeline) -> None:
    first = make_picture(pipeline, request(), Watcher())
    assert make_picture(pipeline, request(), Watcher()).pixels == first.pixels
    assert make_picture(pipeline, request(seed=8), Watcher()).pixels != first.pixels


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a blue cat in the desert by day"},
        {"guidance": 1.0},
        {"steps": 5},
        {"cfg_scale": 2.0, "negative_prompt": "snow"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_parameter_matters(pipeline: WatchedPipeline, changes: dict[str, object]) -> None:
    plain = make_picture(pipeline, request(), Watcher())
    assert make_picture(pipeline, request(**changes), Watcher()).pixels != plain.pixels


def test_the_negative_prompt_counts_only_with_true_guidance(pipeline: WatchedPipeline) -> None:
    plain = make_picture(pipeline, request(), Watcher())
    assert make_picture(pipeline, request(negative_prompt="snow"), Watcher()).pixels == plain.pixels
    guided = make_picture(pipeline, request(cfg_scale=2.0), Watcher())
    assert make_picture(pipeline, request(cfg_scale=2.0, negative_prompt="snow"), Watcher()).pixels != guided.pixels


@pytest.mark.parametrize("prompt", ["", "zxqv blorptastic", "house " * 600, "龘靐齉 🦄", "\n\t"], ids=repr)
def test_any_text_gives_a_picture(pipeline: WatchedPipeline, prompt: str) -> None:
    assert make_picture(pipeline, request(prompt=prompt, steps=1), Watcher()).pixels


@pytest.mark.parametrize("moment", ["encoding", "denoising", "step 2 of 3", "decoding"])
def test_a_stop_at_any_moment_leaves_the_pipeline_able_to_make_the_next_picture(
    pipeline: WatchedPipeline, moment: str
) -> None:
    whole = make_picture(pipeline, request(), Watcher())
    pipeline.prompts.clear()
    with pytest.raises(StopAsked):
        make_picture(pipeline, request(), Notes(stop_at=moment))
    assert make_picture(pipeline, request(), Watcher()).pixels == whole.pixels


def test_a_stop_while_loading_ends_the_loading() -> None:
    with pytest.raises(StopAsked):
        load_pipeline(DEMO, MODELS, CPU, Notes(stop_at="transformer"))


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"demo/text_encoder\.safetensors.*missing"):
        load_pipeline(DEMO, tmp_path, CPU, Watcher())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
def test_after_unloading_nothing_is_left_on_the_card() -> None:
    before = torch.cuda.memory_allocated()
    pipeline = load_pipeline(DEMO, MODELS, torch.device("cuda"), Watcher())
    with pytest.raises(StopAsked):
        make_picture(pipeline, request(), Notes(stop_at="step 1 of 3"))
    first = make_picture(pipeline, request(), Watcher())
    assert make_picture(pipeline, request(), Watcher()).pixels == first.pixels
    pipeline.residence.drop()
    assert all(tensor.device.type == "cpu" for tensor in (*pipeline.parameters(), *pipeline.buffers()))
    del pipeline
    gc.collect()
    assert torch.cuda.memory_allocated() <= before + 32 * 2**20
