"""The exported files, read by DiffSynth's own converters, fill the demo model completely and exactly."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("diffsynth")

from diffsynth.utils.lora.flux import FluxLoRALoader
from diffsynth.utils.state_dict_converters.flux_dit import FluxDiTStateDictConverter
from diffsynth.utils.state_dict_converters.flux_text_encoder_clip import FluxTextEncoderClipStateDictConverter
from diffsynth.utils.state_dict_converters.flux_text_encoder_t5 import FluxTextEncoderT5StateDictConverter
from diffsynth.utils.state_dict_converters.flux_vae import (
    FluxVAEDecoderStateDictConverter,
    FluxVAEEncoderStateDictConverter,
)
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from darkroom.engine.demo import DemoVAEDecoder, DemoVAEEncoder
from tools.demo_model.export import METADATA, export, lora_names
from tools.demo_model.network import DemoNetwork
from tools.demo_model.train_lora import add_lora, lora_state


@pytest.fixture(scope="module")
def network() -> DemoNetwork:
    torch.manual_seed(1)
    network = DemoNetwork()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.05)
    return network


@pytest.fixture(scope="module")
def coders() -> dict[str, nn.Module]:
    torch.manual_seed(2)
    return {"encoder": DemoVAEEncoder(), "decoder": DemoVAEDecoder()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, network: DemoNetwork, coders: dict[str, nn.Module]) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    export(folder, network=dict(network.named_parameters()), vae=_vae(coders))
    return folder


def test_the_transformer_comes_back_through_flux_names(folder: Path, network: DemoNetwork) -> None:
    state = FluxDiTStateDictConverter(_unscaled(load_file(folder / "transformer.safetensors")))
    _same(state, network.dit, tolerance=0.04)


def test_the_first_text_encoder_comes_back_through_clip_names(folder: Path, network: DemoNetwork) -> None:
    state = FluxTextEncoderClipStateDictConverter(_unscaled(load_file(folder / "text_encoder.safetensors")))
    _same(state, network.text_encoder_1, tolerance=0.04)


def test_the_second_text_encoder_comes_back_through_t5_names(folder: Path, network: DemoNetwork) -> None:
    state = FluxTextEncoderT5StateDictConverter(_unscaled(load_file(folder / "text_encoder_2.safetensors")))
    _same(state, network.text_encoder_2, tolerance=0.04)


def test_the_vae_comes_back_through_flux_names(folder: Path, coders: dict[str, nn.Module]) -> None:
    state = load_file(folder / "ae.safetensors")
    _same(FluxVAEEncoderStateDictConverter(state), coders["encoder"], tolerance=0.004)
    _same(FluxVAEDecoderStateDictConverter(state), coders["decoder"], tolerance=0.004)


def test_linear_weights_of_the_blocks_are_float8_with_a_scale_and_all_else_is_not(folder: Path) -> None:
    state = load_file(folder / "transformer.safetensors")
    small = {name for name, value in state.items() if value.dtype == torch.float8_e4m3fn}
    assert "double_blocks.0.img_mod.lin.weight" in small
    assert "single_blocks.0.linear1.weight" in small
    assert "final_layer.linear.weight" not in small
    for name in small:
        scale = state[name.removesuffix("weight") + "scale_weight"]
        assert scale.shape == ()
        assert scale.dtype == torch.float32


def test_the_same_weights_give_the_same_bytes(
    tmp_path: Path, folder: Path, network: DemoNetwork, coders: dict[str, nn.Module]
) -> None:
    export(tmp_path, network=dict(network.named_parameters()), vae=_vae(coders))
    for path in sorted(folder.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_the_lora_reaches_every_linear_layer_of_the_blocks(tmp_path: Path) -> None:
    network = DemoNetwork()
    layers = add_lora(network.dit, rank=8)
    assert set(layers) == set(lora_names())
    save_file(lora_state(layers), tmp_path / "ink.safetensors", metadata=METADATA)
    state = FluxLoRALoader().convert_state_dict(load_file(tmp_path / "ink.safetensors"))
    reached = {name.removesuffix(".lora_A.weight") for name in state if name.endswith(".lora_A.weight")}
    assert reached == set(layers)


def _vae(coders: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {f"{coder}.{name}": value for coder, model in coders.items() for name, value in model.state_dict().items()}


def _unscaled(state: dict[str, Tensor]) -> dict[str, Tensor]:
    result = {}
    for name, value in state.items():
        if not name.endswith(".scale_weight"):
            scale = state.get(name.removesuffix("weight") + "scale_weight")
            result[name] = value.float() if scale is None else value.float() * scale
    return result


def _same(state: dict[str, Tensor], model: nn.Module, *, tolerance: float) -> None:
    wanted = {name: value for name, value in model.state_dict().items() if name != "attn_mask"}
    assert set(state) == set(wanted)
    for name, value in wanted.items():
        assert state[name].shape == value.shape, name
        error = (state[name].float() - value).norm() / value.norm().clamp(min=1e-6)
        assert error < tolerance, name
