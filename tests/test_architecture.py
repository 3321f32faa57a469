"""Dimensions give the bytes that real modules have: the demo's as it is loaded, FLUX.1's without content."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffsynth.models.flux_dit import FluxDiT
from diffsynth.models.flux_text_encoder_clip import FluxTextEncoderClip
from diffsynth.models.flux_text_encoder_t5 import FluxTextEncoderT5
from diffsynth.models.flux_vae import FluxVAEDecoder, FluxVAEEncoder
from torch import nn

from darkroom.architecture import ALIGNMENT, DEMO, FLUX1, Architecture, flat_bytes
from darkroom.catalog import DEMO as DEMO_ENTRY
from darkroom.catalog import FLUX1_DEV, FLUX1_SCHNELL, MODELS
from darkroom.engine import demo
from darkroom.engine.float8 import Float8Linear
from darkroom.engine.loading import load_models
from darkroom.engine.modulation import BlockModulation
from darkroom.engine.resting import Unit

MODELS_FOLDER = Path(__file__).parents[1] / "models"
FLUX1_MODULES = {
    "flux_dit": FluxDiT,
    "flux_text_encoder_t5": FluxTextEncoderT5,
    "flux_text_encoder_clip": FluxTextEncoderClip,
    "flux_vae_decoder": FluxVAEDecoder,
    "flux_vae_encoder": FluxVAEEncoder,
}


TYPES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "float32"])


@pytest.fixture(scope="module", params=[torch.bfloat16, torch.float32], ids=["bf16", "float32"])
def demo_models(request: pytest.FixtureRequest) -> tuple[dict[str, nn.Module], Architecture]:
    return load_demo(request.param)


def load_demo(dtype: torch.dtype) -> tuple[dict[str, nn.Module], Architecture]:
    demo.register()
    files = DEMO_ENTRY.files
    models: dict[str, nn.Module] = {}
    for file in (files.transformer, files.text_encoder_1, files.text_encoder_2, files.vae):
        models |= load_models(MODELS_FOLDER / file, dtype=dtype, read=lambda _: None)
    return models, replace(DEMO, number_bytes=dtype.itemsize)


@pytest.fixture(scope="module")
def flux1_models() -> dict[str, nn.Module]:
    return empty_flux1()


def empty_flux1() -> dict[str, nn.Module]:
    """FLUX.1's modules without content, float8 where its blocks have Linear layers."""
    with torch.device("meta"):
        models = {name: module().to(torch.bfloat16) for name, module in FLUX1_MODULES.items()}
    for block in (*transformer_blocks(models), *t5_blocks(models)):
        to_float8(block)
    return models


def transformer_blocks(models: dict[str, nn.Module]) -> tuple[nn.Module, ...]:
    """In running order."""
    transformer = models["flux_dit"]
    joint, single = transformer.get_submodule("blocks"), transformer.get_submodule("single_blocks")
    return (*joint.children(), *single.children())


def t5_blocks(models: dict[str, nn.Module]) -> nn.ModuleList:
    blocks = models["flux_text_encoder_t5"].get_submodule("encoder.block")
    assert isinstance(blocks, nn.ModuleList)
    return blocks


def to_float8(module: nn.Module) -> None:
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.Linear):
            parent, _, last = name.rpartition(".")
            stored = torch.empty(layer.weight.shape, dtype=torch.float8_e4m3fn, device="meta")
            bias = None if layer.bias is None else layer.bias.data
            setattr(module.get_submodule(parent), last, Float8Linear(stored, torch.ones((), device="meta"), bias))


def sizes(module: nn.Module, *, without: Iterable[nn.Module] = ()) -> list[int]:
    """Bytes of each tensor, each once, leaving out those of some modules inside."""
    seen = {id(tensor) for inner in without for tensor in (*inner.parameters(), *inner.buffers())}
    found = []
    for tensor in (*module.parameters(), *module.buffers()):
        if id(tensor) not in seen:
            seen.add(id(tensor))
            found.append(tensor.nbytes)
    return found


def test_tensors_in_a_flat_buffer_begin_at_multiples_of_the_alignment() -> None:
    assert flat_bytes([]) == 0
    assert flat_bytes([1]) == flat_bytes([ALIGNMENT]) == ALIGNMENT
    assert flat_bytes([ALIGNMENT + 1, 4]) == 3 * ALIGNMENT


def test_a_unit_of_each_block_of_the_demo_takes_the_bytes_that_its_dimensions_say(
    demo_models: tuple[dict[str, nn.Module], Architecture],
) -> None:
    models, architecture = demo_models
    units = [Unit(block).bytes for block in transformer_blocks(models)]
    assert tuple(units) == architecture.transformer_blocks
    assert tuple(Unit(block).bytes for block in t5_blocks(models)) == architecture.t5_blocks


def test_all_else_of_the_demo_takes_the_bytes_that_its_dimensions_say(
    demo_models: tuple[dict[str, nn.Module], Architecture],
) -> None:
    models, architecture = demo_models
    assert_the_rest_is_as_said(models, architecture)


def test_each_block_of_flux1_takes_the_bytes_that_its_dimensions_say(flux1_models: dict[str, nn.Module]) -> None:
    blocks = transformer_blocks(flux1_models)
    assert tuple(flat_bytes(sizes(block)) for block in blocks) == FLUX1.transformer_blocks
    assert tuple(flat_bytes(sizes(block)) for block in t5_blocks(flux1_models)) == FLUX1.t5_blocks


@TYPES
def test_with_modulation_apart_units_of_the_demo_take_the_bytes_that_its_dimensions_say(dtype: torch.dtype) -> None:
    models, architecture = load_demo(dtype)
    blocks = transformer_blocks(models)
    modulation = [BlockModulation(block) for block in blocks]
    apart = replace(architecture, modulation_apart=True)
    assert tuple(Unit(part).bytes for part in modulation) == apart.modulation_units
    assert tuple(Unit(block, without=modulation).bytes for block in blocks) == apart.transformer_blocks
    assert tuple(Unit(block).bytes for block in blocks) == architecture.transformer_blocks
    assert sum(part.width for part in modulation) * dtype.itemsize == apart.modulation_row_bytes


def test_with_modulation_apart_units_of_flux1_take_the_bytes_that_its_dimensions_say() -> None:
    blocks = transformer_blocks(empty_flux1())
    modulation = [BlockModulation(block) for block in blocks]
    apart = replace(FLUX1, modulation_apart=True)
    assert tuple(flat_bytes(sizes(part)) for part in modulation) == apart.modulation_units
    assert tuple(flat_bytes(sizes(block, without=modulation)) for block in blocks) == apart.transformer_blocks
    assert sum(part.width for part in modulation) * 2 == apart.modulation_row_bytes


def test_apart_or_not_modulation_is_as_many_bytes_and_about_a_quarter_of_the_transformer() -> None:
    for architecture in (FLUX1, DEMO):
        apart = replace(architecture, modulation_apart=True)
        assert apart.stored_bytes == architecture.stored_bytes
        assert architecture.modulation_units == ()
        assert sum(apart.modulation_units) / sum(architecture.transformer_blocks) == pytest.approx(0.26, abs=0.015)


def test_all_else_of_flux1_takes_the_bytes_that_its_dimensions_say(flux1_models: dict[str, nn.Module]) -> None:
    assert_the_rest_is_as_said(flux1_models, FLUX1)


def assert_the_rest_is_as_said(models: dict[str, nn.Module], architecture: Architecture) -> None:
    transformer, t5 = models["flux_dit"], models["flux_text_encoder_t5"]
    blocks = (transformer.get_submodule("blocks"), transformer.get_submodule("single_blocks"))
    assert sum(sizes(transformer, without=blocks)) == architecture.transformer_rest_bytes
    assert sum(sizes(t5, without=[t5_blocks(models)])) == architecture.t5_rest_bytes
    assert sum(sizes(models["flux_text_encoder_clip"])) == architecture.clip_bytes
    assert sum(sizes(models["flux_vae_decoder"])) == architecture.vae_decoder_bytes
    assert sum(sizes(models["flux_vae_encoder"])) == architecture.vae_encoder_bytes


def test_the_parts_add_up_to_what_is_stored() -> None:
    for architecture in (FLUX1, DEMO):
        blocks = (*architecture.transformer_blocks, *architecture.t5_blocks)
        rests = (architecture.transformer_rest_bytes, architecture.t5_rest_bytes, architecture.clip_bytes)
        assert sum(blocks) + sum(rests) + architecture.vae_bytes == architecture.stored_bytes
        assert len(architecture.transformer_blocks) == architecture.joint_blocks + architecture.single_blocks


@pytest.mark.parametrize(("side", "flop"), [(512, 21.5e12), (768, 41.9e12), (1024, 74.4e12), (1536, 191.9e12)])
def test_a_step_of_flux1_takes_the_arithmetic_that_was_counted(side: int, flop: float) -> None:
    tokens = FLUX1.image_tokens(side, side) + 512
    assert FLUX1.linear_flop(tokens) + FLUX1.attention_flop(tokens) == pytest.approx(flop, rel=0.005)


def test_a_picture_has_a_token_for_each_sixteen_pixels_square() -> None:
    assert FLUX1.image_tokens(1024, 1024) == 4096
    assert FLUX1.image_tokens(1536, 640) == 96 * 40


def test_the_catalogue_knows_each_models_dimensions() -> None:
    assert DEMO_ENTRY.architecture == DEMO
    assert FLUX1_DEV.architecture == FLUX1
    assert not FLUX1_SCHNELL.has_guidance
    assert all(model.architecture in (DEMO, FLUX1, replace(FLUX1, guidance=False)) for model in MODELS)
