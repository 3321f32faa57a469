"""Weights at rest: one flat buffer a block, shown to its layers from anywhere, pinned where the system allows."""

import gc
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from darkroom.architecture import ALIGNMENT, flat_bytes
from darkroom.catalog import DEMO
from darkroom.engine import demo
from darkroom.engine.float8 import Float8Linear, quantize
from darkroom.engine.loading import load_models
from darkroom.engine.pinning import HostMemory
from darkroom.engine.resting import Unit

MODELS = Path(__file__).parents[2] / "models"
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")


class Block(nn.Module):
    """Every kind of tensor a block may have: float8 with a scale of no dimensions, bf16, float32, a buffer."""

    def __init__(self) -> None:
        super().__init__()
        stored, scale = quantize(torch.randn(24, 16))
        self.first = Float8Linear(stored, scale, torch.randn(24).to(torch.bfloat16))
        self.norm = nn.LayerNorm(24).to(torch.bfloat16)
        self.last = nn.Linear(24, 8, bias=False)
        self.register_buffer("shift", torch.randn(8), persistent=False)
        self.register_buffer("nothing", torch.empty(0))

    def forward(self, hidden: Tensor) -> Tensor:
        middle: Tensor = self.norm(self.first(hidden.to(torch.bfloat16)))
        result: Tensor = self.last(middle.float()) + self.shift
        return result


def tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def test_a_unit_takes_the_bytes_of_each_tensor_rounded_up() -> None:
    block = Block()
    assert Unit(block).bytes == flat_bytes(tensor.nbytes for tensor in tensors(block))
    assert Unit(nn.Linear(1, 1)).bytes == 2 * ALIGNMENT


def test_a_settled_block_computes_the_same_bits_from_one_aligned_buffer() -> None:
    block, hidden = Block(), torch.randn(3, 16)
    before = block(hidden)
    unit = Unit(block)
    unit.settle(pin=False)
    assert torch.equal(block(hidden), before)
    assert unit.flat is not None
    start, end = unit.flat.data_ptr(), unit.flat.data_ptr() + unit.flat.nbytes
    assert unit.flat.nbytes == unit.bytes
    for tensor in tensors(block):
        assert tensor.numel() == 0 or start <= tensor.data_ptr() < end
        assert (tensor.data_ptr() - start) % ALIGNMENT == 0 or tensor.numel() == 0
        assert not tensor.requires_grad


def test_settling_lets_go_of_where_the_tensors_were() -> None:
    block = Block()
    before = [StorageWeakRef(tensor.untyped_storage()) for tensor in tensors(block)]
    Unit(block).settle(pin=False)
    gc.collect()
    assert [storage.expired() for storage in before] == [True] * len(before)


def test_a_buffer_cut_out_of_a_larger_tensor_does_not_keep_that() -> None:
    larger = torch.randn(64, 16)
    storage, expected = StorageWeakRef(larger.untyped_storage()), larger[:8].clone()
    block = nn.Module()
    block.register_buffer("cut", larger[:8], persistent=False)
    block.register_buffer("again", block.get_buffer("cut"))
    del larger
    unit = Unit(block)
    unit.settle(pin=False)
    gc.collect()
    assert storage.expired()
    assert torch.equal(block.get_buffer("cut"), expected)
    assert list(block.state_dict()) == ["again"]
    assert unit.bytes == flat_bytes([8 * 16 * 4])


def test_a_buffer_elsewhere_can_be_shown_and_the_weights_come_home() -> None:
    block, hidden = Block(), torch.randn(3, 16)
    unit = Unit(block)
    unit.settle(pin=False)
    at_home, addresses = block(hidden), [tensor.data_ptr() for tensor in tensors(block)]
    assert unit.flat is not None
    elsewhere = torch.zeros(unit.bytes + 1000, dtype=torch.uint8)
    unit.point_at(elsewhere)
    assert not torch.equal(block(hidden), at_home)
    elsewhere[: unit.bytes].copy_(unit.flat)
    assert torch.equal(block(hidden), at_home)
    unit.go_home()
    elsewhere.zero_()
    assert torch.equal(block(hidden), at_home)
    assert [tensor.data_ptr() for tensor in tensors(block)] == addresses


def test_tensors_that_share_their_place_are_stored_once_and_stay_together() -> None:
    first, second, third = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
    second.weight = first.weight
    third.weight = nn.Parameter(first.weight.data)
    module = nn.Sequential(first, second, third)
    unit = Unit(module)
    assert unit.bytes == flat_bytes([16 * 16 * 4, 64, 64, 64])
    unit.settle(pin=False)
    assert first.weight.data_ptr() == second.weight.data_ptr() == third.weight.data_ptr()
    unit.point_at(torch.zeros(unit.bytes, dtype=torch.uint8))
    assert first.weight.data_ptr() == third.weight.data_ptr()
    assert not third.weight.any()


def test_a_tensor_that_lies_across_rests_as_the_same_values() -> None:
    linear = nn.Linear(5, 7)
    linear.weight = nn.Parameter(torch.randn(5, 7).t())
    expected = linear.weight.detach().clone()
    unit = Unit(linear)
    gathered = torch.zeros(unit.bytes, dtype=torch.uint8)
    unit.gather(0, unit.bytes, gathered)
    unit.settle(pin=False)
    assert torch.equal(linear.weight, expected)
    unit.point_at(gathered)
    assert torch.equal(linear.weight, expected)


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("step", [1, 100, 256, 10_000])
def test_a_unit_is_gathered_in_pieces_of_any_size(settled: bool, step: int) -> None:
    block, hidden = Block(), torch.randn(3, 16)
    expected = block(hidden)
    unit = Unit(block)
    if settled:
        unit.settle(pin=False)
    elsewhere = torch.zeros(unit.bytes, dtype=torch.uint8)
    for low in range(0, unit.bytes, step):
        high = min(low + step, unit.bytes)
        unit.gather(low, high, elsewhere[low:high])
    unit.point_at(elsewhere)
    assert torch.equal(block(hidden), expected)


@pytest.mark.parametrize("settled", [False, True])
def test_a_unit_whose_layer_was_exchanged_is_read_again(settled: bool) -> None:
    block, hidden = Block(), torch.randn(3, 16)
    unit = Unit(block)
    if settled:
        unit.settle(pin=False)
    before = unit.layout
    unit.point_at(torch.zeros(unit.bytes, dtype=torch.uint8))
    block.last = nn.Linear(24, 12, bias=False)
    block.shift = torch.ones(12)
    unit.refresh()
    expected = block(hidden)
    assert expected.shape == (3, 12)
    assert unit.layout is not before
    assert unit.bytes == flat_bytes(tensor.nbytes for tensor in tensors(block))
    assert (unit.flat is not None) == settled
    elsewhere = torch.zeros(unit.bytes, dtype=torch.uint8)
    unit.gather(0, unit.bytes, elsewhere)
    unit.point_at(elsewhere)
    assert torch.equal(block(hidden), expected)


def test_parts_that_are_units_of_their_own_stay_out() -> None:
    block = Block()
    rest, part = Unit(block, without=[block.first]), Unit(block.first)
    assert rest.bytes + part.bytes == Unit(block).bytes
    address = block.first.stored.data_ptr()
    rest.point_at(torch.zeros(rest.bytes, dtype=torch.uint8))
    assert block.first.stored.data_ptr() == address


def test_weights_of_inference_mode_are_refused_because_they_could_not_move() -> None:
    with torch.inference_mode():
        linear = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="inference_mode"):
        Unit(linear)


def test_weights_in_a_mapped_file_are_gathered_from_it(tmp_path: Path) -> None:
    path = tmp_path / "block.safetensors"
    demo.register()
    whole = load_models(MODELS / DEMO.files.transformer, dtype=torch.bfloat16, read=lambda _: None)["flux_dit"]
    block = whole.get_submodule("single_blocks.0")
    save_file({name: tensor.contiguous() for name, tensor in block.state_dict().items()}, path)
    unit = Unit(block)
    unit.settle(pin=False)
    gathered = torch.zeros(unit.bytes, dtype=torch.uint8)
    unit.gather(0, unit.bytes, gathered)
    assert unit.flat is not None
    for view, same in zip(unit.layout.views(gathered), unit.layout.views(unit.flat), strict=True):
        assert torch.equal(view.reshape(-1).view(torch.uint8), same.reshape(-1).view(torch.uint8))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA card is there")
def test_without_a_card_nothing_is_pinned_and_all_works() -> None:
    block, hidden = Block(), torch.randn(3, 16)
    expected = block(hidden)
    unit = Unit(block)
    unit.settle(pin=True)
    assert not unit.pinned
    assert torch.equal(block(hidden), expected)


def test_memory_begins_at_a_page_and_has_the_asked_size() -> None:
    for size in (0, 1, 4096, 100_000):
        content = HostMemory(size).content
        assert content.nbytes == size
        assert content.data_ptr() % 4096 == 0


@pytest.mark.gpu
@needs_card
def test_a_pinned_unit_is_pinned_until_it_goes() -> None:
    block = Block()
    unit = Unit(block)
    unit.settle(pin=False)
    assert not unit.pinned
    unit.settle(pin=True)
    assert unit.pinned
    assert unit.flat is not None
    content = unit.flat
    assert content.is_pinned()
    del unit, block
    gc.collect()
    assert not content.is_pinned()


@pytest.mark.gpu
@needs_card
def test_a_refused_pin_leaves_no_error_for_others_to_find() -> None:
    pinned, same = HostMemory(1 << 20), HostMemory(0)
    assert pinned.pin()
    same.content = pinned.content
    assert not same.pin()
    total = torch.ones(1000, device="cuda").sum()
    torch.cuda.synchronize()
    assert total.item() == 1000
    pinned.unpin()
    assert not pinned.pinned


def test_memory_in_large_pages_is_memory_like_any_other() -> None:
    memory, content = HostMemory(5 << 20), torch.arange(5 << 20).to(torch.uint8)
    memory.content.copy_(content)
    assert torch.equal(memory.content, content)
    assert memory.content.data_ptr() % 4096 == 0
