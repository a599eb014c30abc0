"""Prepare once, apply per candidate, and blame whoever fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stillhouse.core.errors import PluginError
from stillhouse.core.evaluate.artefacts import ArtefactStore
from stillhouse.core.evaluate.evaluator import (
    CandidateError,
    Evaluator,
    recipe_sheet,
    skeleton_of,
)

Build = Callable[..., Evaluator]

COUNTING = """
import torch
from stillhouse.core.evaluate import Artefact, Method, Student

PREPARED, APPLIED = [], []

class Foreign(Method):
    def prepare(self, state, params, context):
        PREPARED.append(params.slow)
        return Artefact({"w": torch.tensor([float(params.slow)])})

    def apply(self, state, choice, artefact, context):
        APPLIED.append((choice.params.fast, float(artefact.tensors["w"]), context.fidelity))
        module = context.family.build(context.full, torch.Generator().manual_seed(1))
        return state.with_student(Student("keyword-transformer", context.full, module.eval()))
"""
SOURCED = (
    COUNTING
    + """
    def sources(self, params):
        ASKED.append(params.slow)
        return SOURCES

ASKED, SOURCES = [], None
"""
)
FAILING = """
from stillhouse.core.evaluate import Artefact, Method

class Foreign(Method):
    def prepare(self, state, params, context):
        if params.slow == 9:
            raise ZeroDivisionError("in prepare")
        return Artefact()

    def apply(self, state, choice, artefact, context):
        if choice.params.fast == 9:
            raise KeyError("in apply")
        return state
"""
FORGETFUL = """
from stillhouse.core.evaluate import Method

class Foreign(Method):
    def apply(self, state, choice, artefact, context): ...

    def sheet(self, sheet, columns, context): ...

    def skeleton(self, student, choice, context):
        return student.structure
"""


def code() -> object:
    import foreign_code  # type: ignore[import-not-found]

    return foreign_code


def test_varying_an_apply_parameter_never_prepares_again(foreign: Build) -> None:
    evaluator = foreign(COUNTING, fast="{low: 1, high: 4}")
    for fast in (1, 2, 3, 2):
        evaluator.realise({"foreign.fast": fast}, 0.5)
    assert code().PREPARED == [1]
    assert code().APPLIED == [(1, 1.0, 0.5), (2, 1.0, 0.5), (3, 1.0, 0.5), (2, 1.0, 0.5)]


def test_each_value_of_a_prepare_parameter_is_prepared_once(foreign: Build) -> None:
    evaluator = foreign(COUNTING, slow="{choices: [1, 2]}")
    for slow in (2, 1, 2, 1):
        evaluator.realise({"foreign.slow": slow}, 1.0)
    assert code().PREPARED == [2, 1]
    assert [weight for _, weight, _ in code().APPLIED] == [2.0, 1.0, 2.0, 1.0]


def test_another_process_reads_what_the_first_prepared(foreign: Build) -> None:
    foreign(COUNTING).realise({}, 1.0)
    foreign(COUNTING).realise({}, 1.0)
    assert code().PREPARED == []


def with_sources(sources: object) -> str:
    return SOURCED.replace("SOURCES = [], None", f"SOURCES = [], {sources!r}")


def test_other_content_of_the_files_named_is_prepared_again(foreign: Build) -> None:
    for sources, prepared in ((["a"], [1]), (["a"], []), (["b"], [1]), (["a"], [])):
        foreign(with_sources(sources)).realise({}, 1.0)
        assert prepared == code().PREPARED


def test_a_method_that_names_no_files_keeps_what_it_prepared_before(foreign: Build) -> None:
    before = foreign(COUNTING).identity({}, 1.0)
    unsourced = foreign(with_sources(None))
    assert unsourced.identity({}, 1.0) == before
    assert code().PREPARED == []
    assert foreign(with_sources(["a"])).identity({}, 1.0) != before


def test_sources_are_asked_once_for_each_value_of_a_prepare_parameter(foreign: Build) -> None:
    evaluator = foreign(with_sources(["a"]), slow="{choices: [1, 2]}", fast="{low: 1, high: 4}")
    for slow, fast in ((2, 1), (2, 3), (1, 1), (2, 4)):
        evaluator.realise({"foreign.slow": slow, "foreign.fast": fast}, 1.0)
    assert code().ASKED == [2, 1]


def test_a_failure_in_sources_names_the_supplier(foreign: Build) -> None:
    failing = SOURCED.replace("return SOURCES", "return 1 / 0")
    with pytest.raises(PluginError, match=r"'foreign' \(stranger 0\.3\) failed in sources: Zero"):
        foreign(failing).realise({}, 1.0)


def test_realising_leaves_the_initial_state_as_it_was(foreign: Build) -> None:
    evaluator = foreign(COUNTING)
    evaluator.realise({}, 1.0)
    assert evaluator.initial.student is None
    assert evaluator.initial.terms == ()


def test_values_are_the_tasks_metrics_on_the_split_asked_for(foreign: Build) -> None:
    evaluator = foreign(COUNTING)
    state = evaluator.realise({}, 1.0)
    split = evaluator.initial.data.validation
    with torch.no_grad():
        right = state.student.module(split.inputs).argmax(1) == split.targets
    assert evaluator.values(state, split)["accuracy"] == pytest.approx(right.double().mean())


def test_a_failure_in_apply_is_that_candidates_and_names_the_supplier(foreign: Build) -> None:
    evaluator = foreign(FAILING, fast="{choices: [1, 9]}")
    with pytest.raises(CandidateError, match=r"'foreign' \(stranger 0\.3\) failed in apply: Key"):
        evaluator.realise({"foreign.fast": 9}, 1.0)


def test_a_method_that_leaves_the_process_is_named(foreign: Build) -> None:
    evaluator = foreign(
        COUNTING.replace(
            "def apply(self, state, choice, artefact, context):\n",
            "def apply(self, state, choice, artefact, context):\n        raise SystemExit(3)\n",
        )
    )
    with pytest.raises(CandidateError, match=r"'foreign' .* failed in apply: SystemExit: 3"):
        evaluator.realise({}, 1.0)


def test_a_failure_in_prepare_ends_the_run_and_names_the_supplier(foreign: Build) -> None:
    evaluator = foreign(FAILING, slow="{choices: [1, 9]}")
    with pytest.raises(PluginError, match=r"'foreign' \(stranger 0\.3\) failed in prepare: Zero"):
        evaluator.realise({"foreign.slow": 9}, 1.0)


def test_a_method_that_forgets_to_return_a_state_is_named(foreign: Build) -> None:
    with pytest.raises(
        CandidateError, match=r"stranger 0\.3\) failed in apply: .*the State, got No"
    ):
        foreign(FORGETFUL).realise({}, 1.0)


def test_a_failure_in_costs_names_the_supplier(foreign: Build) -> None:
    evaluator = foreign(FORGETFUL, fast="{low: 1, high: 4}")
    space = evaluator.steps[0].step.space
    with pytest.raises(PluginError, match=r"stranger 0\.3\) failed in sheet: .*the OperatorSheet"):
        recipe_sheet(evaluator.steps, space, space.corners(), evaluator.context)
    with pytest.raises(PluginError, match=r"stranger 0\.3\) failed in skeleton: Attribute"):
        skeleton_of(evaluator.steps, {}, evaluator.context)


def test_a_recipe_that_leaves_no_student_says_so(foreign: Build) -> None:
    evaluator = foreign(FAILING)
    state = evaluator.realise({}, 1.0)
    with pytest.raises(PluginError, match="leaves no student"):
        evaluator.values(state, evaluator.initial.data.validation)


MEASURING = """
import torch
from stillhouse.core.evaluate import Artefact, Method, Student

class Foreign(Method):
    def prepare(self, state, params, context):
        timed = context.latency(None, ()) if params.slow == 2 else 0.0
        return Artefact({}, {"latency_ms": timed})

    def apply(self, state, choice, artefact, context):
        module = context.family.build(context.full, torch.Generator().manual_seed(1))
        return state.with_student(Student("keyword-transformer", context.full, module.eval()))
"""


@pytest.mark.parametrize(("slow", "shared"), [("1", True), ("2", False)])
def test_what_was_measured_on_this_machine_is_not_shared(
    foreign: Build, tmp_path: Path, slow: str, shared: bool
) -> None:
    evaluator = foreign(MEASURING, slow=slow)
    evaluator.context = replace(evaluator.context, latency=lambda *_: 3.0)
    evaluator.store = ArtefactStore(tmp_path / "run", str(tmp_path / "shared"))
    evaluator.realise({}, 1.0)
    assert len(list((tmp_path / "run").glob("foreign-*"))) == 1
    assert bool(list(tmp_path.rglob("record.json"))) == shared
