"""Graphs made small and fast before they are written: folded, fused, stripped."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import onnx
import onnxruntime
from onnx import version_converter

from stillhouse.core.atomic import write_atomically
from stillhouse.plugins.targets.attention import fuse_attention
from stillhouse.plugins.targets.integers import settle_integers
from stillhouse.plugins.targets.layout import drop_identities

_KEPT_OPTIMISERS_OUT: Final = [
    "MatMulAddFusion",
    "TransposeOptimizer",
    "ConstantSharing",
    "QDQPropagationTransformer",
    "WeightBiasQuantization",
]
"""Left to the session that loads the file: they only rearrange, and hide patterns or sizes."""


def tidied(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Constants folded, attention fused, unused nodes and everything merely descriptive removed.

    Takes the model over: it may be changed. Standard ONNX operators only. Biases and scales that
    the exporter merged because their values coincide are written out again, so that the size of
    the file follows from its shapes alone.
    """
    folded = _folded(_unshared(model))
    _strip(folded)
    if folded.opset_import[0].version != opset:
        folded = version_converter.convert_version(folded, opset)
    fuse_attention(folded)
    drop_identities(folded)
    settle_integers(folded)
    _prune(folded)
    _strip(folded)
    _rename(folded)
    return folded


def write(model: onnx.ModelProto, path: Path) -> None:
    """Write the file at once or not at all."""
    write_atomically(path, model.SerializeToString(deterministic=True))


def _unshared(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every `Identity` of a constant as a constant of its own."""
    constants = {c.name: c for c in model.graph.initializer}
    copies = []
    for node in model.graph.node:
        if node.op_type == "Identity" and node.input[0] in constants:
            copy = onnx.TensorProto()
            copy.CopyFrom(constants[node.input[0]])
            copy.name = node.output[0]
            copies.append(copy)
            node.op_type = ""
    kept = [node for node in model.graph.node if node.op_type]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(copies)
    return model


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Shape arithmetic and constant operands worked out, by the runtime's own basic passes."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=_KEPT_OPTIMISERS_OUT,
        )
        return onnx.load(options.optimized_model_filepath)


def _prune(model: onnx.ModelProto) -> None:
    """Drop nodes, then constants, that no output depends on."""
    graph = model.graph
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):  # nodes are in topological order
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    constants = [c for c in graph.initializer if c.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def _strip(model: onnx.ModelProto) -> None:
    """Drop what describes but does not compute."""
    graph = model.graph
    model.doc_string = graph.doc_string = ""
    model.producer_name, model.producer_version = "stillhouse", ""
    del model.metadata_props[:], graph.value_info[:], graph.metadata_props[:]
    domains = {node.domain for node in graph.node}
    imports = [entry for entry in model.opset_import if entry.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    for node in graph.node:
        node.name = node.doc_string = ""
        del node.metadata_props[:]
    for constant in graph.initializer:
        constant.doc_string = ""


def _rename(model: onnx.ModelProto) -> None:
    """Number all tensors but inputs and outputs: their names are a tenth of a small file."""
    graph = model.graph
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    names[""] = ""
    for constant in graph.initializer:
        constant.name = names.setdefault(constant.name, f"c{len(names):03x}")
    for node in graph.node:
        for tensors in (node.input, node.output):
            for i, name in enumerate(tensors):
                tensors[i] = names.setdefault(name, f"t{len(names):03x}")
