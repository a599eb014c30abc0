"""Binary: layers whose weights and inputs are signs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.distill.statistics import has_statistics, reestimate
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, Context, Method, Rebuild, State, Student
from stillhouse.plugins.binary.calibrating import seen
from stillhouse.plugins.binary.checking import refuse
from stillhouse.plugins.binary.choosing import chosen, sorted_out
from stillhouse.plugins.binary.replacing import binarised
from stillhouse.plugins.binary.sheet import binary_sheet

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

NAME: Final = "binary"
_BATCH: Final = 64


@final
class Binary(Method):
    """Linear layers and convolutions of 1 bit (Rastegari et al. 2016, arXiv:1603.05279).

    What trains after it trains real weights through straight-through signs; what is saved and
    exported holds the signs, packed. The layers that meet the input and that answer stay real
    unless asked, and so does whatever lies between layers: norms, activations, residual sums.
    Which layers are binary follows from names and parameters alone.
    """

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for a pattern that names no such layer, and for networks that read a
        layer's weights rather than calling it."""
        refuse(self, choice, context)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Starts from the student's weights, and from thresholds at the mean of its inputs."""
        if state.student is None:
            raise UserError(f"{NAME}: expected a student to change, got none; put 'supernet' first")
        student, params = state.student, choice.params
        names = chosen(student, params, context)
        if not names:
            return state
        layers = {name: sorted_out(student.module)[0][name] for name in names}
        samples, train = params.samples, state.data.train
        found = (
            seen(student.module, layers, train, samples, context.seed(NAME, "samples"))
            if samples
            else None
        )
        module = binarised(student.module, names, params.clip, params.scale, found)
        if samples > 1 and has_statistics(module):
            seed = context.seed(NAME, "statistics")
            reestimate(module, train, samples=samples, batch_size=_BATCH, seed=seed)
        return state.with_student(_changed(student, module, names, params))

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student | None:
        names = [] if student is None else chosen(student, choice.params, context)
        if student is None or not names:
            return student
        params = choice.params
        module = binarised(student.module, names, params.clip, params.scale)
        return _changed(student, module, names, params)

    def rebuild(self, skeleton: nn.Module, record: Mapping[str, Any]) -> nn.Module:
        return binarised(skeleton, record["layers"], record["clip"], record["scale"])

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        patterns = str(columns["layers"][0]) if sheet.candidates else "*"
        return binary_sheet(sheet, columns, patterns)

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        """Parameters that choose the same layers are one choice."""
        if state.student is None:
            return [choice.params]
        names, params = chosen(state.student, choice.params, context), choice.params
        return [names, params.clip, params.scale, params.samples] if names else []


def _changed(student: Student, module: nn.Module, names: list[str], params: Any) -> Student:
    record = {"layers": names, "clip": params.clip, "scale": params.scale}
    return replace(student, module=module, rebuilds=(*student.rebuilds, Rebuild(NAME, record)))
