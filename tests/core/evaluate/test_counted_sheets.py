"""A method that changes the network and writes no sheet is counted from its networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.cost import terms
from stillhouse.core.errors import PluginError
from stillhouse.core.evaluate import Method, Student
from stillhouse.core.evaluate.evaluator import BoundStep, Evaluator, recipe_sheet, skeleton_of
from stillhouse.core.space import Space

Build = Callable[..., Evaluator]

CODE = """
import torch
from torch import nn
from stillhouse.core.evaluate import Method, Student

BUILT = []

class Foreign(Method):
    def apply(self, state, choice, artefact, context):
        return state

    def skeleton(self, student, choice, context):
        BUILT.append(choice.params.fast)
        structure = context.family.subnet(context.full, {"width": 4 * choice.params.fast})
        module = context.family.build(structure, torch.Generator().manual_seed(0))
        return Student(context.family.name, structure, module.eval())
"""


class Written(Method):
    """Writes the family's sheet, of the full network."""

    def apply(self, state: Any, choice: Any, artefact: Any, context: Any) -> Any:
        return state

    def skeleton(self, student: Any, choice: Any, context: Any) -> Student:
        module = context.family.build(context.full, torch.Generator().manual_seed(0))
        return Student(context.family.name, context.full, module.eval())

    def sheet(self, sheet: Any, columns: Any, context: Any) -> Any:
        one = context.family.columns([context.full])
        whole = context.family.sheet(context.full, one)
        return whole.take(np.zeros(sheet.candidates, np.int64))


class Narrowed(Written):
    """Stores what it wrote in 8 bits."""

    def sheet(self, sheet: Any, columns: Any, context: Any) -> Any:
        return super().sheet(sheet, columns, context).map(lambda row: {"weight_bits": 8})


class NoStudent(Method):
    """Has a skeleton, but there is no student yet."""

    def apply(self, state: Any, choice: Any, artefact: Any, context: Any) -> Any:
        return state

    def skeleton(self, student: Any, choice: Any, context: Any) -> None:
        return None


def built() -> list[int]:
    import foreign_code  # type: ignore[import-not-found]

    return foreign_code.BUILT  # type: ignore[no-any-return]


def joint(evaluator: Evaluator) -> Space:
    """The space of a plan with this one step."""
    return Space.join({"foreign": evaluator.steps[0].step.space})


def before(steps: tuple[BoundStep, ...], method: Method) -> list[BoundStep]:
    """The steps, and one with another method in front of them."""
    return [replace(steps[0], method=method, counted={}), *steps]


def weights(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_costs_are_those_of_the_networks_it_builds(foreign: Build) -> None:
    evaluator = foreign(CODE, fast="{low: 1, high: 4}")
    space = joint(evaluator)
    codes = space.sample(10, np.random.default_rng(0))
    sheet = recipe_sheet(evaluator.steps, space, codes, evaluator.context)
    students = [skeleton_of(evaluator.steps, space.decode(row), evaluator.context) for row in codes]
    counted = terms.parameters(sheet)
    assert len(set(counted)) == 4
    assert counted.tolist() == [weights(s.module) for s in students]
    structures = [student.structure for student in students]
    family = evaluator.context.family
    written = family.sheet(evaluator.context.full, family.columns(structures))
    for name, values in terms.totals(sheet).items():
        assert np.array_equal(values, terms.totals(written)[name]), name


def test_each_configuration_is_counted_once(foreign: Build) -> None:
    evaluator = foreign(CODE, fast="{low: 1, high: 4}")
    space = joint(evaluator)
    codes = space.sample(30, np.random.default_rng(0))
    first = recipe_sheet(evaluator.steps, space, codes, evaluator.context)
    again = recipe_sheet(evaluator.steps, space, codes[::-1], evaluator.context)
    assert sorted(built()) == [1, 2, 3, 4]
    assert np.array_equal(terms.macs(first), terms.macs(again)[::-1])


def test_rows_keep_the_groups_that_a_method_before_it_gave(foreign: Build) -> None:
    evaluator = foreign(CODE, fast="{low: 1, high: 4}")
    space = joint(evaluator)
    steps = before(evaluator.steps, Written())
    groups = terms.macs_by_group(recipe_sheet(steps, space, space.corners(), evaluator.context))
    assert {name for name, macs in groups.items() if macs.all()} == {
        "front_end", "attention_projections", "attention_scores", "feed_forward", "head",
    }  # fmt: skip


def test_what_the_network_does_not_show_is_not_lost_in_silence(foreign: Build) -> None:
    evaluator = foreign(CODE, fast="{low: 1, high: 4}")
    space = joint(evaluator)
    steps = before(evaluator.steps, Narrowed())
    with pytest.raises(PluginError, match=r"'foreign' \(stranger 0\.3\) .* lose the weight_bits"):
        recipe_sheet(steps, space, space.corners(), evaluator.context)


def test_without_a_student_there_is_nothing_to_count(foreign: Build) -> None:
    evaluator = foreign(CODE, fast="{low: 1, high: 4}")
    space = joint(evaluator)
    steps = [replace(evaluator.steps[0], method=NoStudent())]
    assert recipe_sheet(steps, space, space.corners(), evaluator.context).rows == ()


def test_no_candidates_give_a_sheet_of_none(foreign: Build) -> None:
    evaluator = foreign(CODE, fast="{low: 1, high: 4}")
    space = joint(evaluator)
    none = np.empty((0, space.width))
    sheet = recipe_sheet(evaluator.steps, space, none, evaluator.context)
    assert terms.macs(sheet).shape == (0,)


def test_a_network_that_cannot_be_counted_names_the_method(foreign: Build) -> None:
    stops = CODE.replace("module.eval()", "Stops()") + (
        "\nclass Stops(nn.Module):\n    def forward(self, x):\n        return x * float(x.sum())\n"
    )
    evaluator = foreign(stops, fast="{low: 1, high: 4}")
    space = joint(evaluator)
    with pytest.raises(PluginError, match=r"stranger 0\.3\) failed in sheet: .*cannot count Stops"):
        recipe_sheet(evaluator.steps, space, space.corners(), evaluator.context)
