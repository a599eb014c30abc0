"""Which sampler serves the smallest and largest subnets better than `uniform` does?

Compared at equal forward-backward passes of a batch: a `sandwich` of four subnets gets a quarter of
the updates; `turns`, the same spread over updates, gets as many as `uniform`. The extremes are the
smallest and the largest twentieth, by parameters, of subnets drawn gene by gene.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from stillhouse.core.search.sampler import Codes
from supernets.ground import Ground
from supernets.judged import Interval
from supernets.part import Cell, Part, Report
from supernets.subnets import decoded, fixed, sizes

GROUPS: Final = {
    "smallest": "smallest 5 %",
    "largest": "largest 5 %",
    "both": "both ends, mean",
    "between": "random subnets",
}
SAMPLERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "uniform": {},
    "turns": {"middle": 6},
    "size_bins": {},
    "sandwich": {"middle": 2},
}
_PASSES: Final = {"sandwich": 4}


def cell(ground: Ground) -> Cell:
    """Mean log-losses of each group, by sampler and split."""
    found: Cell = {}
    for sampler in SAMPLERS:
        supernet = ground.supernet(ground.shipped, _recipe(ground, sampler))
        found[sampler] = {"updates": supernet.updates}
        for group, codes in _groups(ground).items():
            scores = [ground.scores(supernet.student(g)) for g in decoded(ground.shipped, codes)]
            found[sampler][group] = {
                split: float(np.mean([one[split]["log_loss"] for one in scores]))
                for split in scores[0]
            }
    return found


def _recipe(ground: Ground, sampler: str) -> dict[str, Any]:
    rate = ground.sizes.shipped["learning_rate"]
    epochs = ground.sizes.passes // _PASSES.get(sampler, 1)
    shared = {"sampler": sampler, "full_epochs": 0, "epochs": epochs, "learning_rate": rate}
    return {**shared, **SAMPLERS[sampler]}


def _groups(ground: Ground) -> dict[str, Codes]:
    space, pool = ground.shipped, fixed(ground.shipped, ground.sizes.pool)
    order, some = np.argsort(sizes(ground, space, pool)), max(1, len(pool) // 20)
    between = fixed(space, ground.sizes.fixed_subnets)
    return {"smallest": pool[order[:some]], "largest": pool[order[-some:]], "between": between}


def report(cells: Mapping[int, Cell]) -> Report:
    rows, figures = [], dict[str, Any]()
    for group, label in GROUPS.items():
        losses = {s: [_loss(one[s], group) for one in cells.values()] for s in SAMPLERS}
        means = {s: Interval.of(of) for s, of in losses.items()}
        gaps = {
            s: Interval.of(np.subtract(losses[s], losses["uniform"]).tolist())
            for s in SAMPLERS
            if s != "uniform"
        }
        shown = [f"{means[s].mean:.3f} ({gap.shown(sign='+')})" for s, gap in gaps.items()]
        rows.append([label, f"{means['uniform'].mean:.3f}", *shown])
        figures[group] = {
            "log_loss": {s: mean.told() for s, mean in means.items()},
            "minus_uniform": {s: gap.told() for s, gap in gaps.items()},
        }
    return Report(
        f"Test log-loss at {next(iter(cells.values()))['uniform']['updates']} passes "
        f"(less uniform's, 95 %)",
        ["", *SAMPLERS],
        rows,
        figures,
        any(gap["mean"] < 0 for gap in figures["both"]["minus_uniform"].values()),
    )


def _loss(found: Mapping[str, Any], group: str) -> float:
    """Test log-loss of a group, or the mean of both ends."""
    parts = ("smallest", "largest") if group == "both" else (group,)
    return float(np.mean([found[part]["test"] for part in parts]))


PART = Part(cell, report, ("teacher_epochs", "passes", "shipped", "pool", "fixed_subnets"))
