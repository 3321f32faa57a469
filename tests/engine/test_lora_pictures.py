"""LoRAs that a request names: found, attached for its picture, and gone without a trace for the next."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from darkroom.catalog import DEMO
from darkroom.engine.float8 import Float8Linear
from darkroom.engine.flux import WatchedPipeline, load_pipeline, make_picture
from darkroom.engine.lora import Loras, linear_layers, low_rank_bytes
from darkroom.engine.lora_shelf import LoraShelf
from darkroom.engine.process import serve
from darkroom.engine.watcher import Watcher
from darkroom.errors import LoraUnusable
from darkroom.jobs.messages import Done, Failed, Run
from darkroom.jobs.process_engine import ProcessEngine
from darkroom.planner import Plan
from darkroom.request import GenerationRequest, LoraUse, parse_request
from darkroom.wishes import Wishes
from tests.engine.plans import streaming_plan
from tests.engine.test_process import events_until, options

MODELS = Path(__file__).parents[2] / "models"
CPU = torch.device("cpu")
INK: Mapping[str, object] = {"name": "ink"}


def order(*loras: Mapping[str, object], **changes: Any) -> GenerationRequest:
    values = {"prompt": "a red house by a lake, ink drawing", "seed": 3, "steps": 3, "guidance": 3.5, "model": "demo"}
    return parse_request(values | {"width": 128, "height": 128, "loras": loras} | changes)


@pytest.fixture(scope="module")
def pipeline() -> WatchedPipeline:
    return load_pipeline(DEMO, MODELS, CPU, Watcher())


def pixels(pipeline: WatchedPipeline, request: GenerationRequest, plan: Plan | None = None) -> bytes:
    return make_picture(pipeline, request, Watcher(), plan).pixels


def plans(pipeline: WatchedPipeline) -> dict[str, Plan]:
    """In place; half and all of it streaming; without a table."""
    kept = {"number_bytes": pipeline.torch_dtype.itemsize}
    return {
        "in place": pipeline.plan(order(INK), Wishes()),
        "some stay": streaming_plan(resident=(1, 4), **kept),
        "all stream": streaming_plan(**kept),
        "no table": replace(streaming_plan(resident=(1, 4), **kept), table_rows=0),
        "mapped": streaming_plan(resident=(0,), weights="mapped", **kept),
    }


def test_a_lora_is_attached_for_its_picture_and_leaves_the_next_as_it_was(pipeline: WatchedPipeline) -> None:
    before = pixels(pipeline, order())
    strong = pixels(pipeline, order(INK))
    assert strong != before
    assert pixels(pipeline, order(INK)) == strong
    assert pixels(pipeline, order({"name": "ink", "weight": 0.4})) not in (strong, before)
    assert pixels(pipeline, order({"name": "ink", "weight": 0.0})) == before
    assert pixels(pipeline, order()) == before
    assert pipeline.loras.bytes == 0
    layers = linear_layers(pipeline.dit).values()
    assert not any(isinstance(layer, Float8Linear) and layer.low_rank for layer in layers)


def test_one_of_another_programs_folder_makes_the_same_picture(pipeline: WatchedPipeline, tmp_path: Path) -> None:
    shutil.copy(MODELS / "demo" / "loras" / "ink.safetensors", tmp_path / "brush.safetensors")
    entry = replace(DEMO, more_loras=(PurePosixPath(tmp_path.as_posix()),))
    with_more = load_pipeline(entry, MODELS, CPU, Watcher())
    assert pixels(with_more, order({"name": "brush"})) == pixels(pipeline, order(INK))


@pytest.mark.parametrize("cfg_scale", [1.0, 2.0], ids=["one pass a step", "two passes"])
@pytest.mark.parametrize("name", ["some stay", "all stream", "no table", "mapped"])
def test_however_blocks_come_the_picture_is_the_same_with_a_lora_and_after_it(
    name: str, cfg_scale: float, pipeline: WatchedPipeline
) -> None:
    changes = {"cfg_scale": cfg_scale, "negative_prompt": "snow"}
    plain, with_ink = (pixels(pipeline, order(*loras, **changes)) for loras in ((), (INK,)))
    plan = plans(pipeline)[name]
    for loras, expected in (((INK,), with_ink), ((), plain), ((INK,), with_ink), ((INK,), with_ink), ((), plain)):
        assert pixels(pipeline, order(*loras, **changes), plan) == expected


def test_the_same_set_again_reads_attaches_and_modulates_nothing(
    pipeline: WatchedPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plans(pipeline)["some stay"]
    first = pixels(pipeline, order(INK), plan)
    filled: list[object] = []
    monkeypatch.setattr(Loras, "_put", lambda *_: pytest.fail("attached anew"))
    monkeypatch.setattr(LoraShelf, "_read", lambda *_: pytest.fail("read anew"))
    monkeypatch.setattr(pipeline.residence.table, "fill", filled.append)
    monkeypatch.setattr(pipeline.residence, "drop", lambda: pytest.fail("dropped"))
    assert pixels(pipeline, order(INK), plan) == first
    assert filled == []


def test_a_plan_counts_what_the_loras_take(pipeline: WatchedPipeline) -> None:
    without, with_ink = (pipeline.plan(order(*loras), Wishes()) for loras in ((), (INK,)))
    pixels(pipeline, order(INK))
    assert with_ink.promised_ram - without.promised_ram == pipeline.loras.bytes > 0
    wanted = LoraShelf([MODELS / "demo" / "loras"], pipeline.dit).take([LoraUse(name="ink")])
    assert low_rank_bytes(wanted, pipeline.torch_dtype) == pipeline.loras.bytes


def test_a_lora_lies_in_the_models_folder_or_in_that_of_all_models_and_may_lie_deeper(
    pipeline: WatchedPipeline, tmp_path: Path
) -> None:
    own, every = tmp_path / "demo" / "loras", tmp_path / "loras"
    ink = MODELS / "demo" / "loras" / "ink.safetensors"
    for path in (own / "a.safetensors", every / "a.safetensors", every / "drawings" / "b.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ink, path)
    shelf = LoraShelf((own, every), pipeline.dit)
    uses = (LoraUse(name="drawings/b", weight=0.5), LoraUse(name="a"))
    first = shelf.take(uses)
    assert [(lora.name, weight) for lora, weight in first] == [("b", 0.5), ("a", 1.0)]
    (own / "a.safetensors").unlink()
    shelf.take(())
    again = shelf.take(uses)
    assert again[0][0] is first[0][0]
    assert again[1][0] is not first[1][0]


def test_a_file_that_was_exchanged_is_read_anew(pipeline: WatchedPipeline, tmp_path: Path) -> None:
    shutil.copy(MODELS / "demo" / "loras" / "ink.safetensors", tmp_path)
    shelf = LoraShelf([tmp_path], pipeline.dit)
    ((first, _),) = shelf.take([LoraUse(name="ink")])
    (tmp_path / "ink.safetensors").touch()
    ((second, _),) = shelf.take([LoraUse(name="ink")])
    assert first is not second


def test_what_cannot_be_used_is_said_and_the_next_picture_is_made(pipeline: WatchedPipeline) -> None:
    before = pixels(pipeline, order())
    for again in range(2):
        with pytest.raises(LoraUnusable, match=r"no LoRA gone\.safetensors") as raised:
            pixels(pipeline, order(INK, {"name": "gone"}))
        assert (raised.value.reason, again) == ("missing", again)
        assert pixels(pipeline, order()) == before


def test_an_engine_process_makes_pictures_with_loras_and_fails_those_it_cannot_in_words(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "demo", tmp_path / "demo")
    strange = {"lora_unet_down_blocks_1_attentions_0_proj_in.lora_down.weight": torch.zeros(4, 4)}
    strange |= {name.replace("down.w", "up.w"): tensor.clone() for name, tensor in strange.items()}
    save_file(strange, tmp_path / "demo" / "loras" / "sdxl.safetensors")
    (tmp_path / "demo" / "loras" / "cut.safetensors").write_bytes(b"cut")
    engine = ProcessEngine(serve, options(tmp_path, threads=2))
    try:
        for job, (name, code) in enumerate((("sdxl", "other_model"), ("cut", "damaged"), ("none", "missing"))):
            engine.send(Run(job=job, request=order({"name": name}), model=DEMO))
            failed = events_until(engine, Failed, Done)[-1]
            assert isinstance(failed, Failed)
            assert failed.kind == "lora_unusable"
            assert json.loads(failed.detail) == {"code": f"lora_{code}", "file": f"{name}.safetensors"}
        engine.send(Run(job=5, request=order(INK), model=DEMO))
        assert isinstance(events_until(engine, Failed, Done)[-1], Done)
    finally:
        engine.close()
