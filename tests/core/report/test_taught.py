from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stillhouse.core.report import model_card, render
from stillhouse.core.report.arms import Comparison, comparisons
from stillhouse.core.report.taught import by_labels, introduction, named
from stillhouse.core.run.summary import RunSummary

Exhibit = Callable[..., dict[str, Any]]
ROLES = ("found", "uniform", "best-single", "teacher-alone", "labels-alone")


def arm(role: str, score: float = 0.9) -> dict[str, Any]:
    scores = [score, score + 0.01, score - 0.01]
    return {"role": role, "label": role.replace("-", " "), "validation": scores, "test": scores}


@pytest.fixture
def students(summary: RunSummary, exhibit: Exhibit) -> Callable[..., RunSummary]:
    """A summary with an ensemble and the arms that learnt from it and from others."""

    def made(roles: tuple[str, ...] = ROLES, chosen: str = "found") -> RunSummary:
        arms = exhibit("arms", method="ensemble", chosen=chosen, arms=[arm(role) for role in roles])
        return replace(summary, exhibits=[exhibit("ensemble"), arms])

    return made


def compared(summary: RunSummary) -> Comparison:
    return comparisons(summary)[0]


def test_arms_are_named_by_what_taught_the_student(students: Callable[..., RunSummary]) -> None:
    found = named(compared(students()))
    assert [one.label for one in found.arms] == [
        "found mixture", "equal mixture", "best assistant", "teacher alone", "labels alone",
    ]  # fmt: skip
    assert found.chosen is found.arms[0]
    assert introduction(found).endswith("“labels alone” is the student without any teacher.")


def test_other_arms_keep_their_names(summary: RunSummary, exhibit: Exhibit) -> None:
    hints = compared(replace(summary, exhibits=[exhibit("arms")]))
    assert named(hints) is hints
    assert introduction(hints) == ""


def test_a_role_of_two_methods_keeps_its_labels(students: Callable[..., RunSummary]) -> None:
    both = named(compared(students((*ROLES, "uniform"))))
    assert [one.label for one in both.arms if one.role == "uniform"] == ["uniform", "uniform"]


def test_page_and_card_stand_by_which_student_was_returned(
    students: Callable[..., RunSummary],
) -> None:
    assert "The mixture that taught the student" in render(students())
    assert "Taught by" in model_card(students())
    alone = students(chosen="labels-alone")
    assert by_labels(comparisons(alone))
    assert "The mixture that taught the student" not in render(alone)
    assert "did not learn from it." in render(alone)
    assert "Taught by" not in model_card(alone)
    assert "not what the student learnt from" in model_card(alone)
