"""What an evaluation costs beside its own time: the executor alone, and with the whole engine.

Jobs come to nothing, or sleep for 20 ms. *Each* is the time that went by over the number of jobs.
*Lost* is what a worker spends on a job beside the time that it measured for it: workers times the
time that went by, over the number of jobs, less the mean of their seconds. The engine is a search
by `spend`: an evolution that proposes, its results told in order, the ledger on the disk; *its
share* is the time that went by, over the number of evaluations, beyond what the evaluations took
on so many workers. Ray's workers are on two nodes of this machine; beside them stands what Ray Tune
takes for a trial that does nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from record import over_seeds, with_half

from scales.ground import GOALS, study
from scales.part import Report
from scales.ray_nodes import tune_ms, two_nodes
from scales.sleeper import opened, sleeping
from stillhouse.core.execute import Executor, Job, Outcome, Work
from stillhouse.core.execute.inline import Inline
from stillhouse.core.execute.processes import Processes
from stillhouse.core.execute.ray_workers import RayWorkers
from stillhouse.core.run.ledger import Ledger
from stillhouse.core.run.spending import Policy, spend

ASKED_MS: Final[Mapping[str, float]] = {"inline": 5.0, "processes": 5.0, "Ray": 20.0}
SLEEP_S: Final = 0.02
TRIVIAL: Final = 2000
EACH: Final = 50
BATCH: Final = 10

Start = Callable[[Work, int], Executor]
ARMS: Final[Sequence[tuple[str, int, Start]]] = (
    ("inline", 1, lambda work, workers: Inline(opened(work.spec))),
    ("processes", 1, Processes),
    ("processes", 2, Processes),
    ("processes", 16, Processes),
)


def report(given: argparse.Namespace) -> Report:
    """Milliseconds an evaluation for every executor, over as many repeats as there are seeds."""
    figures: dict[str, Any] = {"trivial_jobs": TRIVIAL, "sleeping_jobs_each": EACH}
    with two_nodes() as address:
        on_ray = partial(RayWorkers, address=address, placement="spread", cpus=0)
        arms = [*ARMS, *(("Ray", workers, on_ray) for workers in (1, 2, 16))]
        rows, reached = _executors(given, arms, figures)
        rows += _tune(given, address, figures)
    headings = [
        "workers", "trivial, each ms", "20 ms: lost ms", "engine's share, ms", "ready in, ms"
    ]  # fmt: skip
    title = f"milliseconds an evaluation, {len(given.seeds)} repeats"
    return Report(title, headings, rows, figures, reached)


def _executors(
    given: argparse.Namespace, arms: Sequence[tuple[str, int, Start]], figures: dict[str, Any]
) -> tuple[list[list[str]], bool]:
    """A row for each, its figures put beside the others', and whether all have what was asked."""
    rows, reached = [], True
    for kind, workers, start in arms:
        cells = [measure(start, workers, seed) for seed in given.seeds]
        found = {name: over_seeds([cell[name] for cell in cells]) for name in cells[0]}
        figures[f"{kind}, {workers}"] = found
        reached &= max(found[name]["mean"] for name in _HELD) <= ASKED_MS[kind]
        rows.append([f"{kind}, {workers}", *(with_half(line, 3) for line in found.values())])
    return rows, reached


def _tune(given: argparse.Namespace, address: str, figures: dict[str, Any]) -> list[list[str]]:
    rows = []
    for name, reuse in (("Tune", False), ("Tune, actors used again", True)):
        with tempfile.TemporaryDirectory(dir=".") as folder:
            cells = [tune_ms(address, Path(folder), reuse=reuse) for _ in given.seeds]
        figures[name] = {"trivial_each_ms": over_seeds(cells)}
        rows.append([name, with_half(over_seeds(cells), 0), "", "", ""])
    return rows


_PATIENCE_S: Final = 60.0
_HELD: Final = ("trivial_each_ms", "lost_ms", "engine_ms")


def measure(start: Start, workers: int, seed: int) -> dict[str, float]:
    """One repeat for an executor, each time after a job for every worker has been done."""
    with start(sleeping(0.0), workers) as executor:
        ready_s, _ = _timed(executor, workers)
        trivial_s, _ = _timed(executor, TRIVIAL)
    with start(sleeping(SLEEP_S), workers) as executor:
        _await_all(executor, workers)
        wall_s, outcomes = _timed(executor, EACH * workers)
        engine_s = _searched(executor, workers, seed)
    mean_s = float(np.mean([one.seconds for one in outcomes]))
    return {
        "trivial_each_ms": 1e3 * trivial_s / TRIVIAL,
        "lost_ms": 1e3 * (wall_s * workers / len(outcomes) - mean_s),
        "engine_ms": 1e3 * engine_s,
        "ready_ms": 1e3 * ready_s,
    }


def _timed(executor: Executor, count: int) -> tuple[float, list[Outcome]]:
    began = time.perf_counter()
    executor.submit([Job(number, {"value": number}) for number in range(count)])
    outcomes: list[Outcome] = []
    while len(outcomes) < count:
        outcomes += executor.finished()
    return time.perf_counter() - began, outcomes


def _await_all(executor: Executor, workers: int) -> None:
    """Until every worker has answered: those of a cluster begin one after the other."""
    seen, until_s = set[str](), time.perf_counter() + _PATIENCE_S
    while len(seen) < workers and time.perf_counter() < until_s:
        _, outcomes = _timed(executor, 2 * workers)
        seen.update(one.worker for one in outcomes)


def _searched(executor: Executor, workers: int, seed: int) -> float:
    """Seconds of a search beyond its evaluations, for each of these."""
    evaluations, ahead = EACH * workers, -(-2 * workers // BATCH) if workers > 1 else 0
    asked = study("evolution", evaluations, seed)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path, policy = Path(folder) / "ledger.jsonl", Policy(evaluations, BATCH, ahead)
        began = time.perf_counter()
        with Ledger(path, "overhead") as ledger:
            entries = spend(asked, executor, ledger, GOALS, policy)
        wall_s = time.perf_counter() - began
    busy_s = sum(entry.seconds for entry in entries)
    return (wall_s - busy_s / workers) / evaluations
