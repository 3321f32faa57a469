"""What is rewritten for the compiler computes the same."""

import pytest
import torch
from diffsynth.models.flux_dit import FluxJointAttention
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

from darkroom.engine.joint_attention import joint_attention
from darkroom.engine.rewriting import write_gelu_as_sigmoid
from darkroom.engine.rotations import Rotations


@pytest.fixture(autouse=True)
def as_if_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "_is_compiling_flag", True)


def test_gelu_by_a_sigmoid_is_gelu_by_a_tanh() -> None:
    values = torch.linspace(-12, 12, 10_001)
    graph = make_fx(lambda x: functional.gelu(x, approximate="tanh"))(values)
    assert write_gelu_as_sigmoid(graph.graph) == 1
    graph.recompile()
    assert torch.allclose(graph(values), functional.gelu(values, approximate="tanh"), atol=1e-6)
    assert write_gelu_as_sigmoid(make_fx(functional.gelu)(values).graph) == 0


def test_joint_attention_gives_what_diffsynths_gives() -> None:
    torch.manual_seed(0)
    attention = FluxJointAttention(64, 64, 4, 16)
    picture, prompt = torch.randn(1, 20, 64), torch.randn(1, 6, 64)
    rotations = torch.randn(1, 1, 26, 8, 2, 2)
    with torch.no_grad():
        expected = attention(picture, prompt, rotations)
        made = joint_attention(attention, picture, prompt, rotations)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(made, expected, strict=True))


def test_rotations_are_computed_once_for_a_picture() -> None:
    computed: list[Tensor] = []

    class Embedder(torch.nn.Module):
        def forward(self, places: Tensor) -> Tensor:
            computed.append(places)
            return places * 2

    embedder = Embedder()
    rotations = Rotations(embedder)
    places = torch.ones(1, 4, 3)
    assert torch.equal(embedder.forward(places), embedder.forward(places))
    assert len(computed) == 1
    embedder.forward(torch.ones(1, 5, 3))
    rotations.forget()
    embedder.forward(places)
    assert len(computed) == 3
