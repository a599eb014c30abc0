"""Programs: what torch.export captures of a network, as plain data that is safe to read.

torch's own archive (`torch.export.save`) is no such data: loading one unpickles its sample inputs
(`torch.load` with `weights_only=False` where the safe way fails) and has sympy evaluate its
symbolic expressions, and its description of a small network outweighs the weights. Here a program
is a list of ATen operators over tensors of fixed shape. Only operators that compute tensors from
tensors are accepted, and those of `supplied.py` by name, so that no file can name code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch._ops import OpOverload

from stillhouse.core.measure.inputs import Ids
from stillhouse.plugins.targets.supplied import SUPPLIED, supplied

Value = Any
"""An argument as JSON: a number, null, a list of arguments, `{"text": ...}`, `{"dtype": ...}`,
`{"device": null}`, `{"memory_format": ...}`, `{"float": "inf"}`, or text that refers to a tensor:
`"x"` the input, `"@3"` the fourth weight in order of names, `"%5"` the sixth step's result."""

GETITEM: Final = "getitem"
INPUT: Final = "x"
_FACTORIES: Final = frozenset({"arange", "full", "linspace", "ones", "scalar_tensor", "zeros"})
DTYPES: Final = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool,
        torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    )
}  # fmt: skip
FORMATS: Final = {
    "contiguous_format": torch.contiguous_format,
    "preserve_format": torch.preserve_format,
    "channels_last": torch.channels_last,
}


@dataclass(frozen=True)
class Step:
    """One operator (`"linear.default"`, or `"getitem"` for one of several results)."""

    operator: str
    args: tuple[Value, ...]
    kwargs: Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class Program:
    """A network in eval mode: one input of fixed shape, one output tensor."""

    shape: tuple[int, ...]
    dtype: str
    steps: tuple[Step, ...]
    output: Value
    weights: Mapping[str, Tensor]
    ids: Ids | None = None
    """Range of whole-number inputs, see `core.measure.inputs`."""


def operation(name: str) -> Callable[..., Any]:
    """The operator of that name; ValueError unless it computes tensors from tensors."""
    if name == GETITEM:
        return operator.getitem
    if name in SUPPLIED:
        return supplied(name)
    packet, _, overload = name.partition(".")
    found = getattr(getattr(torch.ops.aten, packet, None), overload or "default", None)
    if not isinstance(found, OpOverload) or not _computes(packet, found._schema):
        raise ValueError(f"'{name}' is no ATen operator that computes tensors from tensors")
    return found


def _computes(packet: str, schema: torch.FunctionSchema) -> bool:
    # `from_file.out` takes no tensor but the one it fills, and creates the file that it is told.
    given = [argument for argument in schema.arguments if not argument.is_out]
    takes = packet in _FACTORIES or any("Tensor" in str(a.type) for a in given)
    gives = [str(result.type) for result in schema.returns]
    return takes and bool(gives) and all("Tensor" in kind for kind in gives)


def mutates(target: object) -> bool:
    """Whether an operator changes a tensor that it is given."""
    return isinstance(target, OpOverload) and target._schema.is_mutable


def decoded(value: Value, tensors: Callable[[str], Any], device: torch.device) -> Any:
    """An argument with `tensors(reference)` in the place of references.

    Raises KeyError, ValueError or TypeError for what `Value` does not describe.
    """
    if isinstance(value, str):
        return tensors(value)
    if isinstance(value, list):
        return [decoded(item, tensors, device) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, word),) = value.items()
    if kind == "device":
        return device
    if kind == "text" and isinstance(word, str):
        return word
    if kind == "float":
        return float(word)
    return DTYPES[word] if kind == "dtype" else {"memory_format": FORMATS}[kind][word]


def references(step: Step) -> list[str]:
    """Every tensor a step takes, in order."""
    found: list[str] = []
    decoded([*step.args, *step.kwargs.values()], found.append, torch.device("cpu"))
    return found
