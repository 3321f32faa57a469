"""The VAE in strips gives what it gives in one go, at every size, with less memory."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffsynth.models.flux_vae import VAEAttentionBlock
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from darkroom.catalog import DEMO
from darkroom.engine import demo
from darkroom.engine.decoding import _plain, _Strips, decode, encode
from darkroom.engine.loading import load_models
from tests.alive import AliveBytes

MODELS = Path(__file__).parents[2] / "models"
# One step of the 255 of a picture's bytes, in −1…1.
ONE_LEVEL = 2 / 255
# Heights and widths in pixels: the smallest, long and narrow both ways, one step around what strips and tiles like.
SIZES = [(64, 64), (64, 2048), (2048, 64), (80, 640), (640, 80), (272, 400), (624, 64), (656, 96), (176, 208)]
Vaes = dict[str, nn.Module]


def vaes(dtype: torch.dtype) -> Vaes:
    demo.register()
    return load_models(MODELS / DEMO.files.vae, dtype=dtype, read=lambda _: None)


@pytest.fixture(scope="module")
def vae() -> Vaes:
    return vaes(torch.float32)


@pytest.fixture
def narrow_vae(monkeypatch: pytest.MonkeyPatch) -> Vaes:
    """The same layers, with few channels and without training: quick at any size."""
    monkeypatch.setattr(demo, "VAE_WIDTHS", (8, 16, 16))
    torch.manual_seed(1)
    models = {"flux_vae_decoder": demo.DemoVAEDecoder(), "flux_vae_encoder": demo.DemoVAEEncoder()}
    for model in models.values():
        for norm in (layer for layer in model.modules() if isinstance(layer, nn.GroupNorm)):
            nn.init.normal_(norm.weight, 1, 0.3)
            nn.init.normal_(norm.bias, 0, 0.3)
    return {name: model.eval().requires_grad_(False) for name, model in models.items()}


def scene(height: int, width: int) -> Tensor:
    """Pixels with large forms, hard edges, a dark and a bright half: its parts are unlike the whole."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    rings = torch.sin(40 * ((x - 0.3) ** 2 + (y - 0.6) ** 2))
    house = ((x > 0.6) & (x < 0.8) & (y > 0.5)).float()
    return torch.stack([rings * x, 2 * y - 1 - house, x - y + 0.5 * house])[None].clamp(-1, 1)


def largest_difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    assert a.dtype == b.dtype == torch.float32
    return float((a - b).abs().max())


@pytest.mark.parametrize("tile", [64, 200])
def test_a_picture_decoded_in_strips_is_the_picture_decoded_at_once(vae: Vaes, tile: int) -> None:
    latents = encode(vae["flux_vae_encoder"], scene(288, 320), tile=None)
    whole = decode(vae["flux_vae_decoder"], latents, tile=None)
    assert whole.shape == (1, 3, 288, 320)
    assert whole.std() > 0.1
    strips = decode(vae["flux_vae_decoder"], latents, tile=tile)
    assert largest_difference(strips, whole) < 0.001 * ONE_LEVEL


@pytest.mark.parametrize("tile", [64, 200])
def test_a_picture_encoded_in_strips_is_the_picture_encoded_at_once(vae: Vaes, tile: int) -> None:
    pixels = scene(288, 320)
    whole = encode(vae["flux_vae_encoder"], pixels, tile=None)
    assert whole.shape == (1, 16, 36, 40)
    strips = encode(vae["flux_vae_encoder"], pixels, tile=tile)
    assert largest_difference(strips, whole) < 1e-4 * whole.std()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("tile", [48, 256])
def test_at_every_size_both_ways_are_the_same_and_every_value_is_a_number(
    narrow_vae: Vaes, size: tuple[int, int], tile: int
) -> None:
    pixels = scene(*size)
    latents = encode(narrow_vae["flux_vae_encoder"], pixels, tile=None)
    in_strips = encode(narrow_vae["flux_vae_encoder"], pixels, tile=tile)
    assert in_strips.isfinite().all()
    assert largest_difference(in_strips, latents) < 1e-4 * latents.std()
    whole = decode(narrow_vae["flux_vae_decoder"], latents, tile=None)
    strips = decode(narrow_vae["flux_vae_decoder"], latents, tile=tile)
    assert strips.shape[-2:] == size
    assert strips.isfinite().all()
    assert largest_difference(strips, whole) < 1e-4 * whole.std()


@pytest.mark.parametrize(("before", "after"), [(1, 1), (1, 2), (2, 1)], ids=["same", "twice", "half"])
def test_at_every_side_up_to_2048_strips_write_each_row_once_and_read_all_it_depends_on(
    before: int, after: int
) -> None:
    for side in range(64, 2049, 16):
        source = torch.empty(1, 1, side, 2112 - side, device="meta")
        for tile in (1, 64, 256, 1024):
            rows: list[int] = []
            for strip in _Strips(tile, 1, None).of(source, side * after // before):
                rows += range(strip.write.start, strip.write.stop)
                first, last = strip.write.start * before // after, -(-strip.write.stop * before // after)
                # A half as large output has no row above; none of them looks outside.
                assert strip.read.start == max(first - (before == 1), 0)
                assert strip.read.stop == min(last + 1, side)
                assert strip.keep.stop - strip.keep.start == strip.write.stop - strip.write.start
                assert strip.keep.start == strip.write.start - strip.read.start * after // before
            assert rows == list(range(side * after // before))


@pytest.mark.parametrize("tile", [None, 64])
def test_what_is_decoded_and_encoded_is_left_as_it_was(narrow_vae: Vaes, tile: int | None) -> None:
    pixels = scene(96, 96)
    latents = encode(narrow_vae["flux_vae_encoder"], pixels, tile=tile)
    before = latents.clone()
    decode(narrow_vae["flux_vae_decoder"], latents, tile=tile)
    assert torch.equal(pixels, scene(96, 96))
    assert torch.equal(latents, before)


def test_pictures_in_one_batch_do_not_mix(narrow_vae: Vaes) -> None:
    latents = torch.randn(2, 16, 12, 10) * torch.tensor([1.0, 3.0])[:, None, None, None]
    both = decode(narrow_vae["flux_vae_decoder"], latents, tile=48)
    for number in range(2):
        alone = decode(narrow_vae["flux_vae_decoder"], latents[number : number + 1], tile=None)
        assert largest_difference(both[number : number + 1], alone) < 1e-4 * alone.std()


def test_in_bfloat16_both_ways_differ_by_roundings_only(vae: Vaes) -> None:
    short = vaes(torch.bfloat16)
    exact = encode(vae["flux_vae_encoder"], scene(256, 192), tile=None)
    picture = decode(vae["flux_vae_decoder"], exact, tile=None)
    whole, strips = (decode(short["flux_vae_decoder"], exact.bfloat16(), tile=tile) for tile in (None, 100))
    assert largest_difference(strips, whole) < 4 * ONE_LEVEL
    assert (strips - picture).abs().mean() < 1.1 * (whole - picture).abs().mean() < ONE_LEVEL


@pytest.mark.parametrize("convolution", [True, False])
def test_attention_is_diffsynths_and_its_rows_lie_as_kernels_want_them(
    monkeypatch: pytest.MonkeyPatch, convolution: bool
) -> None:
    torch.manual_seed(3)
    block = VAEAttentionBlock(2, 16, 32, 2, norm_num_groups=8, use_conv_attention=convolution).requires_grad_(False)
    hidden = torch.randn(2, 32, 6, 10)
    given: list[Tensor] = []
    expected = block(hidden, None, None, None)[0]
    attention = functional.scaled_dot_product_attention

    def watched(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        given.extend((query, key, value))
        return attention(query, key, value)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", watched)
    assert torch.allclose(_plain(block)(hidden), expected, atol=1e-5)
    assert [each.stride(-1) for each in given] == [1] * 6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
@torch.no_grad()
def test_on_a_card_attention_at_flux_size_holds_no_weight_of_each_place_for_each_other() -> None:
    torch.manual_seed(3)
    block = VAEAttentionBlock(1, 512, 512, 1, eps=1e-6).to("cuda", torch.bfloat16)
    hidden = torch.randn(1, 512, 96, 80, device="cuda", dtype=torch.bfloat16)
    _plain(block)(hidden)
    expected = block(hidden, None, None, None)[0]
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    # Without the kernel that writes them out: if none of the others took it, this would raise.
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]):
        answer = _plain(block)(hidden)
    assert torch.cuda.max_memory_allocated() - before < 20 * hidden.nbytes
    assert (answer - expected).abs().max() < 0.02 * expected.abs().max()


class Enough(Exception):
    """Raised by a test in the middle of decoding."""


@pytest.mark.parametrize("tile", [None, 64])
def test_what_is_done_rises_to_all_of_it(narrow_vae: Vaes, tile: int | None) -> None:
    for way, whole in ((encode, scene(192, 128)), (decode, torch.randn(1, 16, 24, 16))):
        told: list[float] = []
        model = narrow_vae["flux_vae_encoder" if way is encode else "flux_vae_decoder"]
        way(model, whole, tile=tile, between=told.append)
        assert told == sorted(set(told))
        assert told[-1] == 1
        assert all(after - before < 0.1 for before, after in pairwise(told))
        assert len(told) > (40 if tile else 0)


def test_decoding_can_be_stopped_between_strips_and_started_anew(narrow_vae: Vaes) -> None:
    latents = torch.randn(1, 16, 24, 16)
    decoder = narrow_vae["flux_vae_decoder"]
    expected = decode(decoder, latents, tile=64)

    def stop(fraction: float) -> None:
        if fraction > 0.5:
            raise Enough

    with pytest.raises(Enough):
        decode(decoder, latents, tile=64, between=stop)
    assert torch.equal(decode(decoder, latents, tile=64), expected)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("tile", [None, 64])
def test_latents_that_are_not_numbers_are_refused(narrow_vae: Vaes, value: float, tile: int | None) -> None:
    latents = torch.randn(1, 16, 8, 8)
    latents[0, 3, 4, 5] = value
    with pytest.raises(ValueError, match="not finite"):
        decode(narrow_vae["flux_vae_decoder"], latents, tile=tile)


def test_a_tile_of_no_pixels_is_refused(narrow_vae: Vaes) -> None:
    with pytest.raises(ValueError, match="tile 0"):
        decode(narrow_vae["flux_vae_decoder"], torch.randn(1, 16, 8, 8), tile=0)


def most_alive(work: Callable[[], Tensor]) -> int:
    with AliveBytes() as count:
        work()
    return count.most


def test_strips_keep_of_a_layer_only_what_comes_in_and_what_goes_out(vae: Vaes) -> None:
    latents, side = torch.randn(1, 16, 48, 48), 48 * 8
    narrow, middle, _ = demo.VAE_WIDTHS
    whole = most_alive(lambda: decode(vae["flux_vae_decoder"], latents, tile=None))
    strips = most_alive(lambda: decode(vae["flux_vae_decoder"], latents, tile=64))
    assert strips < 4 * (middle + narrow) * side**2 * 1.15
    assert strips < 0.65 * whole


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
@pytest.mark.parametrize("tile", [96, 256])
def test_on_a_card_both_ways_differ_by_roundings_only_and_strips_take_less_memory(tile: int) -> None:
    models = {name: model.cuda() for name, model in vaes(torch.bfloat16).items()}
    latents = encode(models["flux_vae_encoder"], scene(768, 640).cuda().bfloat16(), tile=None)
    in_strips = encode(models["flux_vae_encoder"], scene(768, 640).cuda().bfloat16(), tile=tile)
    assert (in_strips - latents).abs().mean() < 0.01 * latents.std()
    heights, pictures = [], []
    for each in (None, tile):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        pictures.append(decode(models["flux_vae_decoder"], latents.bfloat16(), tile=each))
        heights.append(torch.cuda.max_memory_allocated() - before)
    assert pictures[1].is_cuda
    assert largest_difference(pictures[1], pictures[0]) < 6 * ONE_LEVEL
    assert heights[1] < 0.8 * heights[0]
