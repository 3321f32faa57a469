"""Rewrites a block's graph so that the compiler makes fewer and shorter kernels of it, with the same results.

Must not know: which block a graph is of, or how it was made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

aten = torch.ops.aten
# gelu(x) with tanh is x · sigmoid(2 · √(2/π) · (x + 0.044715 x³)): the same function, without the compiler's slow tanh.
TWICE_ROOT = 1.5957691216057308
CUBIC = 0.044715


def rewrite(graph: GraphModule) -> None:
    """All of the below."""
    write_gelu_as_sigmoid(graph.graph)
    quantize_before_joining(graph.graph)
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


def quantize_before_joining(graph: Graph) -> int:
    """Where parts are joined to be multiplied in float8 by a scale known before, each part becomes float8 by itself.

    Each is then written as float8 where it is made. Joined first, all of it would be made twice: once for its largest
    value, once for the product. Returns how often that was done.
    """
    joints = [joint for node in graph.nodes if (joint := _joint(node)) is not None]
    for joint in joints:
        _quantize_parts(graph, joint)
    return len(joints)


@dataclass(frozen=True, kw_only=True)
class _Joint:
    """Nodes from where parts are joined to where all of it is float8, and to its largest value."""

    join: Node
    rows: Node
    absolute: Node
    by_rows: Node
    largest: Node
    quotient: Node
    clamped: Node
    stored: Node


def _joint(join: Node) -> _Joint | None:
    if join.target is not aten.cat.default or (rows := _only_user(join, aten.view.default)) is None:
        return None
    users: dict[Any, Node] = {user.target: user for user in rows.users}
    absolute, quotient = users.get(aten.abs.default), users.get(aten.div.Tensor)
    if len(rows.users) != 2 or absolute is None or quotient is None:
        return None
    by_rows = _only_user(absolute, aten.amax.default)
    largest = by_rows and _only_user(by_rows, aten.amax.default)
    clamped = _only_user(quotient, aten.clamp.default)
    stored = clamped and _only_user(clamped, aten._to_copy.default)
    if by_rows is None or largest is None or clamped is None or stored is None:
        return None
    return _Joint(
        join=join,
        rows=rows,
        absolute=absolute,
        by_rows=by_rows,
        largest=largest,
        quotient=quotient,
        clamped=clamped,
        stored=stored,
    )


def _quantize_parts(graph: Graph, joint: _Joint) -> None:
    stored: list[Node] = []
    largest: list[Node] = []
    # All that is needed is there where the joined rows would have become float8.
    with graph.inserting_before(joint.stored):
        for part in _parts(joint.join):
            rows = graph.call_function(aten.view.default, (part, [-1, part.meta["val"].shape[-1]]))
            quotient = graph.call_function(aten.div.Tensor, (rows, joint.quotient.args[1]))
            clamped = graph.call_function(aten.clamp.default, (quotient, *joint.clamped.args[1:]))
            stored.append(graph.call_function(aten._to_copy.default, (clamped,), dict(joint.stored.kwargs)))
            absolute = graph.call_function(aten.abs.default, (rows,))
            largest.append(graph.call_function(aten.amax.default, (absolute, [-1])))
        highest = largest[0]
        for other in largest[1:]:
            highest = graph.call_function(aten.maximum.default, (highest, other))
        highest = graph.call_function(aten.amax.default, (highest,))
        joined = graph.call_function(aten.cat.default, (stored, -1))
    joint.stored.replace_all_uses_with(joined)
    joint.largest.replace_all_uses_with(highest)
    gone = (joint.stored, joint.clamped, joint.quotient, joint.largest, joint.by_rows, joint.absolute, joint.rows)
    for node in (*gone, joint.join):
        graph.erase_node(node)


def _parts(join: Node) -> Iterator[Node]:
    parts = join.args[0]
    assert isinstance(parts, list | tuple)
    for part in parts:
        assert isinstance(part, Node)
        yield part


def _only_user(node: Node, target: Any) -> Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].target is target else None
