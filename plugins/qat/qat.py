"""Qat: a network that is trained as the integers it will be deployed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, Context, Method, Rebuild, State, Student
from stillhouse.plugins.qat.checking import refuse
from stillhouse.plugins.qat.finding import plan
from stillhouse.plugins.qat.flow import open_ends
from stillhouse.plugins.qat.replacing import calibrate, first, quantised
from stillhouse.plugins.qat.sheet import quantised_sheet

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

NAME: Final = "qat"


@final
class Qat(Method):
    """Linear layers and convolutions over weights of 8, 7 or 4 bits and inputs of 8, with gradients
    as if nothing were rounded (Jacob et al. 2018, arXiv:1712.05877).

    The student keeps its float weights, which `distil` goes on training; what is exported holds
    integers and `QuantizeLinear` and `DequantizeLinear` around them, nothing else of this. Steps of
    weights are learned, an output's own each; ranges of activations follow the batches in
    training. Which layers and where activations are rounded follows from shapes and parameters.
    """

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for a pattern that names no such layer, and for networks that read a
        layer's weights rather than calling it."""
        refuse(self, choice, context)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Inherits the weights; ranges are those of training inputs."""
        student = state.student
        if student is None:
            raise UserError(f"{NAME}: expected a student to change, got none; put 'supernet' first")
        changed = self.skeleton(student, choice, context)
        if changed is student or changed is None:
            return state
        seed = context.seed(NAME, "samples")
        calibrate(changed.module, first(state.data.train, choice.params.samples, seed))
        return state.with_student(changed)

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student | None:
        """Its ranges are those of the example: which kernels run depends on where they begin."""
        if student is None or not (bits := plan(student, choice.params, context)):
            return student
        rounds, example = choice.params.activations, context.task.example(1)
        closing = open_ends(student.module, bits, example) if rounds else []
        change = Rebuild(NAME, {"bits": bits, "activations": rounds, "closing": closing})
        module = self.rebuild(student.module, change.record)
        calibrate(module, [example])
        return replace(student, module=module, rebuilds=(*student.rebuilds, change))

    def rebuild(self, skeleton: nn.Module, record: Mapping[str, Any]) -> nn.Module:
        return quantised(skeleton, record["bits"], record["activations"], record["closing"])

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        patterns = str(columns["layers"][0]) if sheet.candidates else "*"
        return quantised_sheet(sheet, columns, patterns)

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        """Choices that come to the same bits are one."""
        params, student = choice.params, state.student
        bits = plan(student, params, context) if student else {}
        return [bits, params.activations, params.samples] if bits else []
