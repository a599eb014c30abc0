"""Do inherited weights rank subnets as training each of them alone does?

Stand-alone networks learn from the same teacher with the same terms, data and peak rate, for as
many updates as the whole supernet got; the size of their own training's noise is told beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from supernets.ground import Ground, Scores
from supernets.judged import Interval, kendall
from supernets.part import Cell, Part, Report
from supernets.sizes import ENUMERATED
from supernets.subnets import decoded, every, sizes

TARGET: Final = 0.8
ROWS: Final = {
    "tau": "τ-b of validation log-loss, inherited and alone",
    "tau_accuracy": "τ-b of validation accuracy",
    "tau_size": "τ-b of parameters and stand-alone validation log-loss",
    "tau_test": "τ-b, inherited on validation, alone on test",
    "tau_small_half": "τ-b of validation log-loss, smaller half",
    "tau_large_half": "τ-b of validation log-loss, larger half",
    "ceiling": "τ-b of two stand-alone trainings",
}


READS: Final = ("teacher_epochs", "enumerated", "alone_repeats")


def cell(ground: Ground) -> Cell:
    """Every subnet of the enumerated space: parameters, inherited and stand-alone scores."""
    supernet = ground.supernet(ENUMERATED, ground.sizes.enumerated)
    codes = every(ENUMERATED)
    subnets = [
        {
            "genes": genes,
            "parameters": float(size),
            "inherited": ground.scores(supernet.student(genes)),
            "alone": [
                _alone(ground, genes, supernet.updates, repeat)
                for repeat in range(ground.sizes.alone_repeats)
            ],
        }
        for genes, size in zip(
            decoded(ENUMERATED, codes), sizes(ground, ENUMERATED, codes), strict=True
        )
    ]
    return {
        "updates": supernet.updates,
        "subnets": subnets,
        "teacher": ground.scores(ground.teacher),
    }


def _alone(ground: Ground, genes: Mapping[str, Any], updates: int, repeat: int) -> Scores:
    supernet = ground.supernet(ENUMERATED, ground.sizes.enumerated)
    structure = ground.family.subnet(ground.context.full, genes)
    return ground.scores(ground.alone(structure, updates, supernet.settings, f"alone/{repeat}"))


def taus(found: Cell) -> dict[str, float]:
    """One seed's rank correlations; stand-alone scores are means over their trainings."""
    subnets = found["subnets"]
    order = np.argsort([one["parameters"] for one in subnets])
    small, large = np.array_split(order, 2)
    inherited = np.array([one["inherited"]["validation"]["log_loss"] for one in subnets])
    alone = _mean_alone(subnets, "validation", "log_loss")
    accuracy = [one["inherited"]["validation"]["accuracy"] for one in subnets]
    out = {
        "tau": kendall(inherited, alone),
        "tau_accuracy": kendall(accuracy, _mean_alone(subnets, "validation", "accuracy")),
        "tau_size": -kendall([one["parameters"] for one in subnets], alone),
        "tau_test": kendall(inherited, _mean_alone(subnets, "test", "log_loss")),
        "tau_small_half": kendall(inherited[small], alone[small]),
        "tau_large_half": kendall(inherited[large], alone[large]),
    }
    if len(subnets[0]["alone"]) > 1:
        two = [[one["alone"][r]["validation"]["log_loss"] for one in subnets] for r in (0, 1)]
        out["ceiling"] = kendall(*two)
    return out


def _mean_alone(subnets: Any, split: str, metric: str) -> np.ndarray[Any, Any]:
    return np.array([np.mean([a[split][metric] for a in one["alone"]]) for one in subnets])


def report(cells: Mapping[int, Cell]) -> Report:
    by_seed = [taus(found) for found in cells.values()]
    means = {n: Interval.of([one[n] for one in by_seed]) for n in ROWS if n in by_seed[0]}
    return Report(
        f"Ranking fidelity over {ENUMERATED.size()} subnets, each trained alone",
        ["", *(f"seed {seed}" for seed in cells), "mean, 95 %"],
        [
            [ROWS[name], *(f"{one[name]:.3f}" for one in by_seed), mean.shown()]
            for name, mean in means.items()
        ],
        {name: mean.told() for name, mean in means.items()},
        means["tau"].mean >= TARGET,
    )


PART = Part(cell, report, READS)
