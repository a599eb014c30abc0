"""An ONNX file that runs copies of something side by side, as it is put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_IR_VERSION: Final = 10


@final
class BlockFile:
    """Inputs, nodes and constants so far."""

    def __init__(self) -> None:
        self.inputs: dict[str, onnx.ValueInfoProto] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.summed: list[str] = []
        self._rank = 1

    def cut(self, tensor: str, rank: int) -> None:
        """The first element of a tensor becomes a term of the sum."""
        self._rank = rank
        zeros, ones, axes = (
            self.constant(f"{name}.{rank}", values)
            for name, values in (("zeros", [0] * rank), ("ones", [1] * rank), ("axes", range(rank)))
        )
        term = f"{tensor}.first"
        self.nodes.append(helper.make_node("Slice", [tensor, zeros, ones, axes], [term]))
        self.summed.append(term)

    def constant(self, name: str, values: Sequence[int]) -> str:
        self.constants[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def model(self, opset: int) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Sum", self.summed, ["sum"]))
        output = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1] * self._rank)
        graph = helper.make_graph(
            self.nodes, "block", list(self.inputs.values()), [output], list(self.constants.values())
        )
        imports = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)


@final
class BlockCopy:
    """One copy of a block within a file; tensors carry its number."""

    def __init__(self, file: BlockFile, index: int, batch: int) -> None:
        self.file, self.index, self.batch = file, index, batch
        self._made = 0

    def input(self, *dims: int, name: str = "input", whole: bool = False) -> str:
        """An input of this copy's own; one with another name is shared by all copies."""
        tensor = f"{name}.{self.index}" if name == "input" else name
        dtype = TensorProto.INT64 if whole else TensorProto.FLOAT
        self.file.inputs[tensor] = helper.make_tensor_value_info(tensor, dtype, dims)
        return tensor

    def weight(self, *dims: int) -> str:
        """Constants of a shape, all of one value, which no other copy has."""
        shape = self.file.constant(self._name("shape"), dims)
        value = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.01 / (self.index + 1)])
        return self.node("ConstantOfShape", shape, value=value)

    def whole(self, *values: int) -> str:
        return self.file.constant(self._name("values"), values)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = self._name(operator)
        self.file.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def split(self, tensor: str, parts: int) -> list[str]:
        names = [self._name("part") for _ in range(parts)]
        node = helper.make_node("Split", [tensor], names, axis=-1, num_outputs=parts)
        self.file.nodes.append(node)
        return names

    def end(self, tensor: str, rank: int) -> bool:
        self.file.cut(tensor, rank)
        return True

    def _name(self, what: str) -> str:
        self._made += 1
        return f"{what}.{self.index}.{self._made}"
