"""Compiled blocks: pictures as uncompiled ones make them, few compilations, and words where it cannot be done."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from darkroom.catalog import DEMO
from darkroom.engine import tracing
from darkroom.engine.compilation import Compilation, CompileWishes
from darkroom.engine.compiled_block import first_line
from darkroom.engine.flux import MadePicture, WatchedPipeline, load_pipeline, make_picture
from darkroom.engine.lora import read_lora
from darkroom.engine.tracing import Order, compile_to_file
from darkroom.engine.watcher import StopAsked, Watcher
from darkroom.planner import Plan
from darkroom.request import GenerationRequest, parse_request
from darkroom.wishes import Wishes
from tests.engine.plans import BLOCKS, streaming_plan
from tests.engine.test_float8 import likeness

MODELS = Path(__file__).parents[2] / "models"
CPU = torch.device("cpu")
SIDE = 256
# Float8 is rounded elsewhere: both are as far from a picture without float8 (docs/benchmarks.md). With a strong LoRA, a
# composition that stands on the edge may tip.
ALIKE, ALIKE_IN_FLOAT8, ALIKE_UNDER_CFG, ALIKE_WITH_LORA = 0.99, 0.985, 0.98, 0.96
SECONDS_TO_COMPILE = 240.0


def nothing_missing(_device: torch.device) -> str:
    return ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is compiled serves all tests of this file."""
    made = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TORCHINDUCTOR_CACHE_DIR", str(made / "inductor"))
        try:
            torch.compile(torch.sin)(torch.ones(8))
        except RuntimeError as error:
            pytest.skip(f"nothing can be compiled here (apt install g++ python3-dev): {first_line(str(error))}")
        yield made


@pytest.fixture(scope="module")
def loaded() -> WatchedPipeline:
    return load_pipeline(DEMO, MODELS, CPU, Watcher())


@pytest.fixture
def pipeline(loaded: WatchedPipeline, folder: Path) -> Iterator[WatchedPipeline]:
    """Compiles in place, before the first picture."""
    loaded.residence.drop()
    wishes = CompileWishes(mode="on", folder=folder, apart=False)
    loaded.compilation = Compilation(loaded.dit, CPU, loaded.torch_dtype, wishes=wishes, missing=nothing_missing)
    yield loaded
    loaded.compilation.stop()


class Compilations:
    """Counts what is compiled, and not read from a file."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.orders: list[Order] = []

        def counted(order: Order) -> None:
            self.orders.append(order)
            compile_to_file(order)

        patched.setattr(tracing, "compile_to_file", counted)


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> Compilations:
    return Compilations(monkeypatch)


def order(**changes: object) -> GenerationRequest:
    values: dict[str, object] = {"prompt": "a red house by a lake", "negative_prompt": "snow", "seed": 3, "steps": 3}
    return parse_request(values | {"guidance": 3.5, "width": SIDE, "height": SIDE, "model": "demo"} | changes)


def half_streamed(pipeline: WatchedPipeline, **changes: object) -> Plan:
    plan = streaming_plan(resident=tuple(range(0, BLOCKS, 2)), number_bytes=pipeline.torch_dtype.itemsize)
    return replace(plan, **changes)  # type: ignore[arg-type]


def in_place(pipeline: WatchedPipeline, **changes: object) -> Plan:
    return replace(pipeline.plan(order(), Wishes()), **changes)  # type: ignore[arg-type]


def picture(pipeline: WatchedPipeline, plan: Plan, **changes: object) -> MadePicture:
    return make_picture(pipeline, order(**changes), Watcher(), plan)


def uncompiled(pipeline: WatchedPipeline, plan: Plan, **changes: object) -> MadePicture:
    wishes = pipeline.compilation.wishes
    pipeline.compilation.wishes = replace(wishes, mode="off")
    made = picture(pipeline, plan, **changes)
    pipeline.compilation.wishes = wishes
    assert "compiled" not in made.facts
    return made


def assert_alike(one: MadePicture, other: MadePicture) -> None:
    assert likeness(one.pixels, other.pixels, one.width, one.height) >= ALIKE


# --- the same picture


@pytest.mark.slow
@pytest.mark.parametrize("float8_matmul", [False, True], ids=["upcast", "float8 matmul"])
@pytest.mark.parametrize("table_rows", [0, 16], ids=["no table", "table"])
def test_a_compiled_picture_is_as_an_uncompiled_one_however_its_weights_lie(
    pipeline: WatchedPipeline, table_rows: int, float8_matmul: bool
) -> None:
    changes = {"table_rows": table_rows, "float8_matmul": float8_matmul}
    plans = [half_streamed(pipeline, **changes), in_place(pipeline, **changes)]
    plain = uncompiled(pipeline, plans[0])
    compiled = [picture(pipeline, plan) for plan in plans]
    for each in compiled:
        assert each.facts["compiled"] == "yes"
        assert_alike(each, plain)
    assert compiled[0].pixels == compiled[1].pixels
    # The same request gives the same pixels.
    assert picture(pipeline, plans[0]).pixels == compiled[0].pixels


@pytest.mark.slow
def test_both_sides_of_true_guidance_are_compiled_by_the_same_graphs(
    pipeline: WatchedPipeline, compilations: Compilations
) -> None:
    plan = half_streamed(pipeline, table_rows=16)
    guided = picture(pipeline, plan, cfg_scale=2.0)
    assert guided.facts["compiled"] == "yes"
    assert_alike(guided, uncompiled(pipeline, plan, cfg_scale=2.0))
    assert len(compilations.orders) in (0, 2)


@pytest.mark.slow
@pytest.mark.parametrize("cfg_scale", [1.0, 2.0])
def test_scales_remembered_from_the_step_before_change_the_picture_little_and_are_forgotten_with_it(
    pipeline: WatchedPipeline, cfg_scale: float
) -> None:
    plan = half_streamed(pipeline, table_rows=16, float8_matmul=True)
    remembered = picture(pipeline, plan, cfg_scale=cfg_scale, steps=6)
    assert remembered.facts["compiled"] == "yes"
    picture(pipeline, plan, prompt="a green tent")
    assert picture(pipeline, plan, cfg_scale=cfg_scale, steps=6).pixels == remembered.pixels
    plain = uncompiled(pipeline, plan, cfg_scale=cfg_scale, steps=6)
    assert remembered.pixels != plain.pixels
    # True CFG works with a difference, in which rounding counts for more.
    least = ALIKE_IN_FLOAT8 if cfg_scale == 1 else ALIKE_UNDER_CFG
    assert likeness(remembered.pixels, plain.pixels, plain.width, plain.height) >= least


# --- how often it is compiled


@pytest.mark.slow
def test_one_graph_for_each_kind_of_block_and_size_and_none_for_each_lora(
    pipeline: WatchedPipeline, compilations: Compilations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.compilation.wishes = replace(pipeline.compilation.wishes, folder=tmp_path)
    plan = half_streamed(pipeline, table_rows=16)
    plain = picture(pipeline, plan)
    picture(pipeline, plan, prompt="a green tent", steps=4, seed=8)
    assert [made.joint for made in compilations.orders] == [True, False]
    # The other way up there are as many tokens.
    picture(pipeline, plan, width=384)
    picture(pipeline, plan, height=384)
    assert len(compilations.orders) == 4

    monkeypatch.setattr(pipeline, "_attach", lambda _uses: None)
    ink = read_lora(MODELS / "demo" / "loras" / "ink.safetensors", pipeline.dit)
    few = replace(ink, layers=dict(list(ink.layers.items())[:5]))
    for wanted in ([(ink, 1.0)], [(ink, 0.3), (ink, 0.7)], [(few, 1.0)], []):
        pipeline.loras.use(wanted, CPU)
        pipeline.residence.table.forget()
        made = picture(pipeline, plan)
        assert made.facts["compiled"] == "yes"
        assert_alike(made, uncompiled(pipeline, plan))
        assert (made.pixels == plain.pixels) == (wanted == [])
    assert len(compilations.orders) == 6


@pytest.mark.slow
@pytest.mark.parametrize("float8_matmul", [False, True], ids=["upcast", "float8 matmul"])
def test_a_lora_changes_a_compiled_picture_as_it_changes_an_uncompiled_one(
    pipeline: WatchedPipeline, monkeypatch: pytest.MonkeyPatch, float8_matmul: bool
) -> None:
    plan = half_streamed(pipeline, table_rows=16, float8_matmul=float8_matmul)
    before = picture(pipeline, plan)
    monkeypatch.setattr(pipeline, "_attach", lambda _uses: None)
    ink = read_lora(MODELS / "demo" / "loras" / "ink.safetensors", pipeline.dit)
    pipeline.loras.use([(ink, 1.0)], CPU)
    pipeline.residence.table.forget()
    made = picture(pipeline, plan)
    assert made.facts["compiled"] == "yes"
    plain = uncompiled(pipeline, plan)
    assert likeness(made.pixels, plain.pixels, made.width, made.height) > ALIKE_WITH_LORA
    assert likeness(made.pixels, before.pixels, made.width, made.height) < ALIKE_WITH_LORA
    pipeline.loras.use([], CPU)
    pipeline.residence.table.forget()
    assert picture(pipeline, plan).pixels == before.pixels


@pytest.mark.slow
def test_a_graph_for_any_size_serves_all_of_them(
    pipeline: WatchedPipeline, compilations: Compilations, tmp_path: Path
) -> None:
    pipeline.compilation.wishes = replace(pipeline.compilation.wishes, any_image=True, folder=tmp_path)
    plan = half_streamed(pipeline, table_rows=16)
    for width, height in ((256, 256), (384, 256), (512, 320)):
        made = picture(pipeline, plan, width=width, height=height, steps=2)
        assert made.facts["compiled"] == "yes"
        assert_alike(made, uncompiled(pipeline, plan, width=width, height=height, steps=2))
    assert len(compilations.orders) == 2


@pytest.mark.slow
def test_another_start_reads_what_was_compiled(pipeline: WatchedPipeline, compilations: Compilations) -> None:
    plan = half_streamed(pipeline, table_rows=16)
    before = picture(pipeline, plan).pixels
    compilations.orders.clear()
    pipeline.compilation = Compilation(
        pipeline.dit, CPU, pipeline.torch_dtype, wishes=pipeline.compilation.wishes, missing=nothing_missing
    )
    assert picture(pipeline, plan).pixels == before
    assert compilations.orders == []


@pytest.mark.slow
def test_a_file_that_is_damaged_is_made_anew(
    pipeline: WatchedPipeline, compilations: Compilations, tmp_path: Path
) -> None:
    pipeline.compilation.wishes = replace(pipeline.compilation.wishes, folder=tmp_path)
    plan = half_streamed(pipeline, table_rows=16)
    picture(pipeline, plan)
    for file in tmp_path.glob("*.graph"):
        file.write_bytes(file.read_bytes()[:100])
    pipeline.compilation = Compilation(
        pipeline.dit, CPU, pipeline.torch_dtype, wishes=pipeline.compilation.wishes, missing=nothing_missing
    )
    assert picture(pipeline, plan).facts["compiled"] == "yes"
    assert len(compilations.orders) == 4


# --- beside the pictures


@pytest.mark.slow
def test_the_first_picture_does_not_wait_and_a_later_one_is_compiled(
    pipeline: WatchedPipeline, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "darkroom.engine")
    pipeline.compilation.wishes = CompileWishes(mode="auto", folder=tmp_path)
    plan = half_streamed(pipeline, table_rows=16)
    first = picture(pipeline, plan)
    assert first.facts["compiled"] == "no: it is being compiled"
    deadline = time.monotonic() + SECONDS_TO_COMPILE
    while pipeline.compilation.compiling and time.monotonic() < deadline:
        time.sleep(0.2)
    later = picture(pipeline, plan)
    assert "compiled in" in caplog.text
    assert later.facts["compiled"] == "yes"
    assert_alike(first, later)
    assert {file.suffix for file in tmp_path.iterdir()} <= {".graph", ""}


class Impatient(Watcher):
    """A person who stops the picture at once."""

    def entered(self, stage: str, fraction: float = 0.0) -> None:  # noqa: ARG002
        raise StopAsked


@pytest.mark.slow
def test_a_stop_is_obeyed_while_a_picture_waits_for_the_compiler(pipeline: WatchedPipeline, tmp_path: Path) -> None:
    pipeline.compilation.wishes = CompileWishes(mode="on", folder=tmp_path)
    with pytest.raises(StopAsked):
        make_picture(pipeline, order(), Impatient(), half_streamed(pipeline))
    running = [pipeline.compilation.compiling]
    pipeline.compilation.stop()
    running.append(pipeline.compilation.compiling)
    assert running == [True, False]
    assert list(tmp_path.glob("*.orders")) == list(tmp_path.glob("*.log")) == []


# --- where it cannot be done


def test_without_a_card_a_picture_is_uncompiled_and_says_why(pipeline: WatchedPipeline) -> None:
    pipeline.compilation = Compilation(pipeline.dit, CPU, pipeline.torch_dtype, wishes=pipeline.compilation.wishes)
    made = picture(pipeline, half_streamed(pipeline), steps=1)
    assert made.facts["compiled"] == "no: there is no graphics card"


def test_a_compiler_that_fails_is_asked_once_and_the_picture_is_made(
    pipeline: WatchedPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def fail(order: Order) -> None:
        asked.append(order)
        raise RuntimeError("no such header\nand much more")

    monkeypatch.setattr(tracing, "compile_to_file", fail)
    pipeline.compilation.wishes = replace(pipeline.compilation.wishes, folder=tmp_path)
    with caplog.at_level("INFO", "darkroom.engine"):
        made = [picture(pipeline, half_streamed(pipeline), steps=1) for _ in range(2)]
    assert [each.facts["compiled"] for each in made] == ["no: no such header"] * 2
    assert len(asked) == 1
    assert caplog.text.count("runs uncompiled: no such header") == 1


@pytest.mark.slow
def test_a_graph_that_fails_leaves_the_picture_to_uncompiled_code(
    pipeline: WatchedPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = half_streamed(pipeline, table_rows=16)
    plain = uncompiled(pipeline, plan)

    def fail(*_inputs: Tensor) -> list[Tensor]:
        raise RuntimeError("the kernel cannot be started")

    monkeypatch.setattr(tracing, "read_compiled", lambda _path: fail)
    made = picture(pipeline, plan)
    assert made.facts["compiled"] == "no: the kernel cannot be started"
    assert made.pixels == plain.pixels
    assert picture(pipeline, plan).pixels == plain.pixels
