"""What torch.export captures of a network, turned into a program."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from stillhouse.core.measure import ExportError
from stillhouse.core.measure.inputs import ids_of
from stillhouse.core.measure.layer_form import deployed
from stillhouse.plugins.targets.program import (
    DTYPES,
    FORMATS,
    GETITEM,
    INPUT,
    Program,
    Step,
    Value,
    mutates,
    operation,
)
from stillhouse.plugins.targets.quiet import quiet, reason
from stillhouse.plugins.targets.supplied import SUPPLIED


def captured(module: nn.Module, example: Tensor) -> Program:
    """The program of `module` in eval mode for inputs of `example`'s shape.

    The module and torch's generators stay as they are. Raises `ExportError` naming the module.
    """
    frozen = deployed(module).cpu()
    try:
        with quiet(), torch.random.fork_rng(devices=[]), torch.no_grad():
            exported = torch.export.export(frozen, (example.detach().cpu(),), strict=False)
        return _Reader(exported, example).program()
    except Exception as failed:  # torch.export raises whatever it likes
        raise ExportError(
            f"cannot export {type(module).__name__} for an input of shape {tuple(example.shape)} "
            f"as a torch program: {reason(failed)}. Use operators of torch alone, and no branch "
            f"that depends on the data"
        ) from failed


class _Reader:
    """Turns an exported program into data."""

    def __init__(self, exported: torch.export.ExportedProgram, example: Tensor) -> None:
        self._exported, self._example = exported, example
        self._references: dict[str, str] = {}
        self._steps: list[Step] = []

    def program(self) -> Program:
        signature = self._exported.graph_signature
        if signature.buffers_to_mutate or len(signature.user_inputs) != 1:
            raise ValueError("expected a network of one input that changes none of its buffers")
        weights, places = self._weights()
        self._references = {name: f"@{place}" for name, place in places.items()}
        self._references[str(signature.user_inputs[0])] = INPUT
        output = None
        for node in self._exported.graph.nodes:
            if node.op == "output":
                output = self._output(node)
            elif node.op == "call_function" and not self._skipped(node):
                self._add(node)
            elif node.op not in ("call_function", "placeholder"):
                raise ValueError(f"a graph of torch's operators has no {node.op} ({node.target})")
        example = self._example
        return Program(
            tuple(example.shape),
            str(example.dtype).removeprefix("torch."),
            tuple(self._steps),
            output,
            weights,
            ids_of(example),
        )

    def _weights(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Tensors by name, those that share memory once, and each placeholder's place in them."""
        signature = self._exported.graph_signature
        known = {**self._exported.state_dict, **self._exported.constants}
        lifted = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        first: dict[Any, str] = {}
        for name in sorted(set(lifted.values())):
            if not isinstance(known[name], Tensor):
                raise ValueError(f"expected tensors as constants, '{name}' is none")
            first.setdefault(_identity(known[name]), name)
        names = sorted(first.values())
        places = {p: names.index(first[_identity(known[name])]) for p, name in lifted.items()}
        return {name: known[name].detach().clone().contiguous() for name in names}, places

    def _skipped(self, node: torch.fx.Node) -> bool:
        """Checks, and dropout, which does nothing in eval mode."""
        target = node.target
        if isinstance(target, OpOverload):
            if not target._schema.returns:
                return not target._schema.is_mutable
            if target is torch.ops.aten.dropout.default and node.args[2] is False:
                self._references[node.name] = self._value(node.args[0])
                return True
        return False

    def _add(self, node: torch.fx.Node) -> None:
        target = node.target
        if target is operator.getitem:
            name = GETITEM
        elif isinstance(target, OpOverload) and str(target) in SUPPLIED:
            name = str(target)
        elif isinstance(target, OpOverload) and target.namespace == "aten":
            name = str(target).removeprefix("aten.")
            operation(name)
        else:
            raise ValueError(f"'{target}' is no operator of torch's own")
        args = tuple(self._value(arg) for arg in node.args)
        if mutates(target) and str(args[0]).startswith("@"):
            raise ValueError(f"'{name}' changes a weight")
        kwargs = {key: self._value(arg) for key, arg in node.kwargs.items() if key != "layout"}
        self._references[node.name] = f"%{len(self._steps)}"
        self._steps.append(Step(name, args, kwargs))

    def _output(self, node: torch.fx.Node) -> Value:
        (outputs,) = node.args
        if not isinstance(outputs, (tuple, list)) or len(outputs) != 1:
            raise ValueError("expected a network with one output tensor")
        return self._value(outputs[0])

    def _value(self, value: object) -> Value:
        if isinstance(value, torch.fx.Node):
            return self._references[value.name]
        if isinstance(value, (list, tuple)):
            return [self._value(item) for item in value]
        if isinstance(value, float) and value - value != 0:
            return {"float": str(value)}
        if value is None or type(value) in (bool, int, float):
            return value
        if isinstance(value, str):
            return {"text": value}
        if isinstance(value, torch.device):
            return {"device": None}
        kind = "dtype" if isinstance(value, torch.dtype) else "memory_format"
        word = str(value).removeprefix("torch.")
        if word in DTYPES or word in FORMATS:
            return {kind: word}
        raise ValueError(f"cannot store the argument {value!r}")


def _identity(tensor: Tensor) -> tuple[object, ...]:
    place = tensor.untyped_storage().data_ptr(), tensor.storage_offset()
    return (
        (*place, tensor.shape, tensor.stride(), tensor.dtype) if tensor.numel() else (id(tensor),)
    )
