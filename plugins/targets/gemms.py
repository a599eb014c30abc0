"""Products without a bias as the operator that the runtime has the same integer kernel for."""

from __future__ import annotations

import onnx
from onnx import helper

from stillhouse.plugins.targets.rewriting import attribute


def matmuls_to_gemms(model: onnx.ModelProto) -> None:
    """Make `Gemm`, in place, of each two-axis `MatMul` with the transpose of a rounded weight."""
    producer = {name: node for node in model.graph.node for name in node.output}
    found = [
        (node, transpose)
        for node in model.graph.node
        if node.op_type == "MatMul"
        and (transpose := producer.get(node.input[1])) is not None
        and _turns(transpose, producer.get(transpose.input[0]))
    ]
    if not found:
        return
    ranks = _ranks(model)
    for node, transpose in found:
        if ranks.get(node.output[0]) == 2:
            node.op_type = "Gemm"
            node.input[1] = transpose.input[0]
            node.attribute.append(helper.make_attribute("transB", 1))
    read = {name for node in model.graph.node for name in node.input}
    for _, transpose in found:
        if transpose.output[0] not in read and transpose in model.graph.node:
            model.graph.node.remove(transpose)


def _turns(node: onnx.NodeProto, before: onnx.NodeProto | None) -> bool:
    """Whether a node turns a rounded matrix."""
    turned = node.op_type == "Transpose" and attribute(node, "perm", [1, 0]) == [1, 0]
    return turned and before is not None and before.op_type == "DequantizeLinear"


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = (*graph.value_info, *graph.output)
    return {value.name: len(value.type.tensor_type.shape.dim) for value in known}
