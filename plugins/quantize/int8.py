"""Int8: post-training quantisation, dynamic, static or mixed, run by ONNX Runtime."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

import torch
from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, Context, Method, Rebuild, State, Student
from stillhouse.core.measure import Graph, GraphForm, machine
from stillhouse.plugins.quantize.activations import Ranges, made_up, static_tensors
from stillhouse.plugins.quantize.checking import refuse
from stillhouse.plugins.quantize.layers import STATIC, schemes, traced_part, weights_of
from stillhouse.plugins.quantize.network import GraphNetwork
from stillhouse.plugins.quantize.pairing import paired
from stillhouse.plugins.quantize.ranges import ranges
from stillhouse.plugins.quantize.rewriting import quantised
from stillhouse.plugins.quantize.sheet import quantised_sheet
from stillhouse.plugins.quantize.weights import kind_for

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

NAME: Final = "int8"
RangesOf = Callable[[Graph, list[str]], Ranges]


@final
class Int8(Method):
    """Weights and activations of linear layers and convolutions in 8 bits (Jacob et al. 2018,
    arXiv:1712.05877), on the graph that the target deploys.

    Activations are unsigned, each tensor with one scale: found at every inference (dynamic), or
    once from tuning inputs (static). Which layers are quantised follows from names, groups and
    parameters alone.
    """

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for a pattern that names no such layer, for targets that deploy no
        graph, and for networks whose layers their graph does not show."""
        refuse(self, choice, context)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        student, params = _student(state), choice.params
        record = _record(student, params, context)
        if not record["layers"]:
            return state
        inputs = state.data.tuning.inputs
        generator = torch.Generator().manual_seed(context.seed(NAME, "samples"))
        drawn = torch.randperm(len(inputs), generator=generator)[: params.samples]

        def measured(graph: Graph, tensors: list[str]) -> Ranges:
            return ranges(graph, tensors, inputs[drawn], params.calibration)

        network = traced_part(student.module)
        changed = _changed(_export(context)(network), network, record, measured)
        form = student.module
        finished = form.finished(changed) if isinstance(form, GraphForm) else changed
        return state.with_student(_as_student(student, GraphNetwork(finished).eval(), record))

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student | None:
        if student is None:
            return None
        record = _record(student, choice.params, context)
        if not record["layers"]:
            return student
        return _as_student(student, _untrained(student.module, record, _export(context)), record)

    def rebuild(self, skeleton: nn.Module, record: Mapping[str, Any]) -> nn.Module:
        """A network without a graph: loading gives it one, or exporting it, untrained as it is."""
        return _untrained(skeleton, record, None)

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        return quantised_sheet(sheet, columns)

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        """Parameters that come to the same layers are one choice."""
        params = choice.params
        record = _record(_student(state), params, context)
        if STATIC not in record["layers"].values():
            return record if record["layers"] else []
        return [record, params.samples, params.calibration]


def _student(state: State) -> Student:
    if state.student is None:
        raise UserError(f"{NAME}: expected a student to change, got none; put 'supernet' first")
    return state.student


def _record(student: Student, params: Any, context: Context) -> dict[str, Any]:
    """All that decides the graph but its numbers."""
    return {
        "layers": schemes(student, params, context),
        "weights": kind_for(context.machine or machine(), params.weights),
        "per_channel": params.per_channel,
    }


def _export(context: Context) -> Callable[[nn.Module], Graph]:
    if context.graph is None:
        raise UserError(
            f"{NAME}: expected a target that deploys graphs, got none; set target.runtime to "
            "onnxruntime-cpu"
        )
    return context.graph


def _changed(
    graph: Graph, network: nn.Module, record: Mapping[str, Any], ranges_of: RangesOf
) -> Graph:
    """The graph of a network with the record's layers in integers; takes it over."""
    constants = paired(graph, weights_of(network), record["layers"])
    found = {constants[name]: scheme for name, scheme in record["layers"].items()}
    measured = ranges_of(graph, static_tensors(graph, found))
    return quantised(graph, found, measured, record["weights"], record["per_channel"])


def _untrained(
    module: nn.Module, record: Mapping[str, Any], export: Callable[[nn.Module], Graph] | None
) -> GraphNetwork:
    held = copy.deepcopy(module).eval()

    def change(graph: Graph) -> Graph:
        return _changed(graph, traced_part(held), record, made_up)

    return GraphNetwork(None, held, change, export).eval()


def _as_student(student: Student, module: nn.Module, record: Mapping[str, Any]) -> Student:
    change = Rebuild(NAME, dict(record))
    return replace(student, module=module, rebuilds=(*student.rebuilds, change))
