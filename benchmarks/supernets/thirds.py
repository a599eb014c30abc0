"""Are subnets with inherited weights better than the same ones trained alone as often as they?

A subnet's own updates are those in which the sampler drew it (stage 1 counts for the full one):
replayed from the seed, at least one. The harder comparison gives every subnet alone as many
updates as the whole supernet had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from stillhouse.core.distill.regions import Whole
from stillhouse.plugins.supernet.samplers import path_sampler
from supernets import fidelity
from supernets.ground import Ground, Supernet
from supernets.judged import Interval
from supernets.part import Cell, Part, Report
from supernets.sizes import ENUMERATED
from supernets.subnets import thirds

WAYS: Final = {"inherited": "inherited", "own": "alone, own updates", "alone": "alone, all updates"}


def cell(ground: Ground) -> Cell:
    """What the part `fidelity` found, and every subnet trained alone for its own updates."""
    supernet = ground.supernet(ENUMERATED, ground.sizes.enumerated)
    found = ground.cell("fidelity", fidelity.READS, fidelity.cell)
    own = own_updates(ground, supernet)
    subnets = []
    for one in found["subnets"]:
        updates = max(1, own[_name(one["genes"])])
        structure = ground.family.subnet(ground.context.full, one["genes"])
        student = ground.alone(structure, updates, supernet.settings, "own")
        scores = {"inherited": one["inherited"], "alone": one["alone"][0]}
        scores["own"] = ground.scores(student)
        subnets.append({"parameters": one["parameters"], "own_updates": updates, **scores})
    return {"updates": supernet.updates, "subnets": subnets}


def own_updates(ground: Ground, supernet: Supernet) -> Counter[str]:
    """How often stage 2 drew each subnet, plus stage 1 for the full one."""
    first = supernet.artefact.record["history"]["full"]
    stage_1 = first[-1]["updates"] if first else 0
    stage_2 = supernet.updates - stage_1
    region, drawn = Whole(ENUMERATED), Counter[str]()
    sampler = path_sampler(region, supernet.params, stage_2, supernet.context)
    for update in range(stage_2):
        seed = supernet.context.seed("supernet/sampled", "paths", update)
        drawn.update(map(_name, sampler.draw(update, np.random.default_rng(seed))))
    largest = ENUMERATED.decode(ENUMERATED.corners()[2])
    drawn[_name(largest)] += stage_1
    return drawn


def _name(genes: Mapping[str, Any]) -> str:
    return repr(sorted(genes.items()))


def losses(found: Cell, split: str, metric: str) -> dict[str, dict[str, float]]:
    """One seed's means by third and way of training."""
    subnets = found["subnets"]
    places = thirds([one["parameters"] for one in subnets])
    return {
        third: {way: float(np.mean([subnets[i][way][split][metric] for i in at])) for way in WAYS}
        for third, at in places.items()
    }


def report(cells: Mapping[int, Cell]) -> Report:
    rows, figures, better = [], dict[str, Any](), []
    by_seed = [losses(found, "test", "log_loss") for found in cells.values()]
    accuracy = [losses(found, "test", "accuracy") for found in cells.values()]
    for third in by_seed[0]:
        means = {way: Interval.of([one[third][way] for one in by_seed]) for way in WAYS}
        gaps = {
            way: Interval.of([one[third]["inherited"] - one[third][way] for one in by_seed])
            for way in ("own", "alone")
        }
        right = {way: 100 * np.mean([one[third][way] for one in accuracy]) for way in WAYS}
        cells_of = [f"{means[way].shown()} ({right[way]:.1f} %)" for way in WAYS]
        rows.append([third, *cells_of, *(gap.shown(sign="+") for gap in gaps.values())])
        figures[third] = {
            "log_loss": {way: mean.told() for way, mean in means.items()},
            "accuracy_percent": {way: float(value) for way, value in right.items()},
            "inherited_minus": {way: gap.told() for way, gap in gaps.items()},
        }
        better.append(gaps["own"].mean < 0)
    own = [one["own_updates"] for found in cells.values() for one in found["subnets"]]
    figures["own_updates"] = {"median": float(np.median(own)), "most": float(np.max(own))}
    return Report(
        f"Test log-loss (accuracy) by size; own updates: median {np.median(own):.0f}, of "
        f"{next(iter(cells.values()))['updates']}",
        ["", *WAYS.values(), "inherited − own", "inherited − all"],
        rows,
        figures,
        all(better),
    )


PART = Part(cell, report, fidelity.READS)
