"""ONNX files that may come from a stranger, read as data and checked before a runtime sees them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import onnx
from onnx import AttributeProto, GraphProto, TensorProto

from stillhouse.core import plain_file
from stillhouse.core.errors import UserError

LARGEST_BYTES: Final = 2_000_000_000
"""A file of Protocol Buffers can have no more."""
_STANDARD: Final = ("", "ai.onnx", "ai.onnx.ml")
_MOST_NODES: Final = 1_000_000
_MOST_ELEMENTS: Final = 2**31


def read_graph(path: Path) -> onnx.ModelProto:
    """The model in a file, as `checked`; weights in files beside it are not read.

    Raises `UserError` naming the file.
    """
    try:
        plain_file.check(path, LARGEST_BYTES)
        model = onnx.load_model_from_string(path.read_bytes())
    except FileNotFoundError:
        raise _refused(path, "there is no such file") from None
    except Exception as error:  # the parser raises a type that onnx does not name
        raise _refused(path, str(error).splitlines()[0] if str(error) else "damaged") from None
    return checked(model, str(path), path.parent)


def checked(model: onnx.ModelProto, source: str, folder: Path | None = None) -> onnx.ModelProto:
    """The model, if all it needs is the runtime's own operators and files of its `folder`.

    Without a folder no weights may lie in other files. Operators of other domains and functions of
    the model's own are refused, and so are inputs of more elements than an array has. Raises
    `UserError` that names `source`.
    """
    if not model.HasField("graph"):
        raise _refused(source, "it has no graph")
    if model.functions:
        raise _refused(source, f"it defines the function {model.functions[0].name!r} of its own")
    nodes = 0
    for graph in graphs(model.graph):
        nodes += len(graph.node)
        if nodes > _MOST_NODES:
            raise _refused(source, f"it has more than {_MOST_NODES} operators")
        _check_graph(graph, source, folder)
    return model


def _check_graph(graph: GraphProto, source: str, folder: Path | None) -> None:
    for node in graph.node:
        if node.domain not in _STANDARD:
            raise _refused(source, f"{node.domain}::{node.op_type} is no operator of ONNX")
    for given in graph.input:
        sizes = [size.dim_value for size in given.type.tensor_type.shape.dim]
        if math.prod(sizes) > _MOST_ELEMENTS or any(size < 0 for size in sizes):
            raise _refused(source, f"its input {given.name!r} has the shape {sizes}")
    for tensor in _tensors(graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            _check_place(tensor, source, folder)


def _check_place(tensor: TensorProto, source: str, folder: Path | None) -> None:
    place = next((e.value for e in tensor.external_data if e.key == "location"), "")
    if folder is None or not place or plain_file.leads_out(folder / place, folder):
        raise _refused(source, f"the weights {tensor.name!r} lie in another place, {place!r}")


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and those that its operators choose between; by hand, for depth is unknown."""
    left = [graph]
    while left:
        yield (one := left.pop())
        for attribute in _attributes(one):
            left += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for attribute in _attributes(graph):
        yield from attribute.tensors
        if attribute.HasField("t"):
            yield attribute.t
        sparse += attribute.sparse_tensors
        if attribute.HasField("sparse_tensor"):
            sparse.append(attribute.sparse_tensor)
    for one in sparse:
        yield from (one.values, one.indices)


def _attributes(graph: GraphProto) -> Iterator[AttributeProto]:
    for node in graph.node:
        yield from node.attribute


def _refused(source: object, fact: str) -> UserError:
    return UserError(
        f"cannot load {source} as an ONNX model: {fact}; expected standard operators, and weights "
        "in its own folder; export the model again"
    )
