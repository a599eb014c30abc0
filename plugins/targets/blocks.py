"""A block as a small ONNX file: copies of one operator side by side, as an export has it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import onnx

from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.plugins.targets.block_file import BlockCopy, BlockFile

_SINCE: Final[Mapping[str, int]] = {"attention": 23, "gelu": 20}
"""Opsets before which exports spell an operator out in others, so that it is no block."""
_RECURRENT: Final = {4: "LSTM", 3: "GRU", 1: "RNN"}


def block_model(shape: Shape | None, copies: int, batch: int, opset: int) -> onnx.ModelProto | None:
    """`copies` of a block, each on an input and with weights of its own; None if there is no such.

    The first element of every result is cut out and their sum is the output, so that nothing is
    left out as unused. Without a shape inputs are cut and summed, and nothing else is done: what
    that takes is what the copies cost beside themselves. Weights are written as constant fills,
    which the runtime expands when it loads the file: it stays small, whatever the shape.
    """
    kind = shape.kind if shape else "nothing"
    build = _BUILD.get(kind)
    if build is None or opset < _SINCE.get(kind, 0):
        return None
    if shape and (shape.weight_bits, shape.activation_bits) != (32, 32):
        return None
    file = BlockFile()
    for index in range(copies):
        if not build(BlockCopy(file, index, batch), shape or Shape("nothing", outputs=_NOTHING)):
            return None
    return file.model(opset)


_NOTHING: Final = 8
"""Features of the inputs that are only cut; feeding takes as long at any size."""


def _nothing(copy: BlockCopy, shape: Shape) -> bool:
    return copy.end(copy.input(copy.batch, shape.outputs), 2)


def _linear(copy: BlockCopy, shape: Shape) -> bool:
    x = copy.input(copy.batch * shape.positions, shape.inputs)
    if not shape.bias:
        return copy.end(copy.node("MatMul", x, copy.weight(shape.inputs, shape.outputs)), 2)
    weights = copy.weight(shape.outputs, shape.inputs), copy.weight(shape.outputs)
    return copy.end(copy.node("Gemm", x, *weights, transB=1), 2)


def _matmul(copy: BlockCopy, shape: Shape) -> bool:
    stacked = copy.batch, shape.groups
    left = copy.input(*stacked, shape.positions, shape.inputs)
    right = copy.input(*stacked, shape.inputs, shape.outputs, name="right")
    return copy.end(copy.node("MatMul", left, right), 4)


def _attention(copy: BlockCopy, shape: Shape) -> bool:
    """Queries, keys and values packed in one input where they have equally many positions."""
    inner, heads = shape.groups * shape.inputs, shape.groups
    if shape.positions == shape.outputs:
        x = copy.input(copy.batch * shape.positions, 3 * inner)
        packed = copy.node("Reshape", x, copy.whole(copy.batch, shape.positions, 3 * inner))
        operands = copy.split(packed, 3)
    else:
        kept = copy.input(copy.batch, shape.outputs, inner, name="right")
        operands = [copy.input(copy.batch, shape.positions, inner), kept, kept]
    mixed = copy.node("Attention", *operands, q_num_heads=heads, kv_num_heads=heads)
    rows = copy.whole(copy.batch * shape.positions, inner)
    return copy.end(copy.node("Reshape", mixed, rows), 2)


def _norm(copy: BlockCopy, shape: Shape) -> bool:
    x = copy.input(copy.batch * shape.positions, shape.outputs)
    weights = [copy.weight(shape.outputs) for _ in range(1 + bool(shape.bias))]
    return copy.end(copy.node("LayerNormalization", x, *weights, axis=-1), 2)


def _unary(*operators: str) -> Callable[[BlockCopy, Shape], bool]:
    def build(copy: BlockCopy, shape: Shape) -> bool:
        x = copy.input(copy.batch * shape.positions, shape.outputs)
        for operator in operators:
            x = copy.node(operator, x)
        return copy.end(x, 2)

    return build


def _silu(copy: BlockCopy, shape: Shape) -> bool:
    x = copy.input(copy.batch * shape.positions, shape.outputs)
    return copy.end(copy.node("Mul", x, copy.node("Sigmoid", x)), 2)


def _binary(operator: str) -> Callable[[BlockCopy, Shape], bool]:
    def build(copy: BlockCopy, shape: Shape) -> bool:
        dims = copy.batch * shape.positions, shape.outputs
        return copy.end(copy.node(operator, copy.input(*dims), copy.input(*dims, name="right")), 2)

    return build


def _mean(copy: BlockCopy, shape: Shape) -> bool:
    window = max(1, shape.read_positions // shape.positions)
    x = copy.input(copy.batch * shape.positions, window, shape.outputs)
    return copy.end(copy.node("ReduceMean", x, copy.whole(1), keepdims=0), 2)


def _table(copy: BlockCopy, shape: Shape) -> bool:
    indices = copy.input(copy.batch * shape.positions, whole=True)
    return copy.end(copy.node("Gather", copy.weight(shape.positions, shape.outputs), indices), 2)


def _convolution(copy: BlockCopy, sizes: Sequence[int], reads: Sequence[int], s: Shape) -> bool:
    """Over `sizes` output positions from `reads`, a kernel of equal sides where there are two."""
    side = round(s.kernel ** (1 / len(sizes)))
    kernel = [side] * len(sizes) if side ** len(sizes) == s.kernel else [s.kernel, 1]
    strides = [max(1, round(read / size)) for read, size in zip(reads, sizes, strict=True)]
    missing = [
        max(0, (size - 1) * stride + width - read)
        for size, stride, width, read in zip(sizes, strides, kernel, reads, strict=True)
    ]
    pads = [m // 2 for m in missing] + [m - m // 2 for m in missing]
    x = copy.input(copy.batch, s.inputs, *reads)
    weights = [copy.weight(s.outputs, s.inputs // s.groups, *kernel)]
    weights += [copy.weight(s.outputs)] if s.bias else []
    y = copy.node("Conv", x, *weights, strides=strides, pads=pads, group=s.groups)
    return copy.end(y, 2 + len(sizes))


def _conv1d(copy: BlockCopy, shape: Shape) -> bool:
    return _convolution(copy, [shape.positions], [_read(shape)], shape)


def _conv2d(copy: BlockCopy, shape: Shape) -> bool:
    """A sheet knows how many positions a map has, not its sides: as near to a square as may be."""
    sides = _sides(shape.positions)
    stride = max(1, round(math.sqrt(_read(shape) / shape.positions)))
    return _convolution(copy, sides, [side * stride for side in sides], shape)


def _read(shape: Shape) -> int:
    return shape.read_positions or shape.positions


def _sides(positions: int) -> list[int]:
    short = next(n for n in range(math.isqrt(positions), 0, -1) if positions % n == 0)
    return [positions // short, short]


def _recurrent(copy: BlockCopy, shape: Shape) -> bool:
    operator, gates = _RECURRENT.get(shape.groups), shape.groups * shape.outputs
    if operator is None:
        return False
    x = copy.input(shape.positions, copy.batch, shape.inputs)
    weights = [copy.weight(1, gates, shape.inputs), copy.weight(1, gates, shape.outputs)]
    weights += [copy.weight(1, 2 * gates)] if shape.bias else []
    # torch's GRU applies its reset gate after the product.
    torch_like = {"linear_before_reset": 1} if operator == "GRU" else {}
    y = copy.node(operator, x, *weights, hidden_size=shape.outputs, **torch_like)
    return copy.end(y, 4)


_BUILD: Final[Mapping[str, Callable[[BlockCopy, Shape], bool]]] = {
    "nothing": _nothing,
    "linear": _linear,
    "cache": _linear,
    "matmul": _matmul,
    "attention": _attention,
    "norm": _norm,
    "table": _table,
    "conv1d": _conv1d,
    "conv2d": _conv2d,
    "recurrent": _recurrent,
    "add": _binary("Add"),
    "mul": _binary("Mul"),
    "mean": _mean,
    "gelu": _unary("Gelu"),
    "relu": _unary("Relu"),
    "sigmoid": _unary("Sigmoid"),
    "tanh": _unary("Tanh"),
    "softmax": _unary("Softmax"),
    "silu": _silu,
}
