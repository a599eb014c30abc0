"""Training hands teachers the whole of a training view, and the student its channels of that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.distill.losses import soft_labels
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import (
    Batch,
    LossTerm,
    ModuleTeacher,
    Observation,
    State,
    Teacher,
)

CHANNELS = (4, 1)
SETTINGS = TrainSettings(epochs=2, batch_size=16, gradient_accumulation=2, learning_rate=0.01)


class Watched(Teacher):
    """A teacher that notes what it is given."""

    taps = ()
    widths: dict[str, int] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.given: list[Tensor] = []

    def observe(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Observation:
        self.given.append(inputs)
        return Observation(inputs.mean(1)[:, :3])


def kd() -> LossTerm:
    def value(student: Observation, teachers: Any, batch: Batch, adapter: Any) -> Tensor:
        assert torch.equal(batch.inputs, batch.seen[..., list(CHANNELS)])
        return soft_labels(student.logits, teachers["teacher"].logits, 2.0)

    return LossTerm("kd", 1.0, value, teachers=("teacher",), normalised=True)


def watched(module: nn.Module) -> list[Tensor]:
    given: list[Tensor] = []
    module.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    return given


def test_student_and_teacher_see_one_training_view(bench: Any) -> None:
    task, teacher = bench.context.task.viewed(CHANNELS), Watched()
    full = {**bench.context.full, "input_shape": [4, 2]}
    context = replace(bench.context, task=task, full=full)
    state = State({"teacher": teacher}, task.data, terms=(kd(),))
    student = context.family.build(full, torch.Generator().manual_seed(1))
    given = watched(student)
    fit(student, structure=full, state=state, settings=SETTINGS, context=context, label="d")
    assert len(given) == len(teacher.given) == 1 + 2 * 3, "the first look, then every forward pass"
    for own, whole in zip(given, teacher.given, strict=True):
        assert (own.shape[1:], whole.shape[1:]) == ((4, 2), (4, 6))
        assert torch.equal(own, whole[..., list(CHANNELS)])
    stored = {row.numpy().tobytes() for row in task.data.train.seen}
    assert stored.isdisjoint(row.numpy().tobytes() for row in teacher.given[0]), "augmented"


def test_teachers_of_different_views_learn_from_one_batch(bench: Any) -> None:
    task = bench.context.task.viewed(CHANNELS)
    full = {**bench.context.full, "input_shape": [4, 2]}
    context = replace(bench.context, task=task, full=full)
    both = {
        "all": bench.state.teachers["teacher"],
        "some": ModuleTeacher(
            context.family.build(full, torch.Generator().manual_seed(2)), (), {}, channels=(0, 5)
        ),
    }
    given = {name: watched(teacher.module) for name, teacher in both.items()}

    def value(student: Observation, teachers: Any, batch: Batch, adapter: Any) -> Tensor:
        return sum(soft_labels(student.logits, one.logits) for one in teachers.values())

    state = State(both, task.data, terms=(LossTerm("two", 1.0, value, teachers=tuple(both)),))
    student = context.family.build(full, torch.Generator().manual_seed(1))
    fit(student, structure=full, state=state, settings=SETTINGS, context=context, label="d")
    for whole, some in zip(given["all"], given["some"], strict=True):
        assert torch.equal(some, whole[..., [0, 5]])


@pytest.mark.parametrize("channels", [(0, 1, 2, 3, 4, 5), ()])
def test_a_view_of_everything_trains_bit_for_bit_as_none(
    bench: Any, channels: tuple[int, ...]
) -> None:
    weights = []
    for task in (bench.context.task, bench.context.task.viewed(channels)):
        student = bench.student()
        context = replace(bench.context, task=task)
        state = replace(bench.state, data=task.data)
        full = context.full
        fit(student, structure=full, state=state, settings=SETTINGS, context=context, label="d")
        weights.append(student.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_training_on_the_same_channels_in_another_order_permutes_the_first_layer(
    bench: Any,
) -> None:
    """Without noise, which is all that could tell the orders apart."""
    whole = bench.context.task
    whole._noise = 0.0
    full = {**bench.context.full, "input_shape": [4, 2]}
    trained = []
    for channels in (CHANNELS, CHANNELS[::-1]):
        task = whole.viewed(channels)
        student = bench.context.family.build(full, torch.Generator().manual_seed(1))
        if trained:
            with torch.no_grad():
                student.first.weight.copy_(student.first.weight.flip(1))
        context = replace(bench.context, task=task, full=full)
        fit(
            student, structure=full, state=State({}, task.data), settings=SETTINGS,
            context=context, label="d",
        )  # fmt: skip
        trained.append(student)
    one, other = trained
    assert torch.allclose(one.first.weight.flip(1), other.first.weight, atol=1e-5)
    assert torch.allclose(one.head.weight, other.head.weight, atol=1e-5)
