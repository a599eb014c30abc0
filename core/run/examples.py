"""Inputs for exporting and timing a run's networks: each as it sees the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from stillhouse.core.measure import structure_key
from stillhouse.core.run.opened import Opened


def batch_size(opened: Opened) -> int:
    """The batch that the target runs; 1 for a target without such a setting."""
    return int(opened.plan.run.target.runtime.fixed.get("batch", 1))


def example_of(opened: Opened, described: Mapping[str, Any]) -> Tensor:
    """Inputs (batch, ...) for a described network: as the teacher sees them if it is the teacher's,
    else as the student does."""
    teacher = opened.teacher_family.name, opened.teacher_full
    same = (described["family"], described["structure"]) == teacher
    return (opened.teacher_task if same else opened.task).example(batch_size(opened))


def other_examples(opened: Opened, shapes: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Inputs for the networks that take others than the student's, by structure key."""
    own = opened.task.example(batch_size(opened)).shape
    examples = [example_of(opened, shape) for shape in shapes]
    return {
        structure_key(opened.family.name, shape): example
        for shape, example in zip(shapes, examples, strict=True)
        if example.shape != own
    }
