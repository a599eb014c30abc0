"""Where the full student's weights come from."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, ElasticModule, ModuleTeacher, State

TEACHER = "teacher"


def full_network(
    state: State, params: Any, configuration: dict[str, Any], context: Context
) -> nn.Module:
    """The full student, `context.full`, before any training.

    `configuration` are its genes: with `initial: teacher` it is that slice of the teacher, whose
    weights are sorted first where it is larger and its family has an order.

    Raises:
        UserError: `initial: teacher` and no slice of the teacher is the full student, or it sees
            other channels.
    """
    seed = context.seed("supernet", "weights")
    module = context.family.build(context.full, torch.Generator().manual_seed(seed))
    if params.initial == "teacher":
        refuse_other_view(state, context)
        _take_weights(module, _teacher(state), configuration, context)
    return module


def refuse_other_view(state: State, context: Context) -> None:
    """Raise UserError where the teacher's weights read other channels than the student sees."""
    teacher, own = state.teachers.get(TEACHER), context.task.channels
    if isinstance(teacher, ModuleTeacher) and teacher.channels != own:
        raise UserError(
            f"initial: teacher needs a teacher that sees what the student sees, but the teacher "
            f"sees {_view(teacher.channels)} and the student {_view(own)}; use initial: fresh"
        )


def _view(channels: tuple[int, ...]) -> str:
    return f"channels {', '.join(map(str, channels))}" if channels else "all channels"


def _teacher(state: State) -> nn.Module:
    teacher = state.teachers.get(TEACHER)
    if not isinstance(teacher, ModuleTeacher):
        raise UserError(
            f"initial: teacher needs a '{TEACHER}' that is one network; use initial: fresh"
        )
    return teacher.module


def _take_weights(
    module: nn.Module, teacher: nn.Module, configuration: dict[str, Any], context: Context
) -> None:
    if _shapes(module) != _shapes(teacher):
        teacher = _slice(teacher, configuration, context)
    own, given = _shapes(module), _shapes(teacher)
    other = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
    if other:
        raise UserError(
            f"initial: teacher needs a teacher that the full student is a slice of, but "
            f"'{other[0]}' is {_shown(own.get(other[0]))} in the student and "
            f"{_shown(given.get(other[0]))} in the teacher; use initial: fresh"
        )
    module.load_state_dict(teacher.state_dict())


def _slice(teacher: nn.Module, configuration: dict[str, Any], context: Context) -> nn.Module:
    try:
        elastic = context.family.elastic(teacher)
        if _sorts(elastic):
            elastic.sort_by_importance()
        elastic.set_active(configuration)
        module = elastic.extract()
    except (TypeError, UserError) as error:
        raise UserError(
            f"initial: teacher needs a teacher that the full student is a slice of ({error}); use "
            f"initial: fresh, or a space within the teacher"
        ) from error
    return module


def _sorts(elastic: ElasticModule) -> bool:
    return type(elastic).sort_by_importance is not ElasticModule.sort_by_importance


def _shown(shape: torch.Size | None) -> str:
    return "absent" if shape is None else "x".join(map(str, shape))


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}
