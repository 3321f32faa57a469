"""Rewrites a block's graph so that the compiler makes shorter kernels of it, with the same results.

Must not know: which block a graph is of, or how it was made.
"""

import torch
from torch.fx import Graph, GraphModule

aten = torch.ops.aten
# gelu(x) with tanh is x · sigmoid(2 · √(2/π) · (x + 0.044715 x³)): the same function, without the compiler's slow tanh.
TWICE_ROOT = 1.5957691216057308
CUBIC = 0.044715


def rewrite(graph: GraphModule) -> None:
    """All of the below."""
    write_gelu_as_sigmoid(graph.graph)
    graph.recompile()


def write_gelu_as_sigmoid(graph: Graph) -> int:
    """How many there were."""
    found = [
        node
        for node in graph.nodes
        if node.target is aten.gelu.default and node.kwargs.get("approximate") == "tanh" and "val" in node.meta
    ]
    for node in found:
        dtype = node.meta["val"].dtype
        with graph.inserting_before(node):
            wide = graph.call_function(aten._to_copy.default, (node.args[0],), {"dtype": torch.float32})
            square = graph.call_function(aten.mul.Tensor, (wide, wide))
            inner = graph.call_function(aten.mul.Tensor, (square, TWICE_ROOT * CUBIC))
            inner = graph.call_function(aten.add.Tensor, (inner, TWICE_ROOT))
            inner = graph.call_function(aten.mul.Tensor, (inner, wide))
            share = graph.call_function(aten.sigmoid.default, (inner,))
            product = graph.call_function(aten.mul.Tensor, (wide, share))
            result = graph.call_function(aten._to_copy.default, (product,), {"dtype": dtype})
        result.meta = dict(node.meta)
        node.replace_all_uses_with(result)
        graph.erase_node(node)
    return len(found)
