"""Which sampler finds the best network within the limits, and how soon?"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from record import arguments, averaged, parser, save, show, shown
from synthetic import Array, Truth, limited_costs, long_search

from stillhouse.core.cost.feasibility import settle
from stillhouse.core.plugin import Catalogue
from stillhouse.core.search import Objective, Problem, Sampler
from stillhouse.core.space import load_space

SPACE = "keyword-transformer"
CONTESTANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "surrogate": ("surrogate", {}),
    "evolution": ("evolution", {}),
    "random": ("random", {}),
    "optuna-tpe": ("optuna-tpe", {}),
    "optuna-nsga2": ("optuna-nsga2", {}),
    "optuna-random": ("optuna-random", {}),
}


@dataclass(frozen=True)
class Searched:
    """One search: the best accuracy after each evaluation, and what it took."""

    best: Array
    cpu_ms: float
    feasible: float
    fallbacks: int | None


def searched(sampler: Sampler, problem: Problem, truth: Truth, count: int, batch: int) -> Searched:
    """Drive a sampler without a study's checks; what breaks a limit counts as no success."""
    found: list[float] = []
    cpu, feasible = 0.0, 0
    while len(found) < count:
        began = time.process_time()
        codes = sampler.ask(min(batch, count - len(found)))
        cpu += time.process_time() - began
        if not len(codes):
            break
        met = problem.costs.violation(codes) == 0
        values = truth.accuracy(problem.space, codes)
        began = time.process_time()
        sampler.tell(codes, values[:, None])
        cpu += time.process_time() - began
        feasible += int(met.sum())
        found += np.where(met, values, 0.0).tolist()
    fallbacks = sampler.fallbacks
    done = len(found)
    return Searched(np.maximum.accumulate(found), 1e3 * cpu / done, feasible / done, fallbacks)


def contest(given: argparse.Namespace) -> tuple[dict[str, list[Searched]], list[float]]:
    """Every contestant's search on every seed's truth, and the best accuracy known of each truth.

    That is what a far longer search finds, or a contestant should one have found better.
    """
    catalogue = Catalogue.discover()
    space = load_space(catalogue.space_text(catalogue.space(SPACE)), SPACE)
    costs = limited_costs(space, given.quantile)
    searches: dict[str, list[Searched]] = {label: [] for label in given.samplers}
    known = []
    for seed in given.seeds:
        truth = Truth.draw(seed)
        feasible = settle(space, costs, costs.limits, np.random.default_rng(seed)).feasible
        problem = Problem(space, costs, [Objective("accuracy", True)], seed, feasible)
        for label, done in searches.items():
            sampler = built(catalogue, label, problem)
            done.append(searched(sampler, problem, truth, max(given.evaluations), given.batch))
        best = [done[-1].best[-1] for done in searches.values()]
        known.append(float(max(long_search(space, costs, truth), *best)))
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    return searches, known


def built(catalogue: Catalogue, label: str, problem: Problem) -> Sampler:
    name, params = CONTESTANTS[label]
    record = catalogue.sampler(name)
    build = cast("Callable[[Any, Problem], Sampler]", catalogue.resolve(record))
    return build(record.params(**params), problem)


def compared(
    given: argparse.Namespace, searches: Mapping[str, list[Searched]], known: list[float]
) -> dict[str, Any]:
    """Regret, CPU time, feasible share and fallbacks of each contestant, averaged over seeds."""
    results: dict[str, Any] = {}
    for label, done in searches.items():
        name, params = CONTESTANTS[label]
        counted = [one.fallbacks for one in done if one.fallbacks is not None]
        results[label] = {
            "sampler": name,
            "params": dict(params),
            "regret_points": {
                str(n): averaged(
                    100 * (top - one.best[:n][-1]) for one, top in zip(done, known, strict=True)
                )
                for n in given.evaluations
            },
            "cpu_ms_per_candidate": averaged(one.cpu_ms for one in done),
            "feasible_share": averaged(one.feasible for one in done),
            "fallbacks": averaged(counted) if counted else None,
        }
    return results


def table_row(label: str, result: Mapping[str, Any]) -> list[str]:
    fallbacks = result["fallbacks"]
    return [
        label,
        *(shown(regret) for regret in result["regret_points"].values()),
        shown(result["cpu_ms_per_candidate"], 1),
        f"{result['feasible_share']['mean']:.1%}",
        shown(fallbacks, 1) if fallbacks else "–",
    ]


def main() -> None:
    made = parser(__doc__ or "", "0-19", "samplers.json")
    made.add_argument("--evaluations", nargs="+", type=int, default=[50, 100, 200], metavar="N")
    made.add_argument("--samplers", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    made.add_argument("--quantile", type=float, default=0.15, help="each limit, of uniform draws")
    made.add_argument("--batch", type=int, default=1, help="candidates asked at a time")
    given = arguments(made)
    given.evaluations = sorted(set(given.evaluations))
    if given.evaluations[0] < 1 or given.batch < 1 or not 0 < given.quantile <= 1:
        made.error("expected --evaluations and --batch of at least 1, --quantile within 0 to 1")
    searches, known = contest(given)
    results = compared(given, searches, known)
    show(
        f"Regret in points of accuracy after so many evaluations, {len(given.seeds)} seeds",
        ["sampler", *map(str, given.evaluations), "CPU ms a candidate", "feasible", "fallbacks"],
        (table_row(label, result) for label, result in results.items()),
    )
    save(given, {"best_known_accuracy": known, "results": results})


if __name__ == "__main__":
    main()
