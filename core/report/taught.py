"""Control arms of a student that learnt from an ensemble: named by what taught it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from stillhouse.core.report.arms import FOUND, Comparison

_NAMES: Final[Mapping[str, str]] = {
    FOUND: "found mixture",
    "uniform": "equal mixture",
    "best-single": "best assistant",
    "teacher-alone": "teacher alone",
    "labels-alone": "labels alone",
}
_TELLING: Final = frozenset({"best-single", "teacher-alone", "labels-alone"})
"""Roles that only an ensemble's controls have."""


def is_taught(comparison: Comparison) -> bool:
    """Whether the arms differ in what the student learns from."""
    return any(arm.role in _TELLING for arm in comparison.arms)


def introduction(comparison: Comparison) -> str:
    """What differs between the arms, and which is the student before; empty for other arms."""
    if not is_taught(comparison):
        return ""
    roles = {arm.role for arm in comparison.arms}
    told = "The same student each time; only what it learns from differs."
    before = f" “{_NAMES['labels-alone']}” is the student without any teacher."
    return told + (before if "labels-alone" in roles else "")


def by_labels(comparisons: Sequence[Comparison]) -> bool:
    """Whether the arm without any teacher was better than the others, and returned."""
    return any(one.chosen.role == "labels-alone" for one in comparisons)


def named(comparison: Comparison) -> Comparison:
    """The same under these names. A role of two methods occurs twice and keeps its labels."""
    if not is_taught(comparison):
        return comparison
    times = Counter(arm.role for arm in comparison.arms)
    arms = [
        replace(arm, label=_NAMES[arm.role]) if arm.role in _NAMES and times[arm.role] == 1 else arm
        for arm in comparison.arms
    ]
    place = list(comparison.arms).index(comparison.chosen)
    return replace(comparison, arms=arms, chosen=arms[place])
