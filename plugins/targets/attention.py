"""Softmax attention spelt out in small operators, put back together as ONNX's own operator.

ONNX has `Attention` since opset 23. In its three-dimensional form the runtime moves heads about
itself, which spares about 14 small operators a layer; at widths below 100 these cost more than
the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from stillhouse.plugins.targets.layout import (
    Graph,
    Indices,
    Origin,
    Shape,
    is_layout,
    origin,
    rearranged,
)

OPSET: Final = 23


@dataclass(frozen=True, eq=False)
class _Match:
    """Attention over heads whose result, heads merged again, is the tensor `output`."""

    sources: tuple[str, str, str]
    """Tensors that hold query, key and value, features last."""
    shapes: tuple[Shape, Shape, Shape]
    """(batch, positions, features) of each source, whatever its own shape."""
    packed: bool
    """Whether query, key and value are equal parts, side by side, of one source."""
    heads: int
    scale: float
    output: str
    output_shape: Shape
    mask: str | None = None
    """Tensor that is true where a position may be attended to, and its four axes."""
    mask_shape: Shape = ()


def fuse_attention(model: onnx.ModelProto) -> int:
    """Replace, in place, every attention that is recognised; returns how many.

    Recognised: softmax(scale * Q K^T) V, where Q, K and V are heads-first views of tensors (batch,
    positions, features), packed side by side or separate, and the heads of the result are merged
    again; also with a mask that adds 0 or minus infinity to the scores. Views are told by following
    element positions, not operator names. Anything else is left as it is; so are all models before
    opset 23. Nodes that no longer feed anything stay in the graph.
    """
    if model.opset_import[0].version < OPSET:
        return 0
    graph = Graph.of(model)
    nodes = list(model.graph.node)
    matches = [m for node in nodes if (m := _match(graph, node)) is not None]
    masks: set[str] = set()
    for match in matches:
        replaced = graph.producer[match.output]
        place = next(i for i, node in enumerate(nodes) if node is replaced)
        nodes[place : place + 1] = [*_mask(match, masks), *_replacement(match)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return len(matches)


def _match(graph: Graph, node: onnx.NodeProto) -> _Match | None:
    operands = _spelt_out(graph, node) if node.op_type == "Softmax" else _four_dimensional(node)
    if operands is None:
        return None
    query, key, value, scale, result, mask = operands
    mask_shape = graph.shapes.get(mask, ()) if mask else ()
    if mask and len(mask_shape) != 4:
        return None
    q, k, v = (origin(graph, name) for name in (query, key, value))
    if node.op_type == "Softmax" and k.indices.ndim == 4:
        k = replace(k, indices=k.indices.swapaxes(-1, -2))
    if v.scale != 1.0 or len({_heads(view) for view in (q, k, v)}) != 1 or not _heads(q):
        return None
    packed = _packed(q, k, v)
    merged = _merged(graph, result) if packed or all(map(_whole, (q, k, v))) else None
    if merged is None:
        return None
    parts = 3 if packed else 1
    return _Match(
        (q.source, k.source, v.source),
        (_source_shape(q, parts), _source_shape(k, parts), _source_shape(v, parts)),
        packed,
        _heads(q),
        (scale or 1 / math.sqrt(q.indices.shape[-1])) * q.scale * k.scale,
        merged,
        graph.shapes[merged],
        mask,
        mask_shape,
    )


_Operands = tuple[str, str, str, float, str, str | None]
"""Query, key (transposed if spelt out), value, scale (0 for the default), result, mask."""


def _spelt_out(graph: Graph, softmax: onnx.NodeProto) -> _Operands | None:
    axis = next((a.i for a in softmax.attribute if a.name == "axis"), -1)
    given, mask = _unmasked(graph, softmax.input[0])
    scores = origin(graph, given)
    product, mix = graph.producer.get(scores.source), _mixing(graph, softmax.output[0])
    if product is None or product.op_type != "MatMul" or mix is None:
        return None
    straight = np.arange(scores.indices.size)
    if axis not in (-1, scores.indices.ndim - 1) or (scores.indices.ravel() != straight).any():
        return None
    return product.input[0], product.input[1], mix.input[1], scores.scale, mix.output[0], mask


def _unmasked(graph: Graph, name: str) -> tuple[str, str | None]:
    """Scores before a mask is added to them, and the mask's condition."""
    add = graph.producer.get(name)
    if add is not None and add.op_type == "Add":
        for scores, added in (add.input, reversed(add.input)):
            chosen = graph.producer.get(added)
            if chosen is not None and chosen.op_type == "Where":
                kept, hidden = (graph.constants.get(value) for value in chosen.input[1:])
                if _all(kept, 0.0) and _all(hidden, -math.inf):
                    return scores, chosen.input[0]
    return name, None


def _mixing(graph: Graph, shares: str) -> onnx.NodeProto | None:
    """The product with the values; exporters put 0 for the NaN of a query that sees nothing."""
    users = graph.users.get(shares, [])
    checked = [node for node in users if node.op_type == "IsNaN"]
    if checked and len(users) == 2:
        users = [node for node in users if node is not checked[0]]
        safe = [checked[0].output[0], users[0].input[1], shares]
        if list(users[0].input) != safe or not _all(graph.constants.get(safe[1]), 0.0):
            return None
        shares = users[0].output[0]
        users = graph.users.get(shares, [])
    mixes = len(users) == 1 and users[0].op_type == "MatMul" and users[0].input[0] == shares
    return users[0] if mixes else None


def _all(constant: NDArray[Any] | None, number: float) -> bool:
    return constant is not None and bool((constant == number).all())


def _four_dimensional(node: onnx.NodeProto) -> _Operands | None:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    plain = node.op_type == "Attention" and len([i for i in node.input if i]) in (3, 4)
    special = any(value for name, value in attributes.items() if name != "scale")
    if not plain or special or len(node.output) != 1:
        return None
    query, key, value, mask = (*node.input, None)[:4]
    scale = float(attributes.get("scale", 0.0))
    return query, key, value, scale, node.output[0], mask or None


def _heads(view: Origin) -> int:
    """Heads of a view (batch, heads, positions, head_dim); 0 where it is none."""
    return view.indices.shape[1] if view.indices.ndim == 4 else 0


def _source_shape(view: Origin, parts: int) -> Shape:
    batch, heads, positions, head_dim = view.indices.shape
    return batch, positions, parts * heads * head_dim


def _heads_first(view: Origin, part: int, parts: int) -> Indices:
    """What `view` looks like when it is one of `parts` equal parts of its source's features."""
    batch, heads, positions, head_dim = view.indices.shape
    flat = np.arange(view.indices.size * parts).reshape(batch, positions, parts, heads, head_dim)
    return flat[:, :, part].transpose(0, 2, 1, 3)


def _packed(*views: Origin) -> bool:
    same = len({(view.source, view.indices.shape) for view in views}) == 1
    return same and all(
        view.source_size == 3 * view.indices.size
        and np.array_equal(_heads_first(view, part, 3), view.indices)
        for part, view in enumerate(views)
    )


def _whole(view: Origin) -> bool:
    same = view.source_size == view.indices.size
    return same and np.array_equal(_heads_first(view, 0, 1), view.indices)


def _merged(graph: Graph, name: str) -> str | None:
    """The last tensor that is the result with merged heads, (batch * positions * features,)."""
    shape, found = graph.shapes.get(name, ()), None
    if len(shape) != 4:
        return None
    indices = np.arange(math.prod(shape)).reshape(shape)
    wanted = indices.transpose(0, 2, 1, 3).ravel()
    while len(users := graph.users.get(name, [])) == 1 and is_layout(graph, users[0]):
        name = users[0].output[0]
        indices = rearranged(graph, users[0], indices, name)
        if np.array_equal(indices.ravel(), wanted):
            found = name
    return found


def _mask(match: _Match, written: set[str]) -> Iterator[onnx.NodeProto]:
    """Nodes that repeat a mask for every query, as the runtime wants it; each mask once."""
    name = _repeated(match)
    if match.mask and name != match.mask and name not in written:
        written.add(name)
        shape = (*match.mask_shape[:2], match.shapes[0][1], match.mask_shape[3])
        yield _constant(f"{name}.shape", shape)
        yield helper.make_node("Expand", [match.mask, f"{name}.shape"], [name])


def _repeated(match: _Match) -> str:
    queries = match.shapes[0][1]
    whole = match.mask is None or match.mask_shape[2] == queries
    return (match.mask or "") if whole else f"{match.mask}.repeated"


def _replacement(match: _Match) -> Iterator[onnx.NodeProto]:
    names = [f"{match.output}.{part}" for part in ("query", "key", "value")]
    if match.packed:
        yield from _reshaped(match.sources[0], match.shapes[0], f"{match.output}.packed")
        yield helper.make_node(
            "Split", [f"{match.output}.packed"], names, axis=-1, num_outputs=len(names)
        )
    else:
        for source, shape, name in zip(match.sources, match.shapes, names, strict=True):
            yield from _reshaped(source, shape, name)
    result = f"{match.output}.mixed"
    yield helper.make_node(
        "Attention",
        [*names, _repeated(match)] if match.mask else names,
        [result],
        q_num_heads=match.heads,
        kv_num_heads=match.heads,
        scale=match.scale,
    )
    yield from _reshaped(result, match.output_shape, match.output)


def _reshaped(source: str, shape: Shape, output: str) -> Iterator[onnx.NodeProto]:
    yield _constant(f"{output}.shape", shape)
    yield helper.make_node("Reshape", [source, f"{output}.shape"], [output])


def _constant(name: str, shape: Shape) -> onnx.NodeProto:
    sizes = helper.make_tensor(name, onnx.TensorProto.INT64, [len(shape)], shape)
    return helper.make_node("Constant", [], [name], value=sizes)
