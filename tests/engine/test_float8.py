"""Float8 layers: precision and arithmetic."""

import torch
from torch import nn

from darkroom.engine.float8 import Float8Linear, quantize


def test_a_scaled_float8_weight_keeps_its_precision_however_small_it_is() -> None:
    for deviation in (1.0, 0.02, 0.004, 1e-5):
        weight = torch.randn(256, 256) * deviation
        stored, scale = quantize(weight)
        error = (stored.float() * scale - weight).norm() / weight.norm()
        assert error < 0.03


def test_a_weight_of_zeros_stays_zeros() -> None:
    stored, scale = quantize(torch.zeros(4, 4))
    assert torch.equal(stored.float() * scale, torch.zeros(4, 4))


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
