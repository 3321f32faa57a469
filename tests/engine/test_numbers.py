"""Weights that are no numbers are refused while they are read, by the name they have in their file."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from darkroom.catalog import DEMO
from darkroom.engine import demo, numbers
from darkroom.engine.conversion import SUFFIX, find_weights
from darkroom.engine.loading import load_models
from darkroom.engine.numbers import PORTION, all_numbers
from darkroom.errors import ModelUnusable
from tests.engine.layouts import MODELS, SCALE, diffusers_transformer, save, shipped, wide

FLOAT8 = torch.float8_e4m3fn


@pytest.fixture(autouse=True)
def _demo_is_known() -> None:
    demo.register()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e5m2], ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_value_that_is_no_number_is_seen(value: float, dtype: torch.dtype) -> None:
    tensor = torch.randn(301, 77).to(dtype)
    assert all_numbers(tensor)
    tensor[300, 76] = value
    assert not all_numbers(tensor)


@pytest.mark.parametrize("place", [0, PORTION // 2, PORTION, PORTION + 4998])
@pytest.mark.parametrize("bits", [0x7F, 0xFF])
def test_one_float8_value_that_is_no_number_is_seen(bits: int, place: int) -> None:
    content = torch.arange(PORTION + 4999).remainder(0x7F).to(torch.uint8)
    content[1::2] |= 0x80
    assert all_numbers(content.view(FLOAT8))
    content[place] = bits
    assert not all_numbers(content.view(FLOAT8))


def test_all_bits_are_numbers_or_not_as_torch_says() -> None:
    every = torch.arange(256, dtype=torch.uint8).view(FLOAT8)
    assert [all_numbers(each[None]) for each in every] == every.float().isfinite().tolist()


def test_nothing_and_whole_numbers_are_numbers() -> None:
    assert all_numbers(torch.empty(0))
    assert all_numbers(torch.empty(0, dtype=FLOAT8))
    assert all_numbers(torch.arange(4))


def spoilt(tensors: dict[str, Tensor], name: str, value: float = float("nan")) -> dict[str, Tensor]:
    tensor = tensors[name].float()
    tensor.view(-1)[-1] = value
    return tensors | {name: tensor.to(tensors[name].dtype)}


LAYER = "single_blocks.3.linear2"
FILES = {
    "a wide weight": (spoilt(wide("transformer"), f"{LAYER}.weight"), f"{LAYER}.weight"),
    "an infinite weight": (spoilt(wide("transformer"), f"{LAYER}.weight", float("-inf")), f"{LAYER}.weight"),
    "a stored weight": (spoilt(shipped("transformer"), f"{LAYER}.weight"), f"{LAYER}.weight"),
    "a bias": (spoilt(shipped("transformer"), f"{LAYER}.bias"), f"{LAYER}.bias"),
    "a norm": (
        spoilt(wide("transformer"), "double_blocks.0.img_attn.norm.key_norm.scale"),
        "double_blocks.0.img_attn.norm.key_norm.scale",
    ),
    "a scale": (spoilt(shipped("transformer"), LAYER + SCALE), LAYER + SCALE),
    "the VAE": (spoilt(shipped("vae"), "decoder.conv_in.weight"), "decoder.conv_in.weight"),
    "the words": (spoilt(shipped("text_encoder_2"), "shared.weight"), "shared.weight"),
    "a piece": (
        diffusers_transformer(spoilt(wide("transformer"), "single_blocks.0.linear1.weight")),
        "single_transformer_blocks.0.attn.to_q.weight",
    ),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("convert", [True, False])
def test_a_checkpoint_with_one_is_refused_and_the_tensor_named(kind: str, convert: bool, tmp_path: Path) -> None:
    tensors, name = FILES[kind]
    path = save(tmp_path / "bad.safetensors", tensors)
    weights = find_weights(path, dtype=torch.bfloat16, cache=tmp_path / "cache", convert=convert)
    for _ in range(2):
        with pytest.raises(ModelUnusable) as raised:
            weights.load(read=lambda _: None)
        assert (raised.value.reason, raised.value.file, raised.value.found) == ("numbers", "bad.safetensors", name)
    assert not [file for file in tmp_path.rglob("*") if file.name.endswith((SUFFIX, ".part", ".json"))]


def test_a_file_that_stays_mapped_is_read_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "model.safetensors", shipped("transformer"))
    looked_at: list[int] = []
    monkeypatch.setattr(
        "darkroom.engine.incoming.all_numbers",
        lambda tensor, **_: looked_at.append(tensor.nbytes) or all_numbers(tensor),  # type: ignore[func-returns-value]
    )

    def load(cache: Path | None) -> int:
        looked_at.clear()
        find_weights(path, dtype=torch.bfloat16, part="transformer", cache=cache).load(read=lambda _: None)
        return sum(looked_at)

    cache = tmp_path / "cache"
    assert load(cache) > 0.9 * path.stat().st_size
    # Scales are looked at each time: they are no part of what is mapped.
    assert load(cache) < 0.01 * path.stat().st_size
    assert load(None) > 0.9 * path.stat().st_size
    save(path, spoilt(shipped("transformer"), f"{LAYER}.weight"))
    with pytest.raises(ModelUnusable):
        load(cache)


def test_where_the_cache_cannot_be_written_it_is_read_through_each_time(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    verdicts = numbers.Verdicts(tmp_path / "cache")
    verdicts.remember([tmp_path / "a"], "same")
    assert not verdicts.are_good([tmp_path / "a"], "same")


def test_a_stop_is_heard_while_a_large_tensor_is_looked_through() -> None:
    class TooSoon(Exception):
        pass

    def stop() -> None:
        raise TooSoon

    with pytest.raises(TooSoon):
        all_numbers(torch.zeros(3 * PORTION, dtype=torch.uint8).view(FLOAT8), between=stop)


def test_the_shipped_weights_are_numbers() -> None:
    for file in (DEMO.files.transformer, DEMO.files.text_encoder_1, DEMO.files.text_encoder_2, DEMO.files.vae):
        load_models(MODELS / file, dtype=torch.bfloat16, read=lambda _: None)
