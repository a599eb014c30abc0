"""How much of 16, 128 and 1,024 workers the engine keeps busy, with evaluations of a second.

The workers are on a virtual clock (`scales.virtual`); sampler, study, order of learning and the
ledger on the disk are the real ones, and every second that they take counts. Efficiency is the
seconds that evaluations took over workers times the time that went by. *Inner* counts only from
when every worker has begun its first evaluation to when the last evaluation begins: without the
end, where fewer evaluations are left than there are workers. *Free engine* is what an engine that
takes no time would reach: what is missing from it is the end, and waiting for late results.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, Final

from record import over_seeds, with_half

from scales.ground import GOALS, measured, study
from scales.part import Report
from scales.virtual import VirtualWorkers
from stillhouse.core.config.sections import ahead_for, batch_for
from stillhouse.core.run.ledger import Ledger
from stillhouse.core.run.spending import Policy, spend

ASKED: Final[Mapping[int, float]] = {16: 0.95, 128: 0.90, 1024: 0.80}
EACH: Final = 40
ORDERS: Final[Mapping[str, bool]] = {"in order": True, "as they come": False}


def report(given: argparse.Namespace) -> Report:
    """Efficiency for each number of workers, order of learning and sampler, over seeds."""
    figures: dict[str, Any] = {"evaluations_each": EACH}
    rows, reached = [], True
    for workers, order, sampler in product(ASKED, ORDERS, ("evolution", "random")):
        cells = [measure(workers, ORDERS[order], sampler, seed) for seed in given.seeds]
        found = {name: over_seeds([cell[name] for cell in cells]) for name in cells[0]}
        figures[f"{workers} workers, {order}, {sampler}"] = found
        reached &= found["efficiency"]["mean"] >= ASKED[workers]
        shares = (with_half(found[name], 3) for name in ("efficiency", "inner", "ideal"))
        engine = with_half(found["engine_ms"], 3)
        rows.append([f"{workers}, {order}, {sampler}", f"{ASKED[workers]:.2f}", *shares, engine])
    headings = ["workers", "asked", "efficiency", "inner", "free engine", "engine, ms each"]
    title = f"virtual clock, {EACH} evaluations of 1 ± 0.3 s a worker, {len(given.seeds)} seeds"
    return Report(title, headings, rows, figures, reached)


def measure(workers: int, deterministic: bool, sampler: str, seed: int) -> dict[str, float]:
    """One search; `ideal` is what an engine that takes no time would reach in the same order."""
    pool = spent(workers, deterministic, sampler, seed)
    begins = sorted(begin for begin, _ in pool.spans_s)
    return {
        "efficiency": pool.efficiency(),
        "inner": pool.efficiency(begins[workers - 1], begins[-1]),
        "ideal": spent(workers, deterministic, sampler, seed, free=True).efficiency(),
        "engine_ms": 1e3 * pool.engine_s / len(begins),
    }


def spent(
    workers: int, deterministic: bool, sampler: str, seed: int, *, free: bool = False
) -> VirtualWorkers:
    """The workers after the search; with `free` what the engine does takes no time."""
    evaluations, batch = EACH * workers, batch_for(workers)
    ahead = ahead_for(workers, batch)
    policy = Policy(evaluations, batch, ahead, deterministic=deterministic)
    asked = study(sampler, evaluations, seed)
    pool = VirtualWorkers(workers, measured, seed, free=free)
    with (
        tempfile.TemporaryDirectory(dir=".") as folder,
        Ledger(Path(folder) / "ledger.jsonl", "clock") as ledger,
    ):
        spend(asked, pool, ledger, GOALS, policy)
    return pool
