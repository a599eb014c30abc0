"""What the parts of an ensemble are called: solvers, rows, weights, units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stillhouse.core.report.ensemble import CHOSEN, LOSS, Ensemble, Standing
from stillhouse.core.report.numerals import NBSP

SOLVERS: Final[Mapping[str, str]] = {
    "differential-evolution": "differential evolution",
    "em": "EM",
    "slsqp": "SLSQP",
    "greedy": "greedy selection",
}
_WEIGHED: Final[Mapping[str, str]] = {
    "uniform": "weighted equally",
    "given": "weights as given",
    "best-single": "the best alone on the tuning split",
}
_ROLES: Final[Mapping[str, str]] = {
    "differential-evolution": "differential evolution",
    "em": "EM optimum",
    "slsqp": "SLSQP optimum",
    "uniform": "uniform weights",
}
_LONE: Final[Mapping[str, str]] = {"best-single": "best single", "teacher": "teacher"}
"""Roles of single models, which have names of their own."""


def solver(found: Ensemble) -> str:
    return SOLVERS.get(found.solver, found.solver.replace("-", " "))


def weighed(found: Ensemble) -> str:
    """How the weights came about, to stand behind a comma."""
    return _WEIGHED.get(found.solver, f"weights by {solver(found)}")


def title(row: Standing) -> str:
    """What a row is called beside a drawing and in a table."""
    if row.role == CHOSEN:
        return f"chosen: {row.label}" if _says_more(CHOSEN, row.label) else "chosen mixture"
    return _ROLES.get(row.role) or _lone(row) or row.label


def against(row: Standing) -> str:
    """The same in a sentence that compares with it."""
    if row.role == "best-single":
        kind = "model" if row.label == "teacher" else "assistant"
        return f"the {title(row).replace('best single', f'best single {kind}', 1)}"
    return f"the {title(row)}" if row.role == "teacher" else title(row)


def _lone(row: Standing) -> str:
    role = _LONE.get(row.role, "")
    return f"{role} ({row.label})" if role and _says_more(role, row.label) else role


def _says_more(role: str, label: str) -> bool:
    return label.replace("-", " ").casefold() not in ("", role, f"{role} mixture")


def metric_name(name: str) -> str:
    return "log-loss" if name == LOSS else name.replace("_", " ")


def unit(found: Ensemble) -> str:
    """Of a log-loss."""
    return "nats a label" if found.several else "nats"


def percent(weight: float) -> str:
    """A weight: `41.2 %`; one too small to be written so is `<0.1 %`."""
    if weight in (0, 1):
        return f"{100 * weight:g}{NBSP}%"
    return f"<0.1{NBSP}%" if weight < 5e-4 else f"{100 * weight:.1f}{NBSP}%"
