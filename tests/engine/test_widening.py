"""Float8 by its bits: the same numbers as torch's own, and in less time."""

import pytest
import torch

from darkroom.engine.float8 import STORED
from darkroom.engine.widening import widened

CODES = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float16, torch.float64])
def test_every_number_is_as_torch_has_it(dtype: torch.dtype) -> None:
    numbers = CODES[(CODES & 0x7F) != 0x7F].view(STORED)
    wide, expected = widened(numbers, dtype), numbers.to(dtype)
    assert wide.dtype == dtype
    assert torch.equal(wide, expected)
    assert torch.equal(wide.signbit(), expected.signbit())


def test_a_weight_keeps_its_shape_and_is_not_touched() -> None:
    weight = torch.randn(6, 10, generator=torch.Generator().manual_seed(1)).to(STORED)
    before = weight.clone()
    assert torch.equal(widened(weight.t(), torch.bfloat16), weight.t().to(torch.bfloat16))
    assert torch.equal(weight.view(torch.uint8), before.view(torch.uint8))
