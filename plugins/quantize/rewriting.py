"""A graph with some of its layers in 8-bit integers.

Written as ONNX Runtime wants to see it, so that its own passes put integer kernels in: `dynamic` as
DynamicQuantizeLinear, MatMulInteger and a product with both scales; `static` as the float operator
between DequantizeLinear and QuantizeLinear.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from stillhouse.plugins.quantize.activations import Ranges, answers, scale_and_zero
from stillhouse.plugins.quantize.layers import DYNAMIC
from stillhouse.plugins.quantize.pairing import operands
from stillhouse.plugins.quantize.weights import UNSIGNED, Rounded, rounded


def quantised(
    graph: onnx.ModelProto,
    schemes: Mapping[str, str],
    ranges: Ranges,
    kind: str,
    per_channel: bool,
) -> onnx.ModelProto:
    """The graph with the constants that `schemes` names in integers; takes it over.

    Its length in bytes follows from shapes alone.
    """
    rewriter = _Rewriter(graph, schemes, ranges, kind, per_channel)
    for node in list(graph.graph.node):
        rewriter.add(node)
    return rewriter.finished()


@final
class _Rewriter:
    def __init__(
        self,
        graph: onnx.ModelProto,
        schemes: Mapping[str, str],
        ranges: Ranges,
        kind: str,
        per_channel: bool,
    ) -> None:
        self._graph, self._schemes, self._ranges = graph, schemes, ranges
        self._kind, self._per_channel = kind, per_channel
        self._constants = {c.name: c for c in graph.graph.initializer}
        self._answers = set(answers(graph, schemes))
        self._nodes: list[onnx.NodeProto] = []
        self._read: dict[str, str] = {}
        """By tensor, what all that follow read in its place."""
        self._static: dict[str, list[str]] = {}
        """By tensor, its 8-bit form, scale and zero."""
        self._dynamic: dict[str, list[str]] = {}
        """The same where scale and zero are found at every inference."""
        self._floats: dict[str, str] = {}
        """By tensor, its static 8-bit form as floats again."""
        self._weights: dict[str, tuple[str, ...]] = {}
        self._products: dict[str, tuple[str, str]] = {}
        """By what a static product without bias writes, the scales of its operands."""
        self._added = self._biases()
        self._count = 0

    def _biases(self) -> dict[str, str]:
        """By tensor, the constant of a number for each output that is all it goes to."""
        nodes = self._graph.graph.node
        reads = Counter(name for node in nodes for name in node.input)
        return {
            product: bias
            for node in nodes
            if node.op_type == "Add"
            for product, bias in (node.input, reversed(node.input))
            if bias in self._constants
            and len(self._constants[bias].dims) == 1
            and reads[product] == 1
        }

    def add(self, node: onnx.NodeProto) -> None:
        scheme = self._schemes.get(node.input[1]) if len(node.input) > 1 else None
        if scheme is None:
            self._add_float(node)
        elif scheme == DYNAMIC:
            self._add_dynamic(node)
        else:
            self._add_static(node)
        for name in self._answers.intersection(node.output):
            self._read[name] = self._rounded(name)

    def finished(self) -> onnx.ModelProto:
        graph = self._graph.graph
        used = {name for node in self._nodes for name in node.input}
        constants = [c for c in self._constants.values() if c.name in used]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(_raw(constant) for constant in constants)
        return self._graph

    def _add_float(self, node: onnx.NodeProto) -> None:
        for i, name in enumerate(node.input):
            node.input[i] = self._read.get(name, name)
        if node.op_type == "Add":
            for product in self._products.keys() & set(node.input):
                place = 1 - list(node.input).index(product)
                scales = self._products[product]
                node.input[place] = self._rounded_bias(node.input[place], *scales)
        self._nodes.append(node)

    def _add_dynamic(self, node: onnx.NodeProto) -> None:
        values, scale, zero = self._dynamic_steps(node.input[0])
        weight, weight_scale, weight_zero = self._entries(node)
        whole, plain, both = self._names(3)
        zeros = [zero, weight_zero] if self._kind == UNSIGNED else [zero]
        self._make("MatMulInteger", [values, weight, *zeros], [whole])
        self._make("Cast", [whole], [plain], to=onnx.TensorProto.FLOAT)
        self._make("Mul", [scale, weight_scale], [both])
        bias = node.input[2] if len(node.input) > 2 else ""
        product = self._names(1)[0] if bias else node.output[0]
        self._make("Mul", [plain, both], [product])
        if bias:
            self._make("Add", [product, bias], [node.output[0]])

    def _add_static(self, node: onnx.NodeProto) -> None:
        scale = self._static_steps(node.input[0])[1]
        bias = node.input[2] if len(node.input) > 2 else self._added.get(node.output[0], "")
        entries = self._entries(node, self._least_scale(bias, scale) if bias else 0)
        (plain,) = self._names(1)
        axis = int(node.op_type == "MatMul")
        # Convolutions become integer ones without a zero, products only with one.
        given = entries if node.op_type != "Conv" or self._kind == UNSIGNED else entries[:2]
        self._make("DequantizeLinear", list(given), [plain], axis=axis)
        node.input[0], node.input[1] = self._rounded(node.input[0]), plain
        if len(node.input) > 2 and bias:
            node.input[2] = self._rounded_bias(bias, scale, entries[1])
        elif bias:
            self._products[node.output[0]] = scale, entries[1]
        self._nodes.append(node)

    def _dynamic_steps(self, name: str) -> list[str]:
        given = self._read.get(name, name)
        if given not in self._dynamic:
            self._dynamic[given] = self._names(3)
            self._make("DynamicQuantizeLinear", [given], self._dynamic[given])
        return self._dynamic[given]

    def _static_steps(self, name: str) -> list[str]:
        if name not in self._static:
            steps = [self._constant(part) for part in scale_and_zero(*self._ranges[name])]
            (whole,) = self._names(1)
            self._make("QuantizeLinear", [name, *steps], [whole])
            self._static[name] = [whole, *steps]
        return self._static[name]

    def _rounded(self, name: str) -> str:
        """A tensor of floats that went through its static 8-bit form."""
        if name not in self._floats:
            (self._floats[name],) = self._names(1)
            self._make("DequantizeLinear", self._static_steps(name), [self._floats[name]])
        return self._floats[name]

    def _entries(self, node: onnx.NodeProto, least: Any = 0) -> tuple[str, ...]:
        """Names of a node's rounded weights, their scale and their zero."""
        key = node.input[1]
        if key not in self._weights:
            array = self._array(node.input[1])
            matrix = operands(node, array)
            assert matrix is not None  # noqa: S101 - only what was paired has a scheme
            found: Rounded = rounded(matrix, self._kind, self._per_channel, least)
            values = found.values
            turned = node.op_type == "MatMul" or self._schemes[key] == DYNAMIC
            values = values.T if turned else values.reshape(array.shape)
            parts = (values, found.scale, found.zero)
            self._weights[key] = tuple(self._constant(part) for part in parts)
        return self._weights[key]

    def _least_scale(self, bias: str, scale: str) -> NDArray[Any]:
        """Of weights, so that 32 bits hold their biases; weights near 0 ask for a smaller one."""
        most = np.iinfo(np.int32).max // 2
        return np.asarray(np.abs(self._array(bias)) / (self._array(scale) * most), np.float32)

    def _rounded_bias(self, name: str, scale: str, weight_scale: str) -> str:
        """As 32-bit integers, which integer kernels start from."""
        unit, plain = self._names(2)
        self._make("Mul", [scale, weight_scale], [unit])
        steps = self._array(name) / (self._array(scale) * self._array(weight_scale))
        whole = self._constant(np.rint(steps.astype(np.float64)).astype(np.int32))
        self._make("DequantizeLinear", [whole, unit], [plain], axis=0)
        return plain

    def _array(self, name: str) -> NDArray[Any]:
        return numpy_helper.to_array(self._constants[name])

    def _constant(self, values: NDArray[Any]) -> str:
        (name,) = self._names(1)
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        if values.ndim == 0:
            del self._constants[name].dims[:]
        return name

    def _make(self, operator: str, given: list[str], out: list[str], **options: Any) -> None:
        self._nodes.append(helper.make_node(operator, given, out, **options))

    def _names(self, count: int) -> list[str]:
        self._count += count
        return [f"q{self._count - i:03x}" for i in range(count)]


def _raw(constant: onnx.TensorProto) -> onnx.TensorProto:
    """Numbers as bytes of fixed length, not as text of as many digits as they have."""
    return numpy_helper.from_array(numpy_helper.to_array(constant), constant.name)
