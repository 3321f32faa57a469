"""What a graph is made from, and where it is kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from darkroom.catalog import DEMO
from darkroom.engine.float8 import STORED, upcast, use_float8_matmul
from darkroom.engine.flux import WatchedPipeline, load_pipeline
from darkroom.engine.process import environment_of
from darkroom.engine.tracing import BlockTensors, skeleton_of
from darkroom.engine.watcher import Watcher
from darkroom.jobs.messages import EngineOptions

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="module")
def loaded() -> WatchedPipeline:
    return load_pipeline(DEMO, MODELS, torch.device("cpu"), Watcher())


def test_a_skeleton_has_no_content_and_no_hooks_and_the_block_keeps_its_own(loaded: WatchedPipeline) -> None:
    block = loaded.dit.single_blocks[0]
    handle = block.register_forward_hook(lambda *_: None)
    bare = skeleton_of(block, rows=True)
    assert all(tensor.is_meta for tensor in (*bare.parameters(), *bare.buffers()))
    assert not any(part._forward_hooks for part in bare.modules())
    assert len(block._forward_hooks) == 1
    assert not any(tensor.is_meta for tensor in (*block.parameters(), *block.buffers()))
    assert BlockTensors(bare, rows=True).signature == BlockTensors(block, rows=True).signature
    handle.remove()


def test_blocks_of_a_kind_have_one_signature_and_the_two_kinds_have_not(loaded: WatchedPipeline) -> None:
    found = [
        {BlockTensors(block, rows=True).signature for block in blocks}
        for blocks in (loaded.dit.blocks, loaded.dit.single_blocks)
    ]
    assert [len(each) for each in found] == [1, 1]
    assert found[0] != found[1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_bytes_of_float8_say_each_of_its_numbers(dtype: torch.dtype) -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    numbers = codes.view(STORED).to(dtype)
    known = numbers.isfinite()
    assert known.sum() == 254
    scale = torch.tensor(0.25)
    assert torch.equal(upcast(codes, scale, dtype)[known], numbers[known] * scale)


def test_a_graph_takes_bytes_exactly_where_float8_is_brought_to_another_type(loaded: WatchedPipeline) -> None:
    block = loaded.dit.single_blocks[0]
    for matmul in (False, True):
        use_float8_matmul(block, matmul)
        tensors = BlockTensors(block, rows=True)
        assert sum(tensors.as_bytes) == (0 if matmul else len(tensors.layers))
    use_float8_matmul(block, enabled=False)


def test_compiled_code_is_kept_where_the_next_start_finds_it(tmp_path: Path) -> None:
    options = EngineOptions(
        models=MODELS, device="cpu", threads=1, expandable_segments=True, log_level="info", cache=tmp_path
    )
    assert "TORCHINDUCTOR_CACHE_DIR" not in environment_of(options)
    folders = environment_of(replace(options, compile="auto"))
    assert folders["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled" / "inductor")
