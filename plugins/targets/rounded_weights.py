"""Constants of whole numbers that a product multiplies by steps: found, merged, packed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from stillhouse.plugins.targets.rewriting import Rewriting, attribute

PRODUCTS: Final = ("Gemm", "Conv")
_PLAIN: Final = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}


@final
@dataclass(frozen=True, eq=False)
class RoundedWeight:
    """A constant (outputs, ...) of 8-bit integers, and a step for each output.

    `rounding` is the node that multiplies them; `whole` and `steps` are the constants' names.
    """

    graph: Rewriting
    rounding: onnx.NodeProto
    whole: str
    steps: str

    @staticmethod
    def of(graph: Rewriting, node: onnx.NodeProto) -> RoundedWeight | None:
        """That of a product; None where there is none or something else reads it too."""
        rounding = graph.producer.get(node.input[1])
        if rounding is None or rounding.op_type != "DequantizeLinear" or not _plain(node):
            return None
        whole, steps = (graph.values(name) for name in rounding.input[:2])
        if whole is None or steps is None or whole.dtype != np.int8:
            return None
        by_output = attribute(rounding, "axis", 1) == 0 and steps.shape == whole.shape[:1]
        names = (rounding.output[0], *rounding.input[:2])
        if not by_output or not all(graph.only_reader(name) for name in names):
            return None
        return RoundedWeight(graph, rounding, *rounding.input[:2])

    def values(self) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Whole numbers (outputs, ...) and steps (outputs,)."""
        whole, steps = self.graph.values(self.whole), self.graph.values(self.steps)
        return np.asarray(whole, np.int8), np.asarray(steps, np.float64)

    def scale(self, slope: NDArray[np.float64]) -> None:
        """Multiply each output by its slope: the steps, and for a sign the whole numbers."""
        whole, steps = self.values()
        sign = np.sign(slope).astype(np.int8).reshape(-1, *(1,) * (whole.ndim - 1))
        size = np.where(slope == 0, 1, np.abs(slope))
        self.graph.store(self.whole, whole * sign)
        self.graph.store(self.steps, (steps * size).astype(np.float32))

    def as_floats(self, node: onnx.NodeProto) -> None:
        """The session makes floats of them once, as `DequantizeLinear` would each time."""
        whole, steps = self.values()
        shape = (-1, *(1,) * (whole.ndim - 1))
        self.graph.store(self.steps, steps.astype(np.float32).reshape(shape))
        plain = self.graph.work("Cast", [self.whole], to=TensorProto.FLOAT)
        node.input[1] = self.graph.work("Mul", [plain, self.steps])
        self.graph.drop(self.rounding)

    def pack(self, four_bits: bool) -> None:
        """Two entries to a byte where 4 bits hold them and an output's are even in number.

        As a type of 4 bits if the graph may have one, or else as bytes that are taken apart.
        """
        whole, _ = self.values()
        if whole[0].size % 2 or whole.min() < -8 or whole.max() > 7:
            return
        name = f"{self.whole}.packed"
        if not four_bits:
            low, high = np.split(whole.ravel() + 8, 2)
            pairs = (low | high << 4).astype(np.uint8)
            self.graph.take_apart(self.graph.store(name, pairs), self.whole, whole.shape)
            return
        low, high = whole.ravel()[::2] & 15, whole.ravel()[1::2] & 15
        data = (low | high << 4).astype(np.uint8).tobytes()
        packed = helper.make_tensor(name, TensorProto.INT4, whole.shape, data, raw=True)
        self.graph.unpack(packed, self.whole, TensorProto.INT8)


def _plain(node: onnx.NodeProto) -> bool:
    """Whether a product is no more than that, its weight's first axis the outputs."""
    given: dict[str, Any] = {n: attribute(node, n, _DEFAULTS[n]) for n in _PLAIN}
    return node.op_type == "Conv" or given == _PLAIN


_DEFAULTS: Final = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
