"""Is a searched subnet better than random ones within the limit, and than uniform scaling?

Judged on the test split, which the search never saw; the search minimises validation log-loss.
With inherited weights: the subnet found, the median of random ones within the limit, and the
*uniform* one, the largest whose width, depth and heads are the full network's in one proportion.
Alone, for as many updates as the whole supernet had, as in the controls of a run: the found
network's shape, and the teacher *scaled* down by its width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from stillhouse.core.cost.terms import parameters
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.search import AskTell, FeasibleDraws, known_costs, open_study
from supernets.ground import Ground, Scores, Supernet
from supernets.judged import Interval
from supernets.part import Cell, Part, Report
from supernets.subnets import decoded, sizes

RIVALS: Final = {"random": "median random", "uniform": "uniform"}
ALONE: Final = {"retrained": "found, alone", "scaled": "scaled, alone"}
_SHARES: Final = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375)


def cell(ground: Ground) -> Cell:
    """For every limit the scores of what was searched, of random subnets, and of scaled ones."""
    supernet = ground.supernet(ground.shipped, ground.sizes.shipped)
    full = ground.context.full
    (teacher,) = parameters(ground.family.sheet(full, ground.family.columns([full])))
    limits = {}
    for percent in ground.sizes.limits:
        limits[f"{percent:g}"] = one_limit(ground, supernet, percent / 100 * float(teacher))
    return {"updates": supernet.updates, "teacher": ground.scores(ground.teacher), "limits": limits}


def one_limit(ground: Ground, supernet: Supernet, bound: float) -> Cell:
    study = _study(ground, bound)
    scores = _searched(ground, supernet, study)
    best = study.best()
    assert best is not None
    space, problem = ground.shipped, study.problem
    rng = np.random.default_rng([ground.seed, round(bound)])
    drawn = FeasibleDraws(space, problem.costs, problem.feasible, rng).draw(ground.sizes.rivals)
    uniform = _uniform(ground, bound)
    scaled = ground.family.scaled(ground.context.full, int(bound))
    shape = ground.family.subnet(ground.context.full, space.decode(best.codes))
    return {
        "bound": bound,
        "found": {"genes": space.decode(best.codes), "parameters": best.costs["parameters"]},
        "searched": scores[best.key],
        "random": [ground.scores(supernet.student(genes)) for genes in decoded(space, drawn)],
        "uniform": None if uniform is None else ground.scores(supernet.student(uniform)),
        "retrained": _alone(ground, supernet, shape),
        "scaled": _alone(ground, supernet, scaled),
    }


def _alone(ground: Ground, supernet: Supernet, shape: Structure) -> Scores:
    student = ground.alone(shape, supernet.updates, supernet.settings, "alone/0")
    return ground.scores(student)


def _study(ground: Ground, bound: float) -> AskTell:
    costs = known_costs(lambda c: {"parameters": sizes(ground, ground.shipped, c)}, of="codes")
    return open_study(
        ground.shipped,
        minimize=["log_loss"],
        costs=costs,
        limits=[f"parameters <= {bound:.0f}"],
        seed=ground.seed,
        budget=ground.sizes.evaluations,
        catalogue=ground.catalogue,
    )


def _searched(ground: Ground, supernet: Supernet, study: AskTell) -> dict[str, Scores]:
    """Scores of every candidate by key; the study is told those on the validation split only."""
    space, found = ground.shipped, dict[str, Scores]()
    while len(codes := study.ask(5)):
        scores = [ground.scores(supernet.student(genes)) for genes in decoded(space, codes)]
        found.update(zip(space.keys(codes), scores, strict=True))
        study.tell(codes, [one["validation"]["log_loss"] for one in scores])
    return found


def _uniform(ground: Ground, bound: float) -> Mapping[str, Any] | None:
    """The largest uniformly scaled configuration within the bound, None where none is."""
    space = ground.shipped
    ladder = np.array([space.encode(_share(space.decode(space.corners()[2]), s)) for s in _SHARES])
    counts = sizes(ground, space, ladder)
    within = np.flatnonzero(counts <= bound)
    return None if not len(within) else space.decode(ladder[within[np.argmax(counts[within])]])


def _share(full: Mapping[str, Any], share: float) -> dict[str, Any]:
    depth = max(1, round(share * full["depth"]))
    heads = max(1, round(share * full["heads"][0]))
    return {
        "width": round(share * full["width"]),
        "depth": depth,
        "heads": [heads] * depth,
        "ffn_ratio": [full["ffn_ratio"][0]] * depth,
    }


def values(found: Cell, metric: str) -> dict[str, float]:
    """One limit's figures on the test split; without *uniform* where none is small enough."""
    random = [one["test"][metric] for one in found["random"]]
    named = ("searched", "uniform", *ALONE)
    out = {n: found[n]["test"][metric] for n in named if found[n] is not None}
    return {**out, "random": float(np.median(random))}


def one_row(percent: str, found: list[Cell]) -> tuple[list[str], dict[str, Any]]:
    """A limit's row and figures over seeds."""
    of = [values(one, "log_loss") for one in found]
    right = [values(one, "accuracy") for one in found]
    names = ("searched", *(n for n in (*RIVALS, *ALONE) if all(n in one for one in of)))
    means = {n: Interval.of([one[n] for one in of]) for n in names}
    accuracy = {n: 100 * float(np.mean([one[n] for one in right])) for n in names}
    pairs = [("searched", n) for n in RIVALS if n in names] + [("retrained", "scaled")]
    gaps = {f"{a} - {b}": Interval.of([one[a] - one[b] for one in of]) for a, b in pairs}
    won = {f"{a} - {b}": sum(one[a] < one[b] for one in of) for a, b in pairs}
    shown = {n: f"{means[n].shown()} ({accuracy[n]:.1f} %)" for n in names}
    cells = [shown.get(n, "none fits") for n in ("searched", *RIVALS, *ALONE)]
    figures = {
        "log_loss": {n: mean.told() for n, mean in means.items()},
        "accuracy_percent": accuracy,
        "gaps": {pair: gap.told() for pair, gap in gaps.items()},
        "seeds_won": won,
    }
    return [f"{percent} %", *cells, ", ".join(map(str, won.values()))], figures


def report(cells: Mapping[int, Cell]) -> Report:
    rows, limits = [], dict[str, Any]()
    for percent in next(iter(cells.values()))["limits"]:
        row, limits[percent] = one_row(percent, [one["limits"][percent] for one in cells.values()])
        rows.append(row)
    inherited = [
        all(gap["mean"] < 0 for pair, gap in one["gaps"].items() if pair.startswith("searched"))
        for one in limits.values()
    ]
    return Report(
        f"Test log-loss (accuracy) within so many percent of the teacher's parameters; found is "
        f"better than both with inherited weights in {sum(inherited)} of {len(limits)} limits",
        ["limit", "found", *RIVALS.values(), *ALONE.values(), f"seeds won of {len(cells)}"],
        rows,
        {"limits": limits, "limits_won": sum(inherited)},
        all(inherited),
    )


PART = Part(cell, report, ("teacher_epochs", "shipped", "limits", "evaluations", "rivals"))
