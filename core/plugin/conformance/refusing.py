"""A model of a kind that a method has never met: it works, or it is refused in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

import torch
from torch import Tensor, nn

from stillhouse.core.cost.counting import module_sheet
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import StillhouseError, UserError
from stillhouse.core.evaluate import (
    Artefact,
    Context,
    ElasticModule,
    ModelFamily,
    ModuleTeacher,
    State,
    Student,
)
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.plugin.conformance.check import UnmetError
from stillhouse.core.plugin.conformance.trial import Trial

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

_NAME: Final = "conformance-unsupported"
_LABEL: Final = "strange"


@final
class Strange(nn.Module):
    """Answers from a table of weights: no layer of torch's, no taps."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1).to(self.table.dtype) @ self.table


@final
class StrangeFamily(ModelFamily):
    """Networks of one shape, with nothing that a family may leave out."""

    name = _NAME

    def structure(self, params: Any, input_shape: tuple[int, ...], outputs: int) -> Structure:
        return {"inputs": int(torch.tensor(input_shape).prod()), "outputs": outputs}

    def build(self, structure: Structure, generator: torch.Generator) -> nn.Module:
        return Strange(
            torch.randn(structure["inputs"], structure["outputs"], generator=generator) / 10
        )

    def subnet(self, full: Structure, configuration: Mapping[str, Any]) -> Structure:
        if configuration:
            raise UserError(f"{_NAME} has no gene '{next(iter(configuration))}'")
        return full

    def taps(self, structure: Structure) -> dict[str, int]:
        return {}

    def columns(self, structures: Sequence[Structure]) -> Columns:
        return {}

    def sheet(self, full: Structure, columns: Columns) -> OperatorSheet:
        module = self.build(full, torch.Generator().manual_seed(0))
        return module_sheet([module], torch.zeros(1, full["inputs"]))

    def elastic(self, module: nn.Module) -> ElasticModule:
        raise UserError(f"{_NAME} has no elastic twin")

    def scaled(self, full: Structure, parameters: int) -> Structure:
        raise UserError(f"{_NAME} cannot be scaled")


def check_refusal(trial: Trial) -> None:
    """Every half of the method either works on a strange network or raises a stillhouse error."""
    family = StrangeFamily()
    task, bound = trial.opened.task, trial.bound
    full = family.structure(None, task.input_shape, task.outputs)
    context = replace(trial.context(bound, _LABEL), family=family, full=full)
    module = family.build(full, torch.Generator().manual_seed(0)).eval()
    student = None if trial.first.given.student is None else Student(_NAME, full, module)
    teacher = ModuleTeacher(family.build(full, torch.Generator().manual_seed(1)), (), {})
    state = replace(trial.first.given, teachers={"teacher": teacher}, student=student)
    for half, action in _halves(trial, state, context):
        if not _survived(half, action):
            return


def _halves(
    trial: Trial, state: State, context: Context
) -> Sequence[tuple[str, Callable[[], object]]]:
    method, choice = trial.bound.method, trial.first.choice
    found: list[Artefact] = []

    def prepare() -> None:
        made = lambda: method.prepare(state, choice.params, context)  # noqa: E731
        found.append(trial.stored(trial.bound, _LABEL, made))

    return (
        ("check", lambda: method.check(state, choice, context)),
        ("skeleton", lambda: method.skeleton(state.student, choice, context)),
        ("prepare", prepare),
        ("apply", lambda: method.apply(state, choice, found[0], context)),
    )


def _survived(half: str, action: Callable[[], object]) -> bool:
    """Whether the half worked; False where it refused in words."""
    try:
        action()
    except StillhouseError:
        return False
    except Exception as error:
        raise UnmetError(
            f"expected {half} to work on a network without known layers and taps, or to refuse it "
            f"with a UserError, got {type(error).__name__}: {error}; check what the method needs, "
            "and raise UserError saying so"
        ) from error
    return True
