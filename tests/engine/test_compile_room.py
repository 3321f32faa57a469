"""What a machine must have for compiling: tools that Triton builds with, and room on the card beside a picture."""

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from darkroom.catalog import DEMO, FLUX1_DEV, ModelEntry
from darkroom.engine.compilation import Compilation, CompileWishes
from darkroom.engine.compile_job import missing_on
from darkroom.engine.flux import WatchedPipeline, load_pipeline
from darkroom.engine.room import plan_with_room
from darkroom.engine.tracing import Size
from darkroom.engine.watcher import Watcher
from darkroom.machine import Card, Machine
from darkroom.planner import Plan, make_plan
from darkroom.wishes import Wishes

MODELS = Path(__file__).parents[2] / "models"
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
GIB = 2**30
CARD = Card(name="RTX 4060", total=8 * GIB, free=int(7.4 * GIB), compute=(8, 9), copy_rate=2e10)
MACHINE = Machine(card=CARD, ram_total=64 * GIB, ram_free=60 * GIB, pinnable=60 * GIB, cores=8)
SIZE = Size(text=DEMO.prompt_tokens, image=256)


@pytest.fixture(scope="module")
def loaded() -> WatchedPipeline:
    return load_pipeline(DEMO, MODELS, CPU, Watcher())


@pytest.fixture
def compilation(loaded: WatchedPipeline, tmp_path: Path) -> Compilation:
    wishes = CompileWishes(mode="on", folder=tmp_path, apart=False)
    return Compilation(loaded.dit, CPU, loaded.torch_dtype, wishes=wishes, missing=lambda _device: "")


def room(compilation: Compilation) -> int:
    return compilation.room(SIZE, rows=False, low_ranks=False)


def begin(compilation: Compilation) -> str | None:
    compilation.begin(SIZE, rows=False, promised=0, waiting=lambda: None)
    compilation.leave()
    return compilation.why_not


# --- room on the card


def plan_on(machine: Machine, model: ModelEntry = FLUX1_DEV) -> Plan:
    return make_plan(model, machine, Wishes(), width=1024, height=1024)


def test_a_plan_leaves_room_and_keeps_fewer_blocks_on_the_card_for_it() -> None:
    whole, less = plan_on(MACHINE), plan_with_room(plan_on, MACHINE, GIB)
    assert less.promised_vram <= CARD.free - GIB
    assert len(less.resident) < len(whole.resident)
    assert plan_with_room(plan_on, MACHINE, 0) == whole


def test_where_there_is_too_little_it_is_not_the_picture_that_gives_way() -> None:
    assert plan_with_room(plan_on, MACHINE, 7 * GIB) == plan_on(MACHINE)


def test_a_size_asks_for_room_until_there_is_nothing_to_compile_for_it(
    compilation: Compilation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert room(compilation) > GIB // 2
    with monkeypatch.context() as full:
        full.setattr(compilation, "_has_room", lambda *_of: False)
        assert str(begin(compilation)).endswith("no room for compiling beside the picture")
    assert room(compilation) > GIB // 2
    monkeypatch.setattr(compilation, "_have_ready", lambda *_of: "no such header")
    assert begin(compilation) == "no such header"
    assert room(compilation) == 0


def test_larger_pictures_need_more_room_and_without_compilation_none_do(compilation: Compilation) -> None:
    larger = compilation.room(Size(text=SIZE.text, image=4096), rows=False, low_ranks=False)
    assert larger > room(compilation)
    compilation.wishes = CompileWishes(mode="off")
    assert room(compilation) == 0


# --- tools


@pytest.mark.parametrize(
    ("capability", "words"), [((7, 5), "the card is older than compute capability 8.0"), ((8, 6), ""), ((9, 0), "")]
)
def test_a_card_that_is_too_old_is_told(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], words: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr("darkroom.engine.compile_job.shutil.which", lambda _name: "compiler")
    monkeypatch.setattr(
        "darkroom.engine.compile_job.importlib.util.find_spec", lambda _name: ModuleSpec("triton", None)
    )
    assert missing_on(CUDA) == words


def test_what_triton_builds_itself_with_is_told_if_it_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = "darkroom.engine.compile_job"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
    monkeypatch.setattr(f"{job}.importlib.util.find_spec", lambda _name: ModuleSpec("triton", None))
    monkeypatch.setattr(f"{job}.shutil.which", lambda _name: None)
    assert missing_on(CUDA) == "there is no C compiler (gcc or clang)"
    monkeypatch.setattr(f"{job}.shutil.which", lambda _name: "compiler")
    monkeypatch.setattr(f"{job}.sysconfig.get_path", lambda *_names: str(tmp_path))
    assert missing_on(CUDA) == "Python's headers are not installed (python3-dev)"
    (tmp_path / "Python.h").touch()
    assert missing_on(CUDA) == ""
    monkeypatch.setattr("darkroom.engine.compile_job.importlib.util.find_spec", lambda _name: None)
    assert missing_on(CUDA) == "triton is not installed"
