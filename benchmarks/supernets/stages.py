"""Is stage 1, the full student alone, worth its updates? Two stages or one at equal updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from stillhouse.core.space import Space
from supernets.ground import Ground, Supernet
from supernets.judged import Interval
from supernets.part import Cell, Part, Report
from supernets.sizes import NARROW, SHIPPED
from supernets.subnets import decoded, fixed

METRICS: Final = ("validation log_loss", "test log_loss", "test accuracy")
WAYS: Final = {"two": "two stages", "one": "one stage"}


def spaces(ground: Ground) -> dict[str, Space]:
    return {SHIPPED: ground.shipped, "LightHuBERT's proportions": NARROW}


def recipes(ground: Ground) -> dict[str, dict[str, Any]]:
    """Uniform sampling, one subnet an update, as LightHuBERT trains."""
    first, second = ground.sizes.stage_epochs
    shared = {"sampler": "uniform", "learning_rate": ground.sizes.shipped["learning_rate"]}
    return {
        "two": {**shared, "full_epochs": first, "epochs": second},
        "one": {**shared, "full_epochs": 0, "epochs": first + second},
    }


def cell(ground: Ground) -> Cell:
    """Mean scores of the fixed subnets under both recipes, by space."""
    return {
        name: {
            way: mean_scores(ground, space, ground.supernet(space, recipe))
            for way, recipe in recipes(ground).items()
        }
        for name, space in spaces(ground).items()
    }


def mean_scores(ground: Ground, space: Space, supernet: Supernet) -> dict[str, float]:
    codes = fixed(space, ground.sizes.fixed_subnets)
    scores = [ground.scores(supernet.student(genes)) for genes in decoded(space, codes)]
    means = {
        f"{split} {metric}": float(np.mean([one[split][metric] for one in scores]))
        for split in scores[0]
        for metric in scores[0][split]
    }
    return {"updates": supernet.updates, **means}


def report(cells: Mapping[int, Cell]) -> Report:
    rows, figures, lower = [], dict[str, Any](), []
    for space in next(iter(cells.values())):
        figures[space] = {}
        found = [one[space] for one in cells.values()]
        for metric in METRICS:
            means = {way: Interval.of([one[way][metric] for one in found]) for way in WAYS}
            gap = Interval.of([one["two"][metric] - one["one"][metric] for one in found])
            shown = [mean.shown() for mean in means.values()]
            rows.append([f"{space}: {metric}", *shown, gap.shown(sign="+")])
            told = {way: mean.told() for way, mean in means.items()}
            figures[space][metric] = {**told, "two_minus_one": gap.told()}
        lower.append(figures[space]["test log_loss"]["two_minus_one"]["mean"] < 0)
    updates = found[0]["two"]["updates"]
    return Report(
        f"Two stages or one, {updates} updates each, mean over fixed random subnets",
        ["", *WAYS.values(), "two − one, 95 %"],
        rows,
        figures,
        all(lower),
    )


PART = Part(cell, report, ("teacher_epochs", "stage_epochs", "shipped", "fixed_subnets"))
