"""Which constant of an exported graph is which layer's weight.

Exported graphs have no names. A weight is told by what it holds, up to a factor for each output: a
batch norm after it may have been folded into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from stillhouse.core.errors import UserError

_ALIKE: Final = 1 - 1e-4
"""Cosine from which two rows are one, up to rounding."""


def paired(
    graph: onnx.ModelProto, weights: Mapping[str, Tensor], wanted: Iterable[str]
) -> dict[str, str]:
    """The constant of each wanted layer, by the layer's name; `weights` are all of the network.

    Raises UserError for a layer that has none of its own.
    """
    constants = _matrices(graph)
    found: dict[str, str] = {}
    for name, weight in weights.items():
        free = (c for c in constants if c not in found.values())
        match = next((c for c in free if _alike(constants[c], weight)), None)
        found |= {name: match} if match else {}
    for name in wanted:
        if name not in found:  # what is all zeros is told by its place
            free = (c for c in constants if c not in found.values())
            match = next((c for c in free if _as_large(constants[c], weights[name])), None)
            if match is None:
                raise UserError(
                    f"int8: '{name}' is no matrix of its own in the exported graph: its weight is "
                    f"shared, or worked out from others; leave it out: layers: '*, !{name}'"
                )
            found[name] = match
    return {name: found[name] for name in wanted}


def operands(node: onnx.NodeProto, array: NDArray[Any]) -> NDArray[Any] | None:
    """The weights of a node as (outputs, inputs times kernel); None where it has another form."""
    if node.op_type == "Conv":
        return array.reshape(len(array), -1)
    if array.ndim != 2:
        return None
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    plain = all(given.get(name, 1) == 1 for name in ("alpha", "beta")) and not given.get("transA")
    if node.op_type == "Gemm" and plain:
        return array if given.get("transB") else array.T
    return array.T if node.op_type == "MatMul" else None


def _matrices(graph: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """Weights by name, in the order in which the graph applies them."""
    constants = {c.name: c for c in graph.graph.initializer}
    found: dict[str, NDArray[Any]] = {}
    for node in graph.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in constants:
            array = numpy_helper.to_array(constants[node.input[1]])
            matrix = operands(node, array) if array.dtype == np.float32 else None
            found |= {node.input[1]: matrix} if matrix is not None else {}
    return found


def _forms(weight: Tensor) -> list[NDArray[Any]]:
    """A layer's weight as (outputs, inputs times kernel), whichever of its axes are outputs."""
    plain = weight.detach().cpu().double()
    return [plain.flatten(1).numpy(), plain.reshape(-1, plain.shape[-1]).numpy()]


def _as_large(constant: NDArray[Any], weight: Tensor) -> bool:
    return any(constant.shape == form.shape for form in _forms(weight))


def _alike(constant: NDArray[Any], weight: Tensor) -> bool:
    if constant.size != weight.numel():
        return False
    a = constant.astype(np.float64)
    for b in (form for form in _forms(weight) if form.shape == a.shape):
        sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        products = np.abs((a * b).sum(axis=1))
        if sizes.any() and (products >= _ALIKE * sizes).all():
            return True
    return False
