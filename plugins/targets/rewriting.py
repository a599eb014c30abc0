"""A graph while it is rewritten: constants change, and nodes that only read them come first."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


@final
class Rewriting:
    """Nodes of a model by what they make and read. Nothing is dropped before `close`."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self.constants = {c.name: c for c in model.graph.initializer}
        self.producer = {name: node for node in model.graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._outputs = {output.name for output in model.graph.output}
        self._first: list[onnx.NodeProto] = []
        self._second: list[onnx.NodeProto] = []

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads a tensor; None where there are more, or it is an output."""
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self._outputs else None

    def values(self, name: str) -> NDArray[Any] | None:
        constant = self.constants.get(name)
        return None if constant is None else numpy_helper.to_array(constant)

    def store(self, name: str, values: NDArray[Any]) -> str:
        """A new constant, or other values for one that is there."""
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def unpack(self, packed: onnx.TensorProto, name: str, kind: int) -> None:
        """Store a constant in another type, and cast it back to what it was called before."""
        del self.constants[name]
        self.constants[packed.name] = packed
        self._first.append(helper.make_node("Cast", [packed.name], [name], to=kind))

    def take_apart(self, pairs: str, name: str, shape: tuple[int, ...]) -> None:
        """Work out what was called so before: bytes hold its first half, and its second above.

        Each entry, -8 to 7, takes 4 bits, where it is 8 more.
        """
        del self.constants[name]
        given: dict[str, Any] = {
            "mask": np.uint8(15), "above": np.uint8(4), "eight": np.int32(8),
            "shape": np.array(shape, np.int64),
        }  # fmt: skip
        at = {key: self.store(f"{name}.{key}", np.asarray(value)) for key, value in given.items()}
        make = helper.make_node
        self._first += [
            make("BitwiseAnd", [pairs, at["mask"]], [f"{name}.first"]),
            make("BitShift", [pairs, at["above"]], [f"{name}.second"], direction="RIGHT"),
            make("Concat", [f"{name}.first", f"{name}.second"], [f"{name}.flat"], axis=0),
            make("Reshape", [f"{name}.flat", at["shape"]], [f"{name}.shaped"]),
            make("Cast", [f"{name}.shaped"], [f"{name}.wide"], to=TensorProto.INT32),
            make("Sub", [f"{name}.wide", at["eight"]], [f"{name}.whole"]),
            make("Cast", [f"{name}.whole"], [name], to=TensorProto.INT8),
        ]

    def work(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        """A node on constants, and on nodes that were made before: the name of what it makes."""
        name = f"{inputs[0]}.{operator}{len(self._second)}"
        self._second.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def reshape(self, node: onnx.NodeProto, shape: tuple[int, ...]) -> None:
        """Make a node of one input a `Reshape`; 0 keeps an axis, -1 is what is left."""
        node.op_type = "Reshape"
        del node.attribute[:]
        node.input.append(self.store(f"{node.output[0]}.shape", np.array(shape, np.int64)))

    def drop(self, node: onnx.NodeProto) -> None:
        node.op_type = ""

    def close(self) -> None:
        """Write everything back."""
        kept = [node for node in self._graph.node if node.op_type]
        constants = list(self.constants.values())
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend([*self._first, *self._second, *kept])
        self._graph.initializer.extend(constants)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return given.get(name, default)
