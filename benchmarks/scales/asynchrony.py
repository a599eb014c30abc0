"""What asynchrony costs a search: the front of NAS-Bench-201, as many evaluations, 16 workers.

Latency and error on CIFAR-100 are minimised; the figure is the hypervolume up to (largest latency,
40 % error) that the evaluations told so far miss, in points of the true front's. Workers are on a
virtual clock, evaluations take 1 ± 0.3 s. With 16 workers results come late, and what is proposed
meanwhile knows less than it would one after the other.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from nas_bench_201 import SPACE, Job, Table, TableCosts, gaps, index
from record import over_seeds, with_half

from scales.part import Report
from scales.virtual import VirtualWorkers
from stillhouse.core.config.sections import ahead_for, batch_for
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.goals import Goals
from stillhouse.core.run.ledger import Ledger
from stillhouse.core.run.spending import Policy, spend
from stillhouse.core.search import Objective, Problem, Sampler, Study, enumerated

WORKERS: Final = 16
CHECKS: Final = (50, 100, 200)
ASKED: Final = 1.0
SAMPLERS: Final = ("surrogate", "evolution")
BATCH: Final = batch_for(WORKERS)
AHEAD: Final = ahead_for(WORKERS, BATCH)


@dataclass(frozen=True)
class Way:
    """How a search goes: its workers and the order in which it learns."""

    workers: int
    batch: int
    ahead: int
    deterministic: bool = True


WAYS: Final[Mapping[str, Way]] = {
    "one at a time": Way(1, 1, 0),
    "batches of 10": Way(1, 10, 0),
    "16 workers, in order": Way(WORKERS, BATCH, AHEAD),
    "16 workers, as they come": Way(WORKERS, BATCH, AHEAD, deterministic=False),
}
_PLAIN: Final = ("one at a time", "batches of 10")
_OBJECTIVES: Final = (Objective("latency_ms", False), Objective("error", False))


def report(given: argparse.Namespace) -> Report:
    """Gaps of every way and sampler, and what the two with 16 workers lose to the two without."""
    figures: dict[str, Any] = {}
    rows, reached = [], True
    for sampler in SAMPLERS:
        found = {name: [measure(sampler, name, seed) for seed in given.seeds] for name in WAYS}
        for name in WAYS:
            figures[f"{sampler}, {name}"] = {
                str(n): over_seeds([cell[str(n)] for cell in found[name]]) for n in CHECKS
            }
            means = [with_half(figures[f"{sampler}, {name}"][str(n)], 2) for n in CHECKS]
            rows.append([f"{sampler}, {name}", *means])
        for name, plain in product(WAYS, _PLAIN):
            if name not in _PLAIN:
                lost = figures[f"{sampler}, {name} - {plain}"] = _lost(found[name], found[plain])
                rows.append([f"  lost to {plain}", *(with_half(lost[str(n)], 2) for n in CHECKS)])
                reached &= all(lost[str(n)]["mean"] <= ASKED for n in CHECKS)
    title = f"NAS-Bench-201, CIFAR-100: hypervolume missed, %, {len(given.seeds)} seeds"
    return Report(title, ["search", *map(str, CHECKS)], rows, figures, reached)


def measure(sampler: str, name: str, seed: int) -> dict[str, float]:
    """Gaps after so many evaluations, in the order in which they ended."""
    way, table = WAYS[name], _table()
    job = Job(table, False, max(CHECKS), seed)
    done: list[int] = []

    def evaluated(payload: Mapping[str, Any]) -> dict[str, Any]:
        at = int(index(SPACE.encode(payload["configuration"])[None])[0])
        done.append(at)
        return {"values": {"error": float(100.0 - table.accuracy[at])}}

    policy = Policy(job.evaluations, way.batch, way.ahead, deterministic=way.deterministic)
    pool = VirtualWorkers(way.workers, evaluated, seed, free=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger(Path(folder) / "ledger.jsonl", "asynchrony") as ledger,
    ):
        spend(_study(sampler, job), pool, ledger, Goals(_OBJECTIVES), policy)
    return gaps(job, np.array(done))


def _study(sampler: str, job: Job) -> Study:
    catalogue, costs = Catalogue.discover(), TableCosts(job.table, limited=False)
    record = catalogue.sampler(sampler)
    everything = enumerated(SPACE)
    assert everything is not None
    problem = Problem(SPACE, costs, _OBJECTIVES, job.seed, everything[:64], budget=job.evaluations)
    build = cast("Any", catalogue.resolve(record))
    return Study(problem, cast("Sampler", build(record.params(), problem)))


def _lost(found: Sequence[Mapping[str, float]], plain: Sequence[Mapping[str, float]]) -> Any:
    """Points more that are missed, by the number of evaluations, seed by seed."""
    return {
        str(n): over_seeds([a[str(n)] - b[str(n)] for a, b in zip(found, plain, strict=True)])
        for n in CHECKS
    }


@cache
def _table() -> Table:
    return Table.load("cifar100")
