"""What a graph is made from, where it is kept, and activations scaled by what was seen before."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from darkroom.catalog import DEMO
from darkroom.engine.float8 import STORED, Float8Linear, Seen, quantize, scaled_activations, upcast, use_float8_matmul
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


# --- activations scaled by what was seen before


def test_what_was_seen_is_remembered_whether_it_is_trusted_or_not() -> None:
    hidden = torch.randn(40, 64)
    for trusted in (False, True):
        largest = torch.ones(())
        scaled_activations(hidden, Seen(largest, trusted))
        assert largest == hidden.abs().max()


def test_as_large_as_before_nothing_changes_and_up_to_1_75_times_nothing_is_cut_off() -> None:
    hidden = torch.randn(40, 64).bfloat16()
    measured, scale = scaled_activations(hidden)
    stored, same_scale = scaled_activations(hidden, Seen(hidden.abs().max().float(), True))
    assert torch.equal(stored.float(), measured.float())
    assert scale == same_scale
    stored, smaller = scaled_activations(hidden, Seen(hidden.abs().max().float() / 1.74, True))
    assert ((stored.float() * smaller - hidden).norm() / hidden.norm()) < 0.04


@pytest.mark.parametrize("before", [0.0, 1e-30, 1e-3, 1e6])
def test_however_wrong_the_memory_is_nothing_becomes_infinite(before: float) -> None:
    stored, scale = scaled_activations(torch.randn(40, 64).bfloat16(), Seen(torch.tensor(before), True))
    assert (stored.float() * scale).isfinite().all()


def test_an_infinity_shows_in_the_next_product() -> None:
    stored, scale = quantize(torch.randn(64, 64))
    layer = Float8Linear(stored, scale, None)
    layer.float8_matmul, layer.seen = True, Seen(torch.ones(()), True)
    hidden = torch.randn(40, 64).bfloat16()
    hidden[3, 3] = torch.inf
    layer(hidden)
    assert layer(torch.randn(40, 64).bfloat16()).isnan().all()
