"""Float8 layers: precision, arithmetic, and the two ways of computing held against each other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from darkroom.catalog import DEMO
from darkroom.engine import demo, float8
from darkroom.engine.float8 import Float8Linear, LowRank, quantize, scaled_activations, use_float8_matmul
from darkroom.engine.flux import load_pipeline, make_picture
from darkroom.engine.loading import load_models
from darkroom.engine.watcher import Watcher
from darkroom.request import parse_request
from darkroom.wishes import Wishes

MODELS = Path(__file__).parents[2] / "models"
CPU = torch.device("cpu")
# e4m3 has three bits after the point: a rounding is off by 2.65 % on average; that of the other factor comes on top.
ROUNDING = 0.04
needs_card = pytest.mark.skipif(
    not (torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 9)),
    reason="no CUDA card that multiplies float8",
)


def layer_of(inputs: int, outputs: int, *, bias: bool = True, dtype: torch.dtype = torch.bfloat16) -> Float8Linear:
    stored, scale = quantize(torch.randn(outputs, inputs) * 0.02)
    return Float8Linear(stored, scale, torch.randn(outputs, dtype=dtype) if bias else None)


def both_ways(layer: Float8Linear, hidden: Tensor) -> tuple[Tensor, Tensor]:
    use_float8_matmul(layer, False)
    upcast: Tensor = layer(hidden)
    use_float8_matmul(layer, True)
    return upcast, layer(hidden)


def difference(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).norm() / b.float().norm())


def likeness(a: bytes, b: bytes, width: int, height: int) -> float:
    """Mean structural similarity of two RGB pictures' brightness: 11 × 11 Gaussian windows of σ = 1.5."""
    pictures = [Image.frombytes("RGB", (width, height), pixels).convert("L") for pixels in (a, b)]
    x, y = (torch.from_numpy(np.array(picture)).double()[None, None] for picture in pictures)
    bell = torch.exp(-(torch.arange(-5, 6).double() ** 2) / (2 * 1.5**2))
    window = (bell[:, None] * bell / bell.sum() ** 2)[None, None]

    def mean(values: Tensor) -> Tensor:
        return functional.conv2d(values, window)

    mean_x, mean_y = mean(x), mean(y)
    spread = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    together = mean(x * y) - mean_x * mean_y
    small, smaller = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_x * mean_y + small) * (2 * together + smaller)
    return float((similarity / ((mean_x**2 + mean_y**2 + small) * (spread + smaller))).mean())


def test_a_scaled_float8_weight_keeps_its_precision_however_small_it_is() -> None:
    for deviation in (1.0, 0.02, 0.004, 1e-5):
        weight = torch.randn(256, 256) * deviation
        stored, scale = quantize(weight)
        error = (stored.float() * scale - weight).norm() / weight.norm()
        assert error < 0.03


def test_a_weight_of_zeros_stays_zeros() -> None:
    stored, scale = quantize(torch.zeros(4, 4))
    assert torch.equal(stored.float() * scale, torch.zeros(4, 4))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_weight_taken_in_parts_becomes_what_it_becomes_as_a_whole(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = torch.randn(70, 48).to(dtype)
    original = weight.clone()
    whole, scale = quantize(weight)
    monkeypatch.setattr(float8, "ELEMENTS_AT_A_TIME", 1000)
    in_parts, same_scale = quantize(weight)
    assert torch.equal(in_parts.float(), whole.float())
    assert scale == same_scale
    assert torch.equal(weight, original)


@pytest.mark.parametrize("largest", [1e-38, 1e-20, 0.07, 447.9, 448.0, 448.1, 3e38], ids=str)
def test_a_scale_is_the_smallest_power_of_two_that_leaves_no_value_too_large(largest: float) -> None:
    weight = torch.rand(64, 64) * largest
    weight[3, 5] = -largest
    stored, scale = quantize(weight)
    mantissa, _ = torch.frexp(scale)
    assert mantissa == 0.5
    assert stored.float().isfinite().all()
    assert scale == torch.finfo(torch.float32).tiny or largest > 224 * float(scale)
    assert scale == scale.bfloat16().float()


def test_what_came_from_float8_without_a_scale_is_the_same_again() -> None:
    weight = (torch.randn(64, 64) * 0.7).to(float8.STORED).float()
    stored, scale = quantize(weight)
    assert torch.equal(stored.float() * scale, weight)


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_a_weight_that_is_not_finite_is_never_taken_for_a_number(value: float) -> None:
    weight = torch.randn(8, 8)
    weight[3, 5] = value
    stored, scale = quantize(weight)
    assert not (stored.float() * scale)[3, 5].isfinite()


@pytest.mark.parametrize("scale", [1.0, 2.0**-11, 1.0038, 0.007842, 1.0116 * 2.0**-13], ids=str)
@pytest.mark.parametrize("way", ["eager", "compiled"])
def test_any_scale_counts_in_full_where_the_weight_is_upcast(scale: float, way: str) -> None:
    torch.manual_seed(0)
    layer = Float8Linear(torch.randn(256, 512).to(float8.STORED), torch.tensor(scale), None)
    hidden = torch.randn(64, 512).bfloat16()
    assert torch.equal(layer._scaled(hidden), (hidden.float() * scale).bfloat16())
    compute = torch.compile(layer, backend="aot_eager", fullgraph=True) if way == "compiled" else layer
    expected = hidden.double() @ (layer.stored.double() * layer.scale.double()).T
    gain = float((compute(hidden).double() * expected).sum() / expected.square().sum())
    # Rounded to bf16, the last three scales alone would be off by 0.0037. What is left is the activations' rounding.
    power_of_two = scale in (1.0, 2.0**-11)
    assert gain == pytest.approx(1, abs=1e-4 if power_of_two else 2e-3)


def test_the_layer_computes_what_a_linear_layer_with_the_stored_weight_computes() -> None:
    linear = nn.Linear(32, 48)
    stored, scale = quantize(linear.weight.data)
    layer = Float8Linear(stored, scale, linear.bias.data)
    hidden = torch.randn(5, 32)
    linear.weight.data = stored.float() * scale
    assert torch.allclose(layer(hidden), linear(hidden), atol=1e-6)


def test_a_layer_without_a_bias_works_in_bfloat16() -> None:
    stored, scale = quantize(torch.randn(8, 8))
    hidden = torch.randn(2, 8, dtype=torch.bfloat16)
    assert Float8Linear(stored, scale, None)(hidden).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("shape", [(64, 96), (2, 40, 96), (1, 3, 30, 96)], ids=str)
def test_both_ways_agree_within_the_rounding_of_the_activations(
    dtype: torch.dtype, bias: bool, shape: tuple[int, ...]
) -> None:
    layer = layer_of(96, 160, bias=bias, dtype=dtype)
    upcast, multiplied = both_ways(layer, torch.randn(shape).to(dtype))
    assert (upcast.shape, upcast.dtype) == (multiplied.shape, multiplied.dtype) == ((*shape[:-1], 160), dtype)
    assert 0 < difference(multiplied, upcast) < ROUNDING


def test_a_bias_of_another_type_is_added_all_the_same() -> None:
    layer = layer_of(32, 32, dtype=torch.float32)
    hidden = torch.randn(64, 32).bfloat16()
    use_float8_matmul(layer, True)
    without = Float8Linear(layer.stored, layer.scale, None)
    use_float8_matmul(without, True)
    assert layer.bias is not None
    assert torch.allclose(layer(hidden).float(), without(hidden).float() + layer.bias, atol=0.05)


def test_what_is_not_contiguous_is_computed_too() -> None:
    layer = layer_of(64, 32)
    hidden = torch.randn(2, 64, 50).bfloat16().transpose(1, 2)
    upcast, multiplied = both_ways(layer, hidden)
    assert difference(multiplied, upcast) < ROUNDING


@pytest.mark.parametrize("size", [(0, 64, 64), (1, 64, 64), (32, 64, 64), (64, 60, 64), (64, 64, 60)], ids=str)
def test_few_rows_and_widths_that_do_not_fit_are_always_upcast(size: tuple[int, int, int]) -> None:
    rows, inputs, outputs = size
    upcast, multiplied = both_ways(layer_of(inputs, outputs), torch.randn(rows, inputs).bfloat16())
    assert torch.equal(upcast, multiplied)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("size", [0.0, 1e-38, 1e-6, 1.0, 1e30], ids=str)
def test_activations_of_any_size_come_back_and_none_is_infinite(dtype: torch.dtype, size: float) -> None:
    hidden = (torch.randn(64, 64) * size).to(dtype)
    stored, scale = scaled_activations(hidden)
    back = stored.float() * scale
    assert back.isfinite().all()
    assert (back - hidden.float()).norm() <= 0.03 * hidden.float().norm()


def test_the_largest_value_of_the_type_is_still_a_number_in_float8() -> None:
    hidden = torch.randn(64, 64).bfloat16()
    hidden[3, 5] = torch.finfo(torch.bfloat16).max
    stored, scale = scaled_activations(hidden)
    assert stored.float()[3, 5] == float8.LARGEST_ACTIVATION
    assert (stored.float() * scale)[3, 5] == torch.finfo(torch.bfloat16).max


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_what_is_not_finite_is_never_taken_for_a_number(value: float) -> None:
    hidden = torch.randn(64, 64).bfloat16()
    hidden[3, 5] = value
    upcast, multiplied = both_ways(layer_of(64, 64), hidden)
    assert not upcast[3].isfinite().any()
    assert multiplied.isnan().all()


def test_layers_are_switched_wherever_they_stand_and_others_are_left_alone() -> None:
    inner = nn.Sequential(layer_of(16, 16), nn.Linear(16, 16))
    whole = nn.ModuleDict({"a": layer_of(16, 16), "b": inner})
    layers = [layer for layer in whole.modules() if isinstance(layer, Float8Linear)]
    for enabled in (True, False):
        use_float8_matmul(whole, enabled)
        assert [layer.float8_matmul for layer in layers] == [enabled, enabled]


@pytest.mark.parametrize("float8_matmul", [False, True], ids=["upcast", "float8 matmul"])
def test_the_layer_compiles_into_one_graph(float8_matmul: bool) -> None:
    layer = layer_of(64, 32)
    use_float8_matmul(layer, float8_matmul)
    hidden = torch.randn(40, 64).bfloat16()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(hidden).float(), layer(hidden).float(), atol=0.02)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@torch.no_grad()
def test_both_ways_agree_over_every_block_of_the_transformer(dtype: torch.dtype) -> None:
    demo.register()
    torch.manual_seed(0)
    transformer = load_models(MODELS / DEMO.files.transformer, dtype=dtype, read=lambda _: None)["flux_dit"]
    text, image, vector = (torch.randn(1, *shape).to(dtype) for shape in ((96, 256), (256, 256), (256,)))
    positions = transformer.pos_embedder(torch.zeros(1, 96 + 256, 3))

    def computed(float8_matmul: bool) -> Tensor:
        use_float8_matmul(transformer, float8_matmul)
        a, b = image, text
        for block in transformer.blocks:
            a, b = block(a, b, vector, positions)
        both = torch.cat([b, a], dim=1)
        for block in transformer.single_blocks:
            both, _ = block(both, b, vector, positions)
        return both

    assert 0 < difference(computed(True), computed(False)) < 2 * ROUNDING


def test_the_pictures_of_both_ways_are_alike() -> None:
    pipeline = load_pipeline(DEMO, MODELS, CPU, Watcher())
    for seed, prompt in enumerate(("a red house by a lake at night", "two blue trees on a hill, snow")):
        request = parse_request(
            {"prompt": prompt, "seed": seed, "steps": 8, "guidance": 3.5, "width": 256, "height": 256, "model": "demo"}
        )
        plan = pipeline.plan(request, Wishes())
        upcast, multiplied = (
            make_picture(pipeline, request, Watcher(), replace(plan, float8_matmul=float8_matmul)).pixels
            for float8_matmul in (False, True)
        )
        assert upcast != multiplied
        assert likeness(upcast, multiplied, 256, 256) > 0.95


@pytest.mark.gpu
@needs_card
@pytest.mark.parametrize("rows", [33, 512, 4608])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_on_a_card_both_ways_agree_and_the_host_waits_for_nothing(rows: int, bias: bool) -> None:
    layer = layer_of(3072, 1024, bias=bias).cuda()
    hidden = torch.randn(1, rows, 3072, device="cuda", dtype=torch.bfloat16)
    both_ways(layer, hidden)
    torch.cuda.set_sync_debug_mode("error")
    try:
        upcast, multiplied = both_ways(layer, hidden)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert 0 < difference(multiplied, upcast) < ROUNDING


@pytest.mark.gpu
@needs_card
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_on_a_card_every_type_of_activation_is_multiplied(dtype: torch.dtype) -> None:
    layer = layer_of(256, 128, dtype=dtype).cuda()
    hidden = torch.randn(64, 256, device="cuda", dtype=dtype)
    upcast, multiplied = both_ways(layer, hidden)
    assert multiplied.dtype == dtype
    assert difference(multiplied, upcast) < ROUNDING
    assert not layer(torch.zeros_like(hidden)).isnan().any()


@pytest.mark.gpu
@needs_card
@pytest.mark.parametrize("scale", [2.0**-11, 0.000123456], ids=str)
def test_on_a_card_any_scale_counts_in_full_with_no_more_memory_than_the_scaled_activations(scale: float) -> None:
    layer = Float8Linear(torch.randn(256, 1024).to(float8.STORED), torch.tensor(scale), None).cuda()
    hidden = torch.randn(4096, 1024, device="cuda", dtype=torch.bfloat16)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    scaled = layer._scaled(hidden)
    # Beside it, one number, for which the allocator takes 512 bytes.
    assert torch.cuda.max_memory_allocated() - before <= hidden.nbytes + 512
    assert torch.equal(scaled, (hidden.float() * layer.scale).bfloat16())


@pytest.mark.gpu
@needs_card
@pytest.mark.parametrize("float8_matmul", [False, True], ids=["upcast", "float8 matmul"])
@pytest.mark.parametrize("rows", [1, 4608])
def test_on_a_card_narrow_matrices_add_what_they_should_and_the_host_waits_for_nothing(
    rows: int, float8_matmul: bool
) -> None:
    layer = layer_of(3072, 1024).cuda()
    layer.float8_matmul = float8_matmul
    down, up = torch.randn(16, 3072, device="cuda") * 0.02, torch.randn(1024, 16, device="cuda") * 0.3
    hidden = torch.randn(1, rows, 3072, device="cuda", dtype=torch.bfloat16)
    expected = layer(hidden).double() + hidden.double() @ down.double().T @ up.double().T
    layer.low_rank = LowRank(down.bfloat16(), up.bfloat16(), *quantize(down))
    layer(hidden)
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = layer(hidden)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert difference(result, expected) < ROUNDING
