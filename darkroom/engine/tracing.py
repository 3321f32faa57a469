"""A block of the transformer as one graph: weights, modulation rows and LoRAs enter as tensors, whoever's they are.

For cards that do not multiply float8. Must not know: when graphs are used, or which block they run for.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch._dynamo.source import ConstantSource
from torch._inductor import standalone_compile
from torch._inductor.standalone_compile import CompiledArtifact
from torch._subclasses import FakeTensorMode
from torch.func import functional_call
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv

from darkroom.engine.attention import Order as AttentionOrder
from darkroom.engine.attention import using
from darkroom.engine.float8 import Float8Linear, LowRank
from darkroom.engine.joint_attention import joint_attention
from darkroom.engine.modulation import ModulationRow
from darkroom.engine.rewriting import rewrite

# A length that stands for any: neither 0 nor 1, which are compiled apart, and a rank that LoRAs can have.
ANY_RANK = 32
# Values that the weights of a graph and what it is given have in common with those that it was made for.
Signature: TypeAlias = tuple[object, ...]
Compiled: TypeAlias = Callable[..., Sequence[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Size:
    """Tokens of the prompt and of the picture."""

    text: int
    image: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """A graph to be made. `skeleton` is a block without content; `any_image`: it is to serve pictures of all sizes.

    `rows`: modulation comes in rows, not from layers of the block. `low_ranks`: each float8 layer gets a LowRank.
    `attention`: its kernels, best first.
    """

    skeleton: nn.Module
    joint: bool
    size: Size
    any_image: bool
    width: int
    rope: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    rows: bool
    low_ranks: bool
    attention: AttentionOrder
    path: Path

    def make(self) -> None:
        compile_to_file(self)

    def load(self) -> Compiled:
        return read_compiled(self.path)


class BlockTensors:
    """The tensors of one block, in the order in which its graph takes them."""

    def __init__(self, block: nn.Module, *, rows: bool) -> None:
        places = list(_modules(block, inside_rows=not rows))
        self.parts = places[1:]
        self.weights = [(module, name) for module in places for name in (*module._parameters, *module._buffers)]
        self.weights = [(module, name) for module, name in self.weights if getattr(module, name) is not None]
        # Of each weight, whether its graph takes the bytes: only cards that multiply float8 have it as a type.
        self.as_bytes = [
            isinstance(module, Float8Linear) and name == "stored" and not module.float8_matmul
            for module, name in self.weights
        ]
        self.rows = [part for part in places if isinstance(part, ModulationRow)] if rows else []
        self.layers = [part for part in places if isinstance(part, Float8Linear)]

    @property
    def signature(self) -> Signature:
        tensors = [(name, getattr(module, name)) for module, name in self.weights]
        layers = [(layer.in_features, layer.out_features, layer.float8_matmul) for layer in self.layers]
        return tuple((name, tensor.dtype, *tensor.shape) for name, tensor in tensors), tuple(layers), len(self.rows)


# --- from a block to a graph


def skeleton_of(module: nn.Module, *, rows: bool) -> nn.Module:
    """The module without content and hooks: small enough to be sent elsewhere. With `rows`, without modulation."""
    bare = copy.copy(module)
    values = bare.__dict__
    values.pop("forward", None)
    for name, value in values.items():
        if name.endswith("_hooks") or "_hooks_" in name:
            values[name] = OrderedDict() if isinstance(value, OrderedDict) else copy.copy(value)
    values["_parameters"] = {name: _bare(tensor) for name, tensor in module._parameters.items()}
    values["_buffers"] = {name: _bare(tensor) for name, tensor in module._buffers.items()}
    values["_modules"] = {
        name: None if part is None else skeleton_of(part, rows=rows) for name, part in module._modules.items()
    }
    if isinstance(bare, ModulationRow):
        bare.row = None
        if rows:
            bare.layer = nn.Identity()
    if isinstance(bare, Float8Linear):
        bare.low_rank = None
    return bare


def trace(order: Order) -> tuple[GraphModule, list[Tensor]]:
    """The graph and tensors without content that it can be called with."""
    tensors = BlockTensors(order.skeleton, rows=order.rows)
    names = _names(order.skeleton, tensors)
    mode = FakeTensorMode(shape_env=ShapeEnv())
    with mode, torch.no_grad(), _as_compiling(), using(order.attention):
        inputs = _Inputs(order, mode).of(tensors)

        def run(*values: Tensor) -> list[Tensor]:
            given = iter(values)
            weights = {name: next(given) for name in names}
            for row in tensors.rows:
                row.row = next(given)
            if order.low_ranks:
                for layer in tensors.layers:
                    layer.low_rank = LowRank(*(next(given) for _ in LowRank._fields))
            hidden, other = next(given), next(given) if order.joint else None
            results = functional_call(order.skeleton, weights, (hidden, other, *given))
            return list(results) if order.joint else [results[0]]

        if order.joint:
            attention: Any = order.skeleton.attn
            attention.forward = lambda picture, prompt, rotations, *_nothing: joint_attention(
                attention, picture, prompt, rotations
            )
        graph = make_fx(run)(*inputs)
    rewrite(graph)
    for node in graph.graph.nodes:
        # Where the compiler looks for shapes that stand for any.
        if "val" in node.meta:
            node.meta["example_value"] = node.meta["val"]
    return graph, inputs


def compile_to_file(order: Order) -> None:
    graph, inputs = trace(order)
    dynamic = order.any_image or order.low_ranks
    with torch.no_grad():
        made = standalone_compile(
            graph,
            [*inputs],
            dynamic_shapes="from_graph" if dynamic else "from_example_inputs",
        )
    # Under its name only when it is whole.
    made.save(path=str(order.path), format="binary")


def read_compiled(path: Path) -> Compiled:
    compiled: Compiled = CompiledArtifact.load(path=str(path), format="binary")
    return compiled


# --- parts of the above


class _Inputs:
    """Tensors without content, as a block and its graph are given them."""

    def __init__(self, order: Order, mode: FakeTensorMode) -> None:
        self._order = order
        assert mode.shape_env is not None
        self._shapes = mode.shape_env

    def of(self, tensors: BlockTensors) -> list[Tensor]:
        order = self._order
        text, image = order.size.text, order.size.image
        pixels, both = image, text + image
        if order.any_image and order.joint:
            pixels = self._any("image", image)
            both = text + pixels
        elif order.any_image:
            # Of a sum, the compiler would not find the parts again.
            both = self._any("both", both)
        weights = [getattr(module, name) for module, name in tensors.weights]
        made = [
            self._empty(tensor.shape, torch.uint8 if as_bytes else tensor.dtype)
            for tensor, as_bytes in zip(weights, tensors.as_bytes, strict=True)
        ]
        made += [self._empty((1, row.width), order.dtype) for row in tensors.rows]
        if order.low_ranks:
            made += [tensor for number, layer in enumerate(tensors.layers) for tensor in self._low_rank(number, layer)]
        made += [
            self._empty((1, tokens, order.width), order.dtype)
            for tokens in ((pixels, text) if order.joint else (both,))
        ]
        made.append(self._empty((1, order.width), order.dtype))
        made.append(self._empty((1, 1, both, *order.rope), torch.float32))
        return made

    def _low_rank(self, number: int, layer: Float8Linear) -> Iterator[Tensor]:
        rank = self._any(f"rank{number}", ANY_RANK)
        yield self._empty((rank, layer.in_features), self._order.dtype)
        yield self._empty((layer.out_features, rank), self._order.dtype)
        yield self._empty((rank, layer.in_features), torch.float8_e4m3fn)
        yield self._empty((), torch.float32)

    def _empty(self, shape: Sequence[Any], dtype: torch.dtype) -> Tensor:
        return torch.empty(tuple(shape), dtype=dtype, device=self._order.device)

    def _any(self, name: str, example: int) -> Any:
        symbol = self._shapes.create_symbol(example, source=ConstantSource(name), dynamic_dim=DimDynamic.DYNAMIC)
        return self._shapes.create_symintnode(symbol, hint=example)


def _modules(module: nn.Module, *, inside_rows: bool) -> Iterator[nn.Module]:
    yield module
    if inside_rows or not isinstance(module, ModulationRow):
        for part in module._modules.values():
            if part is not None:
                yield from _modules(part, inside_rows=inside_rows)


def _names(skeleton: nn.Module, tensors: BlockTensors) -> list[str]:
    prefixes = {id(module): f"{name}." if name else "" for name, module in skeleton.named_modules()}
    return [prefixes[id(module)] + name for module, name in tensors.weights]


def _bare(tensor: Tensor | None) -> Tensor | None:
    if tensor is None:
        return None
    bare = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    return nn.Parameter(bare, requires_grad=False) if isinstance(tensor, nn.Parameter) else bare


@contextmanager
def _as_compiling() -> Iterator[None]:
    """What torch.compile says to those who ask `torch.compiler.is_compiling`."""
    before, torch.compiler._is_compiling_flag = torch.compiler._is_compiling_flag, True
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = before
