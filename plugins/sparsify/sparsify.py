"""Sparsify: weights that are zeros for good, wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, Context, Method, Rebuild, State, Student
from stillhouse.plugins.sparsify.checking import refuse
from stillhouse.plugins.sparsify.counting import counts, sparse_sheet
from stillhouse.plugins.sparsify.zeroing import input_sizes, zeroed

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

NAME: Final = "sparsify"


@final
class Sparsify(Method):
    """The smallest weights become zeros (Han et al. 2015, arXiv:1506.02626), or those that matter
    least to what a layer answers: |weight| times the norm of its input (Sun et al. 2024, Wanda,
    arXiv:2306.11695).

    Layers stay what they are; their zeros are kept by whatever trains the student afterwards. How
    many a layer has follows from its shape and the shares alone, so that the file's size is known.
    """

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for a pattern that names no such layer, and for a sheet that does not
        call its rows like layers."""
        refuse(self, choice, context)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        student, params = _student(state), choice.params
        found = counts(student, params, context)
        if not found:
            return state
        sizes = None
        if params.importance == "activation":
            seed = context.seed(NAME, "samples")
            train = state.data.train
            sizes = input_sizes(student.module, found, train, params.samples, seed)
        module = zeroed(student.module, found, params.among, sizes)
        return state.with_student(_changed(student, module, found, params))

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student | None:
        if student is None or not (found := counts(student, choice.params, context)):
            return student
        module = zeroed(student.module, found, choice.params.among)
        return _changed(student, module, found, choice.params)

    def rebuild(self, skeleton: nn.Module, record: Mapping[str, Any]) -> nn.Module:
        """Zeros in other places, until the weights are loaded: as many, so that sizes are right."""
        return zeroed(skeleton, record["zeros"], record["among"])

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        patterns = str(columns["layers"][0]) if sheet.candidates else "*"
        return sparse_sheet(sheet, columns, patterns)

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        """Shares that come to the same zeros are one choice."""
        params, found = choice.params, counts(_student(state), choice.params, context)
        samples = params.samples if params.importance == "activation" else 0
        return [found, params.importance, params.among, samples] if found else []


def _student(state: State) -> Student:
    if state.student is None:
        raise UserError(f"{NAME}: expected a student to change, got none; put 'supernet' first")
    return state.student


def _changed(student: Student, module: nn.Module, found: Mapping[str, int], params: Any) -> Student:
    change = Rebuild(NAME, {"zeros": dict(found), "among": params.among})
    rebuilds = (*student.rebuilds, change)
    return replace(student, module=module, rebuilds=rebuilds, zeros_stay=True)
