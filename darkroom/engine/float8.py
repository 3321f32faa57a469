"""Linear layers whose weights rest as scaled float8: half the bytes of bf16, one scale for each tensor.

Must not know: which model a layer belongs to, or where its weights are kept.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

STORED = torch.float8_e4m3fn
LARGEST = torch.finfo(STORED).max


class Float8Linear(nn.Module):
    """y = x · (scale · stored)ᵀ + bias. `stored` is (out, in) float8, `scale` one float32; computes in x's type."""

    # T5's feed-forward casts its input to the type of `weight`, where that is a tensor.
    weight: None = None
    stored: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, stored: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = stored.shape
        self.register_buffer("stored", stored)
        self.register_buffer("scale", scale.reshape(()).float())
        self.register_buffer("bias", bias)

    def forward(self, hidden: Tensor) -> Tensor:
        weight = self.stored.to(hidden.dtype) * self.scale.to(hidden.dtype)
        return functional.linear(hidden, weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, stored as {STORED}"


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The weight as float8 and its scale (float32, no dimensions), so that the largest value is just representable."""
    scale = (weight.abs().max().float() / LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
    return (weight.float() / scale).to(STORED), scale
