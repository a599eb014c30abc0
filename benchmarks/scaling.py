"""What a suggestion, a predicted candidate and the engine itself cost, from small to large.

Every case runs in a process of its own, on one thread; times are CPU milliseconds of the search
alone, the truth not counted. The models are told random candidates within the limits; accuracy is
measured and, with two objectives, latency is known, except to Optuna, which models both.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast, final

import numpy as np
from record import arguments, parser, save, show
from tabled import Array, categorical, perceptron, process, ridge, tabled_problem, truth

from stillhouse.core.plugin import Catalogue
from stillhouse.core.search import (
    Codes,
    Costs,
    FeasibleDraws,
    Objective,
    Problem,
    Sampler,
    known_costs,
    open_study,
)
from stillhouse.core.search.evolution import Evolution
from stillhouse.core.space import Space, load_space

SAMPLERS = ("surrogate", "evolution", "local", "random", "optuna-tpe")
SLOW = ("optuna-tpe",)
"""Samplers with tens of milliseconds for each told candidate: they get the small cases only."""
MODELS: Mapping[str, Callable[[Problem], Callable[[Codes], Any]]] = {
    "ridge": ridge,
    "perceptron 400-400": perceptron,
    "gaussian process": process,
}
GENES, OBSERVATIONS = 45, 100
OPENING = 8
OPENED: Mapping[str, Mapping[str, Any]] = {
    "surrogate": {"initial": OPENING},
    "evolution": {"initial": OPENING},
    "optuna-tpe": {"startup": OPENING},
}
"""First candidates that a sampler chooses without its model: they are asked, but not timed."""
Case = dict[str, Any]


def suggestion(sampler: str, genes: int, observations: int, objectives: int, asks: int) -> Case:
    """CPU milliseconds of `ask(1)` with its `tell`, after so many observations."""
    problem = tabled_problem(categorical(genes), objectives)
    asked, values = built(sampler, problem), truth(problem)
    draws = FeasibleDraws(problem.space, problem.costs, problem.feasible, np.random.default_rng(7))
    opening = asked.ask(OPENING)
    asked.tell(opening, values(opening))
    draws.mark(opening)
    told = draws.draw(max(0, observations - OPENING))
    began = time.process_time()
    asked.tell(told, values(told))
    spent = [took(asked, values) for _ in range(asks + 1)]
    return {
        "told_ms": 1e3 * (time.process_time() - began - sum(spent)),
        "first_ms": 1e3 * spent[0],
        "median_ms": 1e3 * float(np.median(spent[1:])),
        "mean_ms": 1e3 * float(np.mean(spent[1:])),
    }


def took(sampler: Sampler, values: Callable[[Codes], Any]) -> float:
    """CPU seconds of the sampler for one candidate more."""
    began = time.process_time()
    codes = sampler.ask(1)
    middle = time.process_time()
    found = values(codes)
    again = time.process_time()
    sampler.tell(codes, found)
    return middle - began + time.process_time() - again


def built(name: str, problem: Problem) -> Sampler:
    catalogue = Catalogue.discover()
    record = catalogue.sampler(name)
    build = cast("Callable[[Any, Problem], Sampler]", catalogue.resolve(record))
    return build(record.params(**OPENED.get(name, {})), problem)


def space_named(name: str) -> Space:
    if name.isdigit():
        return categorical(int(name))
    catalogue = Catalogue.discover()
    return load_space(catalogue.space_text(catalogue.space(name)), name)


def prediction(space: str, model: str, candidates: int, repeats: int) -> Case:
    """A search on predictions: seconds, and where they went, of the fastest of some repeats."""
    problem = tabled_problem(space_named(space), 1)
    predict, spent = MODELS[model](problem), dict.fromkeys(("costs", "model"), 0.0)
    table = problem.costs.table
    problem.costs.table = timed(table, spent, "costs")  # type: ignore[method-assign]
    runs: list[Case] = []
    for seed in range(repeats):
        spent.update(costs=0.0, model=0.0)
        rng = np.random.default_rng(seed)
        engine = Evolution(problem, timed(predict, spent, "model"), rng, None)
        began = time.process_time()
        engine.run(problem.feasible, candidates)
        seconds = time.process_time() - began
        rest = seconds - sum(spent.values())
        parts = {name: 1e6 * s / engine.examined for name, s in (*spent.items(), ("rest", rest))}
        runs.append({"seconds": seconds, "candidates": engine.examined, "parts_us": parts})
    best = min(runs, key=lambda run: run["seconds"])
    return {**best, "per_second": best["candidates"] / best["seconds"]}


def timed(function: Callable[[Codes], Any], spent: dict[str, float], name: str) -> Any:
    """The function, its CPU seconds added up; a call inside another one counts for the outer."""

    def call(codes: Codes) -> Any:
        before, began = sum(spent.values()), time.process_time()
        out = function(codes)
        inside = sum(spent.values()) - before
        spent[name] += time.process_time() - began - inside
        return out

    return call


def overhead(genes: int, evaluations: int, repeats: int) -> Case:
    """Milliseconds of an ask and a durable tell; wall-clock, since the disk counts."""
    space, best = categorical(genes), np.inf
    costs = known_costs(lambda codes: {"size_kb": codes.sum(axis=1)}, of="codes")
    for seed in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            study = open_study(
                space,
                maximize=["accuracy"],
                minimize=["size_kb"],
                costs=costs,
                limits=[f"size_kb <= {2 * genes}"],
                sampler="random",
                seed=seed,
                ledger=Path(folder) / "study.jsonl",
            )
            began = time.perf_counter()
            for _ in range(evaluations):
                codes = study.ask(1)
                study.tell(codes, {"accuracy": codes[:, 0]})
            best = min(best, (time.perf_counter() - began) / evaluations)
            study.close()
    return {"milliseconds": 1e3 * best}


def exact(genes: int) -> Case:
    """Seconds to the proved optimum of a separable value under two separable limits.

    The third cost is drawn apart from the limited ones: nothing makes the problem easy.
    """
    given = tabled_problem(categorical(genes), 2, product=False)
    costs = Priced(given.space, given.costs)
    priced = Problem(given.space, costs, [Objective("price", False)], given.seed, given.feasible)
    began = time.process_time()
    codes = built("exact", priced).ask(1)
    assert len(codes) == 1
    return {"seconds": time.process_time() - began}


@final
class Priced(Costs):
    """Limited costs, and beside them a `price` for every choice."""

    def __init__(self, space: Space, costs: Costs) -> None:
        self.limits, self.limited = costs.limits, costs.limited
        self._costs = costs
        self._prices = np.random.default_rng(7).random((space.width, 16))

    def table(self, codes: Codes) -> Mapping[str, Array]:
        genes = np.arange(codes.shape[1])
        price = self._prices[genes, codes.astype(np.int64)].sum(axis=1)
        return {**self._costs.table(codes), "price": price}

    def violation(self, codes: Codes) -> Array:
        return self._costs.violation(codes)


def apart(case: Callable[..., Case], *given: Any) -> Case:
    """The case in a fresh process, with the peak of its memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_with_memory, case, given).result()


def _with_memory(case: Callable[..., Case], given: Sequence[Any]) -> Case:
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = case(*given)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**found, "peak_mb": peak_kb / 1e3, "grown_mb": (peak_kb - before_kb) / 1e3}


def suggestions(given: argparse.Namespace) -> Iterator[Case]:
    for name in given.samplers:
        most = 100 if name in SLOW else max(*given.genes, *given.observations)
        pairs = [(g, OBSERVATIONS) for g in given.genes] + [(GENES, n) for n in given.observations]
        for genes, observations in dict.fromkeys(pairs):
            if genes > most or observations > most:
                continue
            case = {"sampler": name, "genes": genes, "observations": observations}
            print(case, file=sys.stderr, flush=True)
            asks = 4 if name in SLOW else given.asks
            found = apart(suggestion, name, genes, observations, given.objectives, asks)
            yield {**case, **found}


def predictions(given: argparse.Namespace) -> Iterator[Case]:
    for space in ("lighthubert-base", str(GENES)):
        for model in MODELS:
            case = {"space": space, "model": model}
            print(case, file=sys.stderr, flush=True)
            yield {**case, **apart(prediction, space, model, given.candidates, given.repeats)}


def main() -> None:
    made = parser(__doc__ or "", "0", "scaling.json")
    made.add_argument("--samplers", nargs="+", default=list(SAMPLERS), metavar="NAME")
    made.add_argument("--genes", nargs="+", type=int, default=[6, 26, 45, 100, 300, 1000])
    made.add_argument("--observations", nargs="+", type=int, default=[10, 100, 1000, 10_000])
    made.add_argument("--objectives", type=int, choices=(1, 2), default=2)
    made.add_argument("--asks", type=int, default=8, help="suggestions that are timed")
    made.add_argument("--candidates", type=int, default=50_000, help="of a search on predictions")
    made.add_argument("--repeats", type=int, default=5, help="of which the fastest counts")
    given = arguments(made)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    asked = list(suggestions(given))
    predicted = list(predictions(given))
    ledger = apart(overhead, 26, 100, given.repeats)
    solved = {str(n): apart(exact, n) for n in (100, 1000)} if installed("exact") else {}
    tables(given, asked, predicted, ledger, solved)
    results = {"suggestions": asked, "predictions": predicted, "engine": ledger, "exact": solved}
    save(given, results)


def installed(sampler: str) -> bool:
    catalogue = Catalogue.discover()
    return any(s.kind == "sampler" and s.name == sampler for s in catalogue.statuses())


def tables(
    given: argparse.Namespace,
    asked: Sequence[Case],
    predicted: Sequence[Case],
    ledger: Case,
    solved: Mapping[str, Case],
) -> None:
    show(
        f"CPU milliseconds a suggestion, {given.objectives} objectives",
        ["sampler", "genes", "observations", "median", "mean", "first", "memory grown, MB"],
        (
            [c["sampler"], *(f"{c[k]:,}" for k in ("genes", "observations"))]
            + [f"{c[k]:.1f}" for k in ("median_ms", "mean_ms", "first_ms", "grown_mb")]
            for c in asked
        ),
    )
    show(
        f"A search over {given.candidates:,} predicted candidates, two limits",
        ["space, model", "candidates/s", "s", "us: costs", "model", "rest", "memory grown, MB"],
        (
            [f"{c['space']}, {c['model']}", f"{c['per_second']:,.0f}", f"{c['seconds']:.2f}"]
            + [f"{c['parts_us'][part]:.2f}" for part in ("costs", "model", "rest")]
            + [f"{c['grown_mb']:.0f}"]
            for c in predicted
        ),
    )
    rows = [["ask and durable tell, 26 genes", f"{ledger['milliseconds']:.2f} ms"]]
    rows += [[f"{n} separable choices, exact", f"{c['seconds']:.2f} s"] for n, c in solved.items()]
    show("The engine", ["what", "took"], rows)


if __name__ == "__main__":
    main()
