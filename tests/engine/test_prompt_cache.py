"""What is remembered of a prompt, and what goes first."""

from pathlib import Path

import pytest
import torch
from diffsynth.pipelines.flux_image import FluxImageUnit_PromptEmbedder
from torch import Tensor

from darkroom.catalog import DEMO
from darkroom.engine.flux import load_pipeline
from darkroom.engine.prompt_cache import PromptCache
from darkroom.engine.watcher import Watcher

MODELS = Path(__file__).parents[2] / "models"
CPU = torch.device("cpu")


def key(prompt: str = "a house", *, model: str = "demo", tokens: int = 96) -> tuple[str, str, int]:
    return model, prompt, tokens


def answer(number: float = 0.0, size: int = 100) -> dict[str, Tensor]:
    """`size` bytes."""
    return {"prompt_emb": torch.full((size // 4,), number)}


def test_what_was_put_in_comes_back_bit_for_bit_in_its_own_type() -> None:
    cache = PromptCache(10_000)
    strange = torch.tensor([torch.nan, -0.0, torch.inf, 1e-40])
    put = {"prompt_emb": torch.randn(1, 8, 16).bfloat16(), "pooled_prompt_emb": strange}
    cache.put(*key(), put)
    got = cache.get(*key(), CPU)
    assert got is not None
    assert got.keys() == put.keys()
    for name, tensor in put.items():
        assert (got[name].dtype, got[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(got[name].view(torch.uint8), tensor.view(torch.uint8))


def test_what_the_encoders_answer_is_remembered_as_they_gave_it() -> None:
    pipeline = load_pipeline(DEMO, MODELS, CPU, Watcher())
    unit = FluxImageUnit_PromptEmbedder()
    given = FluxImageUnit_PromptEmbedder.process(unit, pipeline, "a red house", 96, positive=True)
    cache = PromptCache(2**20)
    cache.put(*key("a red house"), given)
    got = cache.get(*key("a red house"), CPU)
    assert got is not None
    assert set(got) == {"prompt_emb", "pooled_prompt_emb", "text_ids"}
    assert all(torch.equal(got[name], given[name]) for name in got)


@pytest.mark.parametrize("other", [key("a hut"), key(model="other"), key(tokens=512)], ids=str)
def test_another_prompt_model_or_length_is_another_answer(other: tuple[str, str, int]) -> None:
    cache = PromptCache(10_000)
    cache.put(*key(), answer(1.0))
    assert cache.get(*other, CPU) is None
    assert cache.get(*key(), CPU) is not None


def test_the_one_not_asked_for_the_longest_goes_first() -> None:
    cache = PromptCache(300)
    for prompt in ("a", "b", "c"):
        cache.put(*key(prompt), answer())
    assert cache.get(*key("a"), CPU) is not None
    cache.put(*key("d"), answer())
    assert [prompt for prompt in "abcd" if cache.get(*key(prompt), CPU)] == ["a", "c", "d"]


def test_the_limit_is_kept_and_what_is_larger_than_it_is_not_remembered() -> None:
    cache = PromptCache(300)
    for number in range(20):
        cache.put(*key(str(number)), answer(size=40 + number * 8))
        assert cache.bytes <= 300
    before = cache.bytes
    cache.put(*key("large"), answer(size=304))
    assert (cache.get(*key("large"), CPU), cache.bytes) == (None, before)
    cache.put(*key("exact"), answer(size=300))
    assert (cache.get(*key("exact"), CPU) is not None, cache.bytes) == (True, 300)


def test_with_no_room_nothing_is_remembered() -> None:
    cache = PromptCache(0)
    cache.put(*key(), answer())
    assert (cache.get(*key(), CPU), cache.bytes) == (None, 0)


def test_a_second_answer_replaces_the_first() -> None:
    cache = PromptCache(300)
    cache.put(*key(), answer(1.0))
    cache.put(*key(), answer(2.0))
    got = cache.get(*key(), CPU)
    assert got is not None
    assert (got["prompt_emb"][0], cache.bytes) == (2, 100)


def test_nobody_can_change_what_is_remembered() -> None:
    cache = PromptCache(300)
    put = answer(1.0)
    cache.put(*key(), put)
    put["prompt_emb"].zero_()
    first = cache.get(*key(), CPU)
    assert first is not None
    first["prompt_emb"].zero_()
    second = cache.get(*key(), CPU)
    assert second is not None
    assert torch.equal(second["prompt_emb"], torch.ones(25))


def test_of_a_part_of_a_tensor_only_the_part_is_held() -> None:
    cache = PromptCache(1000)
    cache.put(*key(), {"prompt_emb": torch.zeros(1000)[:10]})
    got = cache.get(*key(), CPU)
    assert got is not None
    assert got["prompt_emb"].untyped_storage().nbytes() == cache.bytes == 40


def test_it_can_be_emptied() -> None:
    cache = PromptCache(300)
    cache.put(*key(), answer())
    cache.clear()
    assert (cache.get(*key(), CPU), cache.bytes) == (None, 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
def test_on_a_card_nothing_of_it_stays_and_it_comes_back_there_bit_for_bit() -> None:
    cache, card = PromptCache(2**20), torch.device("cuda")
    put = {"prompt_emb": torch.randn(1, 96, 256, device=card, dtype=torch.bfloat16)}
    expected = put["prompt_emb"].cpu()
    before = torch.cuda.memory_allocated()
    cache.put(*key(), put)
    put.clear()
    assert torch.cuda.memory_allocated() < before
    got = cache.get(*key(), card)
    assert got is not None
    assert got["prompt_emb"].is_cuda
    assert torch.equal(got["prompt_emb"].cpu(), expected)
