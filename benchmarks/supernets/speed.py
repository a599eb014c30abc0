"""How long do switching the active subnet, and evaluating 200 subnets on 600 clips take?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from stillhouse.core.evaluate import ElasticModule
from stillhouse.core.evaluate.evaluator import predict
from supernets.ground import Ground, Supernet
from supernets.judged import Interval
from supernets.part import Cell, Part, Report
from supernets.subnets import decoded, fixed

SUBNETS: Final = 200
THREADS: Final = 2
MOST: Final = {"switch_ms": 1.0, "sliced_s": 10.0, "extracted_s": 10.0}
ROWS: Final = {
    "switch_ms": "switching, ms, mean of 2,000",
    "switch_p99_ms": "switching, ms, 99th percentile",
    "sliced_s": "200 subnets × 600 clips, sliced forward, s",
    "extracted_s": "the same, each extracted as the search does, s",
}


def cell(ground: Ground) -> Cell:
    """Times on both cores; the weights do not matter."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        return _timed(ground)
    finally:
        torch.set_num_threads(before)


def _timed(ground: Ground) -> Cell:
    supernet = ground.supernet(ground.shipped, ground.sizes.shipped)
    genes = decoded(ground.shipped, fixed(ground.shipped, SUBNETS))
    test, elastic = ground.task.data.test, _elastic(ground, supernet)
    predict(elastic, test)
    began = time.perf_counter()
    for one in genes:
        elastic.set_active(one)
        predict(elastic, test)
    sliced_s, began = time.perf_counter() - began, time.perf_counter()
    for one in genes:
        predict(supernet.student(one), test)
    extracted_s = time.perf_counter() - began
    switches = np.array([_switch_ms(elastic, one) for one in genes * 10])
    return {
        "clips": len(test),
        "switch_ms": float(switches.mean()),
        "switch_p99_ms": float(np.percentile(switches, 99)),
        "sliced_s": sliced_s,
        "extracted_s": extracted_s,
    }


def _elastic(ground: Ground, supernet: Supernet) -> ElasticModule:
    plain = ground.fresh(supernet.artefact.record["structure"], "speed")
    elastic = ground.family.elastic(plain).eval()
    elastic.load_state_dict(dict(supernet.artefact.tensors))
    return elastic


def _switch_ms(elastic: ElasticModule, genes: Mapping[str, Any]) -> float:
    began = time.perf_counter()
    elastic.set_active(genes)
    return 1e3 * (time.perf_counter() - began)


def report(cells: Mapping[int, Cell]) -> Report:
    means = {name: Interval.of([one[name] for one in cells.values()]) for name in ROWS}
    return Report(
        f"Times on {THREADS} cores, keyword-transformer-small",
        ["", *(f"seed {seed}" for seed in cells), "mean, 95 %"],
        [
            [label, *(f"{one[name]:.3f}" for one in cells.values()), means[name].shown()]
            for name, label in ROWS.items()
        ],
        {name: mean.told() for name, mean in means.items()},
        all(means[name].mean <= most for name, most in MOST.items()),
    )


PART = Part(cell, report, ("teacher_epochs", "shipped"), apart=True)
