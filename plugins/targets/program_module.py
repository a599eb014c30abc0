"""Programs as torch modules, with as little between two operators as torch allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from stillhouse.core.measure.inputs import drawn
from stillhouse.plugins.targets.program import (
    DTYPES,
    INPUT,
    Program,
    Step,
    decoded,
    mutates,
    operation,
    references,
)
from stillhouse.plugins.targets.supplied import binding


def made_up(program: Program, device: torch.device) -> Tensor:
    """Normally distributed inputs, or whole numbers within `ids`, of the declared shape."""
    generator = torch.Generator().manual_seed(0)
    return drawn(program.shape, DTYPES[program.dtype], program.ids, generator).to(device)


def built(program: Program, device: torch.device, *, bound: bool) -> torch.fx.GraphModule:
    """A module on `device` that takes the input and returns the output.

    What depends on weights alone is computed once, here. With `bound`, Python's own bindings of
    the operators are called wherever there are any: a call through `torch.ops` costs some
    microseconds more, a quarter of the time of a small network.

    Raises whatever torch raises for a step that does not fit its tensors.
    """
    with torch.no_grad():
        return _Builder(program, device, bound).module()


class _Builder:
    """Runs the program once and writes down what has to be run again each time."""

    def __init__(self, program: Program, device: torch.device, bound: bool) -> None:
        self._program, self._device, self._bound = program, device, bound
        self._graph, self._root = torch.fx.Graph(), nn.Module()
        self._values: dict[str, Any] = {INPUT: made_up(program, device)}
        for place, name in enumerate(sorted(program.weights)):
            self._values[f"@{place}"] = program.weights[name].to(device)
        self._nodes = {INPUT: self._graph.placeholder("x")}
        self._settled = _settled(program)
        self._last = {
            name: number for number, step in enumerate(program.steps) for name in references(step)
        }

    def module(self) -> torch.fx.GraphModule:
        for number, step in enumerate(self._program.steps):
            self._add(f"%{number}", step)
            self._forget(number)
        output = decoded(self._program.output, self._node, self._device)
        self._graph.output(output)
        return torch.fx.GraphModule(self._root, self._graph).eval()

    def _add(self, name: str, step: Step) -> None:
        call, args, kwargs = self._called(step)
        try:
            value = call(*args, **kwargs)
        except TypeError:  # some bindings take other arguments than their operator
            call = operation(step.operator)
            value = call(*args, **kwargs)
        self._values[name] = value
        if name not in self._settled:
            arguments = [decoded(arg, self._node, self._device) for arg in step.args]
            named = {k: decoded(arg, self._node, self._device) for k, arg in step.kwargs.items()}
            self._nodes[name] = self._graph.call_function(call, tuple(arguments), named)

    def _called(self, step: Step) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
        call = operation(step.operator)
        args = [decoded(arg, self._values.__getitem__, self._device) for arg in step.args]
        kwargs = {
            key: decoded(arg, self._values.__getitem__, self._device)
            for key, arg in step.kwargs.items()
        }
        return (_binding(call) if self._bound else call), args, kwargs

    def _node(self, name: str) -> torch.fx.Node:
        """What stands for a tensor in the graph; a settled one becomes a constant of the module."""
        if name not in self._nodes:
            constant = f"constant{len(self._nodes)}"
            self._root.register_buffer(constant, self._values[name])
            self._nodes[name] = self._graph.get_attr(constant)
        return self._nodes[name]

    def _forget(self, number: int) -> None:
        """Drop what no later step takes: not more may be in memory than in a run."""
        kept = self._program.output
        for name in references(self._program.steps[number]):
            if self._last[name] == number and name != kept:
                self._values.pop(name, None)


def _settled(program: Program) -> frozenset[str]:
    """Results that are the same in every run: those of weights alone.

    None, where a step changes such a tensor in place.
    """
    settled = {f"@{place}" for place in range(len(program.weights))}
    for number, step in enumerate(program.steps):
        call, used = operation(step.operator), set(references(step))
        if mutates(call) and used & settled:
            return frozenset()
        seeded = isinstance(call, OpOverload) and torch.Tag.nondeterministic_seeded in call.tags
        if used <= settled and not seeded and not mutates(call):
            settled.add(f"%{number}")
    return frozenset(settled)


def _binding(call: Callable[..., Any]) -> Callable[..., Any]:
    """Python's binding of an operator, or the operator where there is none."""
    if not isinstance(call, OpOverload):
        return call
    if (own := binding(call)) is not None:
        return own
    name = call._schema.name.removeprefix("aten::")
    for place in (torch._C._VariableFunctions, torch._C._nn, torch._C.TensorBase):
        found: Callable[..., Any] | None = getattr(place, name, None)
        if found is not None:
            return found
    return call
