"""Files of weights to models, and what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from darkroom.catalog import DEMO
from darkroom.engine import demo
from darkroom.engine.float8 import STORED, Float8Linear
from darkroom.engine.loading import SCALE_SUFFIX, load_models, model_hash
from darkroom.errors import ModelUnusable

MODELS = Path(__file__).parents[2] / "models"
FILES = (DEMO.files.transformer, DEMO.files.text_encoder_1, DEMO.files.text_encoder_2, DEMO.files.vae)


@pytest.fixture(autouse=True)
def _demo_is_known() -> None:
    demo.register()


@pytest.mark.parametrize("file", FILES, ids=str)
def test_each_shipped_file_is_recognised_by_its_tensors(file: Path) -> None:
    tensors = {
        name: tensor for name, tensor in load_file(MODELS / file).items() if not name.endswith(SCALE_SUFFIX)
    }
    assert model_hash(tensors) in {entry["model_hash"] for entry in demo.ENTRIES}


def test_the_transformer_keeps_its_float8_weights_and_every_one_has_a_scale() -> None:
    models = load_models(MODELS / DEMO.files.transformer, dtype=torch.float32, read=lambda _: None)
    transformer = models["flux_dit"]
    layers = [layer for layer in transformer.modules() if isinstance(layer, Float8Linear)]
    stored = load_file(MODELS / DEMO.files.transformer)
    assert len(layers) == sum(name.endswith(SCALE_SUFFIX) for name in stored) > 50
    assert all(layer.stored.dtype == STORED and layer.scale != 1 for layer in layers)
    assert not any(tensor.is_meta for tensor in (*transformer.parameters(), *transformer.buffers()))


def test_one_vae_file_gives_encoder_and_decoder() -> None:
    models = load_models(MODELS / DEMO.files.vae, dtype=torch.float32, read=lambda _: None)
    assert set(models) == {"flux_vae_encoder", "flux_vae_decoder"}


def test_every_byte_that_is_read_is_told() -> None:
    told: list[int] = []
    load_models(MODELS / DEMO.files.vae, dtype=torch.float32, read=told.append)
    assert sum(told) == sum(tensor.nbytes for tensor in load_file(MODELS / DEMO.files.vae).values())


def test_a_missing_a_damaged_and_an_unknown_file_are_each_called_so(tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes((MODELS / DEMO.files.vae).read_bytes()[:1000])
    save_file({"strange": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, reason in (("none", "missing"), ("cut", "damaged"), ("other", "unknown")):
        with pytest.raises(ModelUnusable) as raised:
            load_models(tmp_path / f"{name}.safetensors", dtype=torch.float32, read=lambda _: None)
        assert raised.value.reason == reason
        assert raised.value.file == f"{name}.safetensors"


def test_a_float8_file_without_scales_is_taken_as_a_plain_cast(tmp_path: Path) -> None:
    tensors = {
        name: tensor
        for name, tensor in load_file(MODELS / DEMO.files.transformer).items()
        if not name.endswith(SCALE_SUFFIX)
    }
    save_file(tensors, tmp_path / "plain.safetensors")
    transformer = load_models(tmp_path / "plain.safetensors", dtype=torch.float32, read=lambda _: None)["flux_dit"]
    assert all(layer.scale == 1 for layer in transformer.modules() if isinstance(layer, Float8Linear))
