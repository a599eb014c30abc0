"""torch operations as rows of the operator sheet: what was called, on what, told by its shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from stillhouse.core.cost.sheet import OperatorKind

Constant = Callable[[Tensor], bool]
"""Whether a tensor follows from parameters and buffers alone."""

aten = torch.ops.aten


@dataclass(frozen=True, eq=False)
class Operation:
    """One call as a row: its kind, group, cells, and the tensors that hold weights and biases."""

    kind: OperatorKind
    group: str
    cells: Mapping[str, float]
    weights: tuple[Tensor, ...] = ()
    biases: tuple[Tensor, ...] = ()


def operation(
    packet: object, args: Sequence[Any], outputs: Sequence[Tensor], constant: Constant
) -> Operation | None:
    """The row of an aten call; None where it only copies.

    Raises ValueError for arithmetic that has no row.
    """
    if packet in _COPIES:
        return None
    if packet in _ROWS:
        return _ROWS[packet](args, outputs, constant)
    if packet in flop_registry:
        raise ValueError(f"no row of the operator sheet describes {packet}")
    return _elementwise(args, outputs, constant)


def recurrent(name: str, args: Sequence[Any]) -> list[Operation]:
    """The rows of `torch.lstm`, `torch.gru` and their like: one for each layer and direction."""
    x, second, weights = args[0], args[1], args[2]
    if not isinstance(weights, (list, tuple)) or (isinstance(second, Tensor) and second.ndim < 2):
        raise ValueError(f"{name} over a packed sequence has no fixed costs")
    bias, layers, bidirectional = bool(args[3]), int(args[4]), bool(args[7])
    each = len(weights) // (layers * (2 if bidirectional else 1))
    if each != (4 if bias else 2):
        raise ValueError(f"no row of the operator sheet describes {name} with projections")
    parts = [weights[i : i + each] for i in range(0, len(weights), each)]
    return [_recurrent(x.numel() // x.shape[-1], part) for part in parts]


def _recurrent(positions: int, parameters: Sequence[Tensor]) -> Operation:
    wide, own = parameters[0], parameters[1]
    cells = _cells(wide.shape[1], own.shape[1], positions, groups=own.shape[0] / own.shape[1])
    return Operation("recurrent", "recurrent", cells, (wide, own), tuple(parameters[2:]))


def attention(query: Tensor, key: Tensor, value: Tensor) -> tuple[Operation, Operation, Operation]:
    """Scores, softmax and mixing of (..., positions, features) operands."""
    positions, keys, heads = query.shape[-2], key.shape[-2], math.prod(query.shape[:-2])
    scores = _cells(query.shape[-1], keys, positions, groups=heads)
    softmax = {"outputs": float(heads * keys), "positions": float(positions)}
    mix = _cells(keys, value.shape[-1], positions, groups=heads)
    group = "attention_scores"
    return (
        Operation("matmul", group, scores),
        Operation("elementwise", group, softmax),
        Operation("matmul", group, mix),
    )


def _cells(inputs: float, outputs: float, positions: float, **others: float) -> dict[str, float]:
    known = {"inputs": inputs, "outputs": outputs, "positions": positions, **others}
    return {name: float(value) for name, value in known.items()}


def _product(
    left: Tensor, right: Tensor, constant: Constant, bias: Tensor | None = None
) -> Operation:
    """(groups, m, k) times (groups, k, n); whichever of the two is constant holds weights."""
    groups, m, k = left.shape
    n = right.shape[2]
    if constant(left) == constant(right):
        return Operation("matmul", "attention_scores", _cells(k, n, m, groups=groups))
    weight, positions, outputs = (right, m, n) if constant(right) else (left, n, m)
    biases = (bias,) if bias is not None and constant(bias) else ()
    if groups == 1 or weight.stride(0) == 0:
        cells = _cells(k, outputs, groups * positions)
        return Operation("linear", "linear", cells, (weight,), biases)
    # One matrix a group is what a grouped convolution of kernel 1 stores and multiplies.
    cells = _cells(groups * k, groups * outputs, positions, groups=groups)
    return Operation("conv1d", "linear", cells, (weight,), biases)


def _convolution(args: Sequence[Any], outputs: Sequence[Tensor], constant: Constant) -> Operation:
    x, weight, bias = args[:3]
    out = outputs[0]
    if args[6]:
        raise ValueError("no row of the operator sheet describes a transposed convolution")
    positions, read = (t.numel() // t.shape[1] for t in (out, x))
    cells = _cells(x.shape[1], out.shape[1], positions, groups=args[8])
    cells["kernel"] = float(math.prod(weight.shape[2:]))
    if read != positions:
        cells["read_positions"] = float(read)
    kind: OperatorKind = "conv1d" if weight.ndim == 3 else "conv2d"
    biases = () if bias is None else (bias,)
    return Operation(kind, "convolution", cells, (weight,), biases)


def _normalised(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Operation:
    if weight is None:
        cells = {"outputs": float(x.shape[-1]), "positions": x.numel() / x.shape[-1]}
        return Operation("elementwise", "norm", cells)
    cells = {"outputs": float(weight.numel()), "positions": x.numel() / weight.numel()}
    return Operation("norm", "norm", cells, (weight,), () if bias is None else (bias,))


def _looked_up(args: Sequence[Any], outputs: Sequence[Tensor], constant: Constant) -> Operation:
    entries, width = args[0].shape
    return Operation("table", "embedding", _cells(entries, width, args[1].numel()), (args[0],))


def _elementwise(args: Sequence[Any], outputs: Sequence[Tensor], constant: Constant) -> Operation:
    out = outputs[0]
    width = out.shape[-1] if out.ndim else 1
    cells = {"outputs": float(width), "positions": out.numel() / width}
    read = sum(t.numel() for t in tensors(args) if not constant(t) or t.requires_grad)
    if read not in (0, out.numel()):
        cells["read_positions"] = read / width
    return Operation("elementwise", "elementwise", cells)


def tensors(values: Iterable[Any]) -> list[Tensor]:
    """The tensors among arguments, also in lists of them."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += tensors(value)
    return found


def _batched(tensor: Tensor) -> Tensor:
    return tensor if tensor.ndim == 3 else tensor.unsqueeze(0)


_COPIES: Final = frozenset({aten.clone, aten._to_copy, aten.copy_})
"""Only move data about; runtimes fold them into their neighbours."""

_ROWS: Final[Mapping[object, Callable[[Sequence[Any], Sequence[Tensor], Constant], Operation]]] = {
    aten.mm: lambda a, _, c: _product(_batched(a[0]), _batched(a[1]), c),
    aten.bmm: lambda a, _, c: _product(a[0], a[1], c),
    aten.addmm: lambda a, _, c: _product(_batched(a[1]), _batched(a[2]), c, a[0]),
    aten.baddbmm: lambda a, _, c: _product(a[1], a[2], c),
    aten.mv: lambda a, _, c: _product(_batched(a[0]), a[1][None, :, None], c),
    aten.addmv: lambda a, _, c: _product(_batched(a[1]), a[2][None, :, None], c, a[0]),
    aten.convolution: _convolution,
    aten.native_layer_norm: lambda a, _, c: _normalised(a[0], a[2], a[3]),
    aten._fused_rms_norm: lambda a, _, c: _normalised(a[0], a[2], None),
    aten.native_group_norm: lambda a, _, c: _normalised(a[0], a[1], a[2]),
    aten.native_batch_norm: lambda a, _, c: _normalised(a[0], a[1], a[2]),
    aten._native_batch_norm_legit_no_training: lambda a, _, c: _normalised(a[0], a[1], a[2]),
    aten.embedding: _looked_up,
}
