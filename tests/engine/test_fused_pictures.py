"""Pictures of fused blocks: resumed, with LoRAs, and on a card, where what is recorded must change nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from darkroom.catalog import DEMO
from darkroom.engine import compilation
from darkroom.engine.compilation import Compilation, CompileWishes
from darkroom.engine.float8 import use_float8_matmul
from darkroom.engine.flux import load_pipeline, make_picture
from darkroom.engine.lora import read_lora
from darkroom.engine.replays import NoReplays
from darkroom.engine.tracing import Size
from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.wishes import Wishes
from tests.engine.plans import largest_unit
from tests.engine.test_compilation import (
    ALIKE,
    ALIKE_IN_FLOAT8,
    ALIKE_WITH_LORA,
    CPU,
    MODELS,
    half_streamed,
    nothing_missing,
    order,
    picture,
    uncompiled,
)
from tests.engine.test_float8 import likeness


class Keeper(Watcher):
    """Keeps the checkpoint of the third step, and ends the picture there."""

    content = b""

    def checkpoint(self, number: int, content: Callable[[], bytes]) -> None:
        if number == 3:
            self.content = content()
            raise StopAsked


@pytest.mark.parametrize("cfg_scale", [1.0, 2.0])
def test_a_resumed_fused_picture_has_the_pixels_of_an_unbroken_one(cfg_scale: float, tmp_path: Path) -> None:
    pipeline = load_pipeline(DEMO, MODELS, CPU, Watcher())
    wishes = CompileWishes(mode="on", folder=tmp_path, apart=False)
    pipeline.compilation = Compilation(pipeline.dit, CPU, pipeline.torch_dtype, wishes=wishes, missing=nothing_missing)
    plan = half_streamed(pipeline, table_rows=16, float8_matmul=True)
    wanted, keeper = order(cfg_scale=cfg_scale, steps=6), Keeper()
    unbroken = make_picture(pipeline, wanted, Watcher(), plan)
    assert unbroken.facts["compiled"] == "yes"
    with pytest.raises(StopAsked):
        make_picture(pipeline, wanted, keeper, plan)
    resumed = make_picture(pipeline, wanted, Watcher(), plan, keeper.content)
    assert resumed.facts["resumed_at_step"] == 3
    assert resumed.pixels == unbroken.pixels


def test_kernels_for_loras_are_made_once_for_all_of_them_and_room_is_asked_for_until_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load_pipeline(DEMO, MODELS, CPU, Watcher())
    wishes = CompileWishes(mode="on", folder=tmp_path, apart=False)
    made = Compilation(pipeline.dit, CPU, pipeline.torch_dtype, wishes=wishes, missing=nothing_missing)
    # As on a card that multiplies float8.
    monkeypatch.setattr(compilation, "_multiplies_float8", lambda _device: True)
    use_float8_matmul(pipeline.dit, enabled=True)
    size, other = Size(text=DEMO.prompt_tokens, image=256), Size(text=DEMO.prompt_tokens, image=576)
    ink = read_lora(MODELS / "demo" / "loras" / "ink.safetensors", pipeline.dit)

    def rooms(*, low_ranks: bool) -> list[bool]:
        return [made.room(each, rows=False, low_ranks=low_ranks) > 0 for each in (size, other)]

    for wanted, asked_before, files in (([], True, 1), ([(ink, 1.0)], True, 4), ([(ink, 0.2)] * 5, False, 4)):
        pipeline.loras.use(wanted, CPU)
        assert rooms(low_ranks=bool(wanted)) == [asked_before] * 2
        made.begin(size, rows=False, promised=0, waiting=lambda: None)
        made.leave()
        assert made.why_not is None
        assert rooms(low_ranks=bool(wanted)) == [False, False]
        assert len(list(tmp_path.glob("*.kernels"))) == files


# --- on a card


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
def test_on_a_card_a_compiled_picture_is_as_an_uncompiled_one_and_the_same_however_it_is_set_to_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    card = torch.device("cuda", torch.cuda.current_device())
    pipeline = load_pipeline(DEMO, MODELS, card, Watcher())
    wishes = CompileWishes(mode="on", folder=tmp_path)
    pipeline.compilation = Compilation(pipeline.dit, card, pipeline.torch_dtype, wishes=wishes)
    whole = pipeline.plan(order(), Wishes())
    slot_bytes = largest_unit(replace(DEMO.architecture, number_bytes=2))
    streamed = replace(whole, resident=whole.resident[::2], slots=3, slot_bytes=slot_bytes)
    plain = uncompiled(pipeline, whole, steps=8)
    # The demo is small beside what recording takes.
    recorded = [picture(pipeline, replace(plan, promised_vram=4 << 30), steps=8) for plan in (whole, streamed)]
    monkeypatch.setattr(compilation, "replays_on", lambda _device, **_room: NoReplays())
    made_anew = picture(pipeline, whole, steps=8)
    for made in (*recorded, made_anew):
        assert made.facts["compiled"] == "yes"
        assert likeness(made.pixels, plain.pixels, made.width, made.height) >= ALIKE_IN_FLOAT8
        assert made.pixels == made_anew.pixels
    assert "not recorded" not in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
def test_on_a_card_loras_change_a_compiled_picture_as_an_uncompiled_one_and_leave_no_trace(tmp_path: Path) -> None:
    card = torch.device("cuda", torch.cuda.current_device())
    pipeline = load_pipeline(DEMO, MODELS, card, Watcher())
    pipeline.compilation = Compilation(
        pipeline.dit, card, pipeline.torch_dtype, wishes=CompileWishes(mode="on", folder=tmp_path)
    )
    plan = replace(pipeline.plan(order(), Wishes()), promised_vram=4 << 30)
    before = picture(pipeline, plan, steps=8)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline, "_attach", lambda _uses: None)
        ink = read_lora(MODELS / "demo" / "loras" / "ink.safetensors", pipeline.dit)
        # One, and so many that there is no kernel for their rank.
        for wanted in ([(ink, 1.0)], [(ink, 0.2)] * 5, []):
            pipeline.loras.use(wanted, card)
            pipeline.residence.table.forget()
            made = picture(pipeline, plan, steps=8)
            assert made.facts["compiled"] == "yes"
            assert likeness(made.pixels, before.pixels, made.width, made.height) < ALIKE or not wanted
            plain = uncompiled(pipeline, plan, steps=8)
            assert likeness(made.pixels, plain.pixels, made.width, made.height) > ALIKE_WITH_LORA
    assert made.pixels == before.pixels
