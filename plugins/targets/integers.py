"""Rounded weights and activations of a graph, put so that the runtime has integer kernels for them.

Exporters write rounding as `QuantizeLinear` and `DequantizeLinear` around float operators. ONNX
Runtime makes `QGemm` and `QLinearConv` of them only where zero points are spelt out, biases are
whole numbers too and no batch norm stands in between; elsewhere it would turn weights back into
floats at every inference. What only follows from other constants is written as operators on them:
the session works it out once, when it loads the file.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from stillhouse.plugins.targets.gemms import matmuls_to_gemms
from stillhouse.plugins.targets.rewriting import Rewriting, attribute
from stillhouse.plugins.targets.rounded_weights import PRODUCTS, RoundedWeight

_PASSING: Final = frozenset(
    {"Relu", "MaxPool", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
)
"""What the runtime moves a rounding through; `Flatten` only as `Reshape`."""
_INT4_OPSET: Final = 21
_MOST: Final = 2**31 - 128
"""The largest 32-bit whole number that single precision has."""


def settle_integers(model: onnx.ModelProto) -> None:
    """Rewrite, in place, every product with a rounded constant; other graphs stay as they are.

    Batch norms after convolutions go into their steps and biases. Where what enters (and of a
    convolution what leaves) is rounded, a bias becomes whole numbers and zero points are written;
    elsewhere weights are stored as integers and computed with as floats. Weights that 4 bits hold
    take no more, if an output's are even in number.
    """
    matmuls_to_gemms(model)
    graph = Rewriting(model)
    for node in list(model.graph.node):
        weight = RoundedWeight.of(graph, node) if node.op_type in PRODUCTS else None
        if weight is None:
            continue
        _absorb_norm(graph, node, weight)
        if _is_integer(graph, node):
            _write_integers(graph, node, weight)
        else:
            weight.as_floats(node)
        weight.pack(model.opset_import[0].version >= _INT4_OPSET)
    graph.close()


def _absorb_norm(graph: Rewriting, product: onnx.NodeProto, weight: RoundedWeight) -> None:
    norm, bias = graph.only_reader(product.output[0]), _bias(graph, product)
    if norm is None or norm.op_type != "BatchNormalization" or bias is None:
        return
    given = [graph.values(name) for name in norm.input[1:5]]
    known = [value.astype(np.float64) for value in given if value is not None]
    if product.op_type != "Conv" or len(known) < len(given):
        return
    scale, shift, mean, variance = known
    slope = scale / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
    weight.scale(slope)
    merged = (shift + (bias - mean) * slope).astype(np.float32)
    product.input[2:] = [graph.store(f"{norm.output[0]}.bias", merged)]
    product.output[0] = norm.output[0]
    graph.drop(norm)


def _bias(graph: Rewriting, product: onnx.NodeProto) -> NDArray[Any] | None:
    """Noughts where there is none; None where it is no constant."""
    return graph.values(product.input[2]) if len(product.input) > 2 else np.zeros(1)


def _is_integer(graph: Rewriting, product: onnx.NodeProto) -> bool:
    """Whether what enters is rounded, and of a convolution also what leaves."""
    entering = graph.producer.get(product.input[0])
    if entering is None or entering.op_type != "DequantizeLinear" or len(entering.input) < 3:
        return False
    before = graph.producer.get(entering.input[0])
    rounded = before is not None and before.op_type == "QuantizeLinear"
    known = graph.values(entering.input[1]) is not None and _bias(graph, product) is not None
    return rounded and known and (product.op_type == "Gemm" or _closed(graph, product.output[0]))


def _closed(graph: Rewriting, name: str) -> bool:
    """Whether a tensor's only way leads to a rounding."""
    reader = graph.only_reader(name)
    while reader is not None and reader.op_type in _PASSING:
        if reader.op_type == "Flatten" and attribute(reader, "axis", 1) == 1:
            graph.reshape(reader, (0, -1))
        reader = graph.only_reader(reader.output[0])
    return reader is not None and reader.op_type == "QuantizeLinear"


def _write_integers(graph: Rewriting, product: onnx.NodeProto, weight: RoundedWeight) -> None:
    bias = _bias(graph, product) if len(product.input) > 2 else None
    del weight.rounding.input[2:]
    if product.op_type == "Gemm":
        nought = graph.work("Sub", [weight.steps, weight.steps])
        weight.rounding.input.append(graph.work("Cast", [nought], to=TensorProto.INT8))
    if bias is None:
        return
    entering = graph.producer[product.input[0]].input[1]
    steps = np.asarray(graph.values(entering), np.float64) * weight.values()[1]
    whole = np.clip(np.round(bias / steps), -_MOST, _MOST).astype(np.int32)
    stored = graph.store(f"{product.output[0]}.whole", whole)
    parts = [
        stored,
        graph.work("Mul", [entering, weight.steps]),
        graph.work("Sub", [stored, stored]),
    ]
    product.input[2] = graph.work("DequantizeLinear", parts, axis=0)
