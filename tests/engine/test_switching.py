"""From one model to another and back: what both have is kept, the right one makes each picture, and nothing grows."""

import gc
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from darkroom.catalog import DEMO, ModelEntry
from darkroom.engine.flux import load_pipeline, make_picture
from darkroom.engine.model import LoadedModel
from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.jobs.messages import EngineOptions
from darkroom.request import GenerationRequest, parse_request
from tests.engine.plans import streaming_plan
from tests.engine.two_checkpoints import APART, OTHER, change, make_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("models"))


def loaded_model(folder: Path) -> LoadedModel:
    return LoadedModel(
        EngineOptions(models=folder, device="cpu", threads=0, expandable_segments=False, log_level="info")
    )


def request_for(model: ModelEntry) -> GenerationRequest:
    values = {"prompt": "a red house", "seed": 3, "steps": 1, "guidance": 3.5, "width": 128, "height": 128}
    return parse_request({**values, "model": model.name})


def pixels(loaded: LoadedModel, model: ModelEntry, watcher: Watcher | None = None) -> bytes:
    return loaded.make_picture(model, request_for(model), watcher or Watcher()).pixels


@pytest.fixture(scope="module")
def alone(folder: Path) -> Callable[[ModelEntry], bytes]:
    """What a model draws that was loaded into a process of its own, as it were."""
    drawn = {model.name: pixels(loaded_model(folder), model) for model in (DEMO, OTHER)}
    assert drawn["demo"] != drawn["other"]
    return lambda model: drawn["demo" if model is DEMO else "other"]


def test_the_kernel_of_attention_is_chosen_once_for_all_models(folder: Path) -> None:
    loaded = loaded_model(folder)
    chosen = []
    for model in (DEMO, OTHER, DEMO):
        pixels(loaded, model)
        assert loaded._pipeline is not None
        chosen.append(loaded._pipeline.attention)
    assert chosen[0] is chosen[1] is chosen[2]


class Reading(Watcher):
    """Which parts come from files; `stop_at` ends it there."""

    def __init__(self, stop_at: str = "") -> None:
        self.parts: list[str] = []
        self.stop_at = stop_at

    def loading(self, part: str, fraction: float) -> None:  # noqa: ARG002
        self.parts.append(part)
        if part == self.stop_at:
            raise StopAsked


def test_only_what_the_other_model_has_of_its_own_is_read(folder: Path, alone: Callable[[ModelEntry], bytes]) -> None:
    loaded, reading = loaded_model(folder), Reading()
    assert pixels(loaded, DEMO) == alone(DEMO)
    assert pixels(loaded, OTHER, reading) == alone(OTHER)
    assert set(reading.parts) == {"transformer"}
    assert pixels(loaded, APART, reading := Reading()) == alone(APART)
    assert set(reading.parts) == {"text_encoder_1", "text_encoder_2", "transformer", "vae"}
    assert pixels(loaded, DEMO) == alone(DEMO)


def test_memory_that_weights_have_settled_in_is_theirs_in_the_next_model_too(folder: Path) -> None:
    first = load_pipeline(DEMO, folder, CPU, Watcher())
    plan = streaming_plan(number_bytes=first.torch_dtype.itemsize, resident=(1,))
    expected = make_picture(first, request_for(DEMO), Watcher(), plan).pixels
    block = first.text_encoder_2.encoder.block[0]
    places = [tensor.data_ptr() for tensor in (*block.parameters(), *block.buffers())]
    hooks, old = len(block._forward_hooks), weakref.ref(first.dit)

    kept = first.give_up()
    del first
    gc.collect()
    assert old() is None

    second = load_pipeline(OTHER, folder, CPU, Watcher(), kept=kept)
    assert second.text_encoder_2.encoder.block[0] is block
    other = make_picture(second, request_for(OTHER), Watcher(), plan).pixels
    assert [tensor.data_ptr() for tensor in (*block.parameters(), *block.buffers())] == places
    assert len(block._forward_hooks) == hooks
    assert other != expected

    third = load_pipeline(DEMO, folder, CPU, Watcher(), kept=second.give_up())
    assert make_picture(third, request_for(DEMO), Watcher(), plan).pixels == expected


def test_a_file_that_is_another_under_the_same_name_is_read_anew(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    loaded = loaded_model(folder)
    before = pixels(loaded, OTHER)
    change(folder, OTHER)
    after = pixels(loaded, OTHER, reading := Reading())
    assert after != before
    assert after == pixels(loaded_model(folder), OTHER)
    assert set(reading.parts) == {"transformer"}
    assert pixels(loaded, OTHER, reading := Reading()) == after
    assert reading.parts == []


def test_a_switch_that_was_stopped_leaves_what_both_have_for_the_next_try(
    folder: Path, alone: Callable[[ModelEntry], bytes]
) -> None:
    loaded = loaded_model(folder)
    pixels(loaded, DEMO)
    with pytest.raises(StopAsked):
        pixels(loaded, OTHER, Reading(stop_at="transformer"))
    assert pixels(loaded, OTHER, reading := Reading()) == alone(OTHER)
    assert set(reading.parts) == {"transformer"}
    with pytest.raises(StopAsked):
        pixels(loaded, DEMO, Reading(stop_at="transformer"))
    assert pixels(loaded, OTHER) == alone(OTHER)


def test_of_a_model_that_is_given_back_nothing_is_kept(folder: Path, alone: Callable[[ModelEntry], bytes]) -> None:
    loaded = loaded_model(folder)
    pixels(loaded, DEMO)
    loaded.unload()
    assert pixels(loaded, OTHER, reading := Reading()) == alone(OTHER)
    assert set(reading.parts) == {"text_encoder_1", "text_encoder_2", "transformer", "vae"}


def test_an_entry_with_other_defaults_and_the_same_files_makes_the_same_pictures(
    folder: Path, alone: Callable[[ModelEntry], bytes]
) -> None:
    loaded = loaded_model(folder)
    pixels(loaded, DEMO)
    assert pixels(loaded, replace(DEMO, default_steps=4)) == alone(DEMO)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say what a process holds")
@pytest.mark.parametrize("other", [OTHER, APART], ids=["shared parts", "nothing shared"])
def test_fifty_switches_leave_no_growth(folder: Path, alone: Callable[[ModelEntry], bytes], other: ModelEntry) -> None:
    loaded = loaded_model(folder)
    held, objects = [], []
    # What other tests have left is not looked through a hundred times.
    gc.collect()
    gc.freeze()
    for number in range(50):
        model = (DEMO, other)[number % 2]
        assert pixels(loaded, model) == alone(model)
        loaded.tidy()
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        held.append(sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) >> 10)
        gc.collect()
        objects.append(len(gc.get_objects()) + gc.get_freeze_count())
    assert max(held[-10:]) <= max(held[:10]) + 8
    assert objects[-1] <= objects[9]
