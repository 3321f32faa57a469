"""Random weights in FLUX.1's shapes: what they must have so that speed and memory are the real ones."""

from collections.abc import Iterator

import pytest
import torch
from diffsynth.core.vram.initialization import skip_model_initialization
from torch import Tensor, nn

from benchmarks.full_size import DEMO_SHAPE, FLOAT8_LAYERS, FLUX1_SHAPE, SHAPES, Models, random_models
from darkroom.engine.float8 import STORED, Float8Linear
from darkroom.engine.resting import Unit


@pytest.fixture(scope="module")
def models() -> Models:
    return random_models(DEMO_SHAPE, torch.bfloat16)


def tensors(models: Models) -> Iterator[Tensor]:
    for model in models.values():
        yield from model.parameters()
        yield from model.buffers()


def test_every_tensor_has_memory_of_its_own(models: Models) -> None:
    places = {id(tensor): tensor.data_ptr() for tensor in tensors(models) if tensor.numel()}
    assert len(set(places.values())) == len(places)


def test_no_weight_is_infinite_or_not_a_number(models: Models) -> None:
    for tensor in tensors(models):
        if tensor.dtype == STORED:
            # All bits but the sign set: float8's only code that is no number.
            assert int((tensor.view(torch.uint8) & 0x7F).max()) < 0x7F
        else:
            assert bool(tensor.isfinite().all())


def test_blocks_take_as_many_bytes_as_the_planner_counts(models: Models) -> None:
    transformer = models["dit"]
    blocks = [*transformer.get_submodule("blocks").children(), *transformer.get_submodule("single_blocks").children()]
    assert tuple(Unit(block).bytes for block in blocks) == DEMO_SHAPE.entry.architecture.transformer_blocks
    t5 = [Unit(block).bytes for block in models["text_encoder_2"].get_submodule("encoder.block").children()]
    assert tuple(t5) == DEMO_SHAPE.entry.architecture.t5_blocks


def test_layers_outside_the_blocks_are_ordinary(models: Models) -> None:
    layers = {name: layer for name, layer in models["dit"].named_modules() if isinstance(layer, Float8Linear)}
    assert all(name.startswith(FLOAT8_LAYERS["dit"]) and layer.stored.dtype == STORED for name, layer in layers.items())
    assert isinstance(models["dit"].get_submodule("x_embedder"), nn.Linear)


@pytest.mark.parametrize("part", ["dit", "text_encoder_2"])
def test_the_full_size_has_float8_where_its_entry_counts_it(part: str) -> None:
    with skip_model_initialization():
        model = FLUX1_SHAPE.classes[part]()
    found = [
        layer.weight.numel()
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name.startswith(FLOAT8_LAYERS[part])
    ]
    dimensions = FLUX1_SHAPE.entry.architecture
    blocks = dimensions.transformer_blocks if part == "dit" else dimensions.t5_blocks
    # Scales, biases and norms are the rest of a block.
    assert 0.999 * sum(blocks) < sum(found) < sum(blocks)


def test_both_shapes_are_whole_entries() -> None:
    assert {name: shape.entry.prompt_tokens for name, shape in SHAPES.items()} == {"flux1": 512, "demo": 96}
