"""How the weights of an ensemble were found, as names and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stillhouse.core.report.ensemble import Ensemble
from stillhouse.core.report.ensemble_names import SOLVERS, metric_name, solver, unit
from stillhouse.core.report.spans import exponent

_TOPOLOGIES: Final[Mapping[str, str]] = {
    "flat": "flat: each from the teacher",
    "cascade": "cascade: each from the one before it",
    "dense": "dense: each from the teacher and all before it, one of them left out in a batch",
}
_SAME: Final = 1e-12
"""Losses nearer than this, in nats, differ by rounding."""


def settings(found: Ensemble) -> list[tuple[str, str]]:
    """Pairs of a name and its value; unknown ones are left out."""
    samples = [f"{count:,} {split}" for split, count in found.samples.items() if count]
    known = {
        "weights by": _solved(found),
        "tuning loss": optimality(found),
        "objective": metric_name(found.objective),
        "mixed": found.mixing,
        "temperature": _temperatures(found),
        "who learnt from whom": topology(found),
        "samples": ", ".join(samples) + (", several labels each" if found.several else ""),
    }
    return [(name, value) for name, value in known.items() if value]


def _solved(found: Ensemble) -> str:
    if found.solver == "stacking":
        return "stacking; the weights are shares of its coefficients"
    searched = f", {found.evaluations:,} evaluations" if found.evaluations > 1 else ""
    return f"{solver(found)}{searched}"


def optimality(found: Ensemble) -> str:
    """How far the weights are from the exact optimum on the tuning split; empty if not known."""
    if found.gap is None or not found.referee:
        return ""
    referee = SOLVERS.get(found.referee, found.referee)
    if abs(found.gap) < _SAME:
        return f"that of the exact optimum ({referee})"
    by = f"{exponent(abs(found.gap))} {unit(found)}"
    if found.gap < 0:
        return f"{by} below where the exact referee ({referee}) stopped"
    return f"{by} above the exact optimum ({referee})"


def topology(found: Ensemble) -> str:
    """Who learnt from whom; empty where nobody learnt from another."""
    taught = [member for member in found.members if member.learnt_from]
    if not taught:
        return ""
    names = [member.name for member in taught]
    follow = all(list(m.learnt_from) == [n] for m, n in zip(taught[1:], names, strict=False))
    if found.topology == "cascade" and follow and len(taught[0].learnt_from) == 1:
        return f"cascade: {' → '.join([taught[0].learnt_from[0], *names])}"
    return _TOPOLOGIES.get(found.topology, found.topology)


def _temperatures(found: Ensemble) -> str:
    tuned, taught = found.temperature, found.distil_temperature
    known = [f"{one:.3g}" for one in (tuned, taught) if one is not None]
    if len(known) < 2 or tuned == taught:
        return known[0] if known else ""
    return f"{known[0]} when the weights were found, {known[1]} when the student learnt"
