"""Prune: the least important heads, features, channels and layers go, and the rest is smaller."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

from stillhouse.core.cost.sheet import OperatorSheet, chosen
from stillhouse.core.distill.statistics import has_statistics, reestimate
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, Context, Method, State, Student
from stillhouse.plugins.prune.checking import refuse
from stillhouse.plugins.prune.counting import pruned
from stillhouse.plugins.prune.scores import scores
from stillhouse.plugins.prune.shrinking import configuration, shrunk, twin

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

NAME: Final = "prune"
_BATCH: Final = 64
_MEASURED: Final = ("taylor", "activation")


@final
class Prune(Method):
    """Structured pruning within the student's model family: no masks, every layer really smaller.

    Works on whatever the family can describe, a supernet's subnet too. How much stays of a part
    follows from its size and the shares alone; what stays, from the weights. The student has the
    form that its family builds, so that anything may come after.
    """

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for a family that cannot be pruned, or not along a named axis."""
        refuse(choice.params, context)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        student, params = _plain(state.student, context), choice.params
        refuse(params, context)
        if _structure(student, params, context) == student.structure:
            return state
        elastic = twin(context.family, student.module)
        found = scores(elastic, state, params, context)
        module, structure = shrunk(context.family, student, params, found)
        if params.statistics_samples and has_statistics(module):
            reestimate(
                module,
                state.data.train,
                samples=params.statistics_samples,
                batch_size=_BATCH,
                seed=context.seed(NAME, "statistics"),
            )
        return state.with_student(replace(student, structure=structure, module=module))

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student | None:
        if student is None:
            return None
        student, params = _plain(student, context), choice.params
        refuse(params, context)
        if _structure(student, params, context) == student.structure:
            return student
        module, structure = shrunk(context.family, student, params, None)
        return replace(student, structure=structure, module=module)

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        """That of the family, for the genes that are left of those of the given sheet."""
        if lost := chosen(sheet):
            raise UserError(
                f"{NAME}: expected the sheet of networks as their family builds them, came one "
                f"with {', '.join(lost)} set; put {NAME} before what sets them"
            )
        pruning = context.family.pruning(context.full)
        genes = pruned(pruning, pruning.genes(sheet), columns)
        return context.family.sheet(context.full, genes)

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        """Shares that come to the same structure are one choice."""
        student, params = _plain(state.student, context), choice.params
        structure = _structure(student, params, context)
        if structure == student.structure:
            return []
        samples = params.samples if params.importance in _MEASURED else 0
        settings = [params.importance, samples, params.layers_by, params.statistics_samples]
        return [structure, *settings]


def _structure(student: Student, params: Any, context: Context) -> Any:
    """The structure that is left; the student's own where nothing goes."""
    family = context.family
    pruning, genes = family.pruning(student.structure), family.columns([student.structure])
    left = configuration(pruned(pruning, genes, vars(params)))
    if left == configuration(genes):
        return student.structure
    return family.subnet(student.structure, left)


def _plain(student: Student | None, context: Context) -> Student:
    if student is None:
        raise UserError(f"{NAME}: expected a student to prune, got none; put 'supernet' first")
    if student.rebuilds or student.family != context.family.name:
        changed = ", ".join(change.method for change in student.rebuilds) or student.family
        raise UserError(
            f"{NAME}: expected a network as the family {context.family.name} builds it, came one "
            f"changed by {changed}; put {NAME} before it"
        )
    return student
