"""Ray Tune's schedulers as a sweep's section names them."""

from __future__ import annotations

from typing import Any

from stillhouse.core.config.sweep import SweepSection
from stillhouse.core.sweep.trainable import SCORE, TIME


def scheduler_of(section: SweepSection) -> Any:
    """The scheduler, or None for every trial to its end.

    Halving compares places on the rungs (1, eta, eta², ...), whatever the budget is there. PBT
    waits for all trials at each rung, so that the outcome depends neither on how many run at a
    time nor on who is first.
    """
    settings = dict(section.scheduler.settings or {})
    rungs = len(section.budget.rungs) if section.budget else 1
    if section.scheduler.name == "asha":
        from ray.tune.schedulers import ASHAScheduler

        eta = int(settings["eta"])
        return ASHAScheduler(
            time_attr=TIME, metric=SCORE, mode="max", grace_period=1, reduction_factor=eta,
            max_t=eta ** (rungs - 1),
        )  # fmt: skip
    if section.scheduler.name == "pbt":
        from stillhouse.core.sweep.population import Population

        return Population(section, float(settings["share"]), float(settings["resample"]))
    return None
