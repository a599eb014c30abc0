"""The exact figures of ensemble weights: solvers against each other, and their time.

No network is touched: predictions are drawn, each model knowing a share of the samples. The plain
objective mixes all classes of all models for one candidate at a time, as the common recipe does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import arguments, parser, save, show
from scipy.optimize import differential_evolution

from stillhouse.core.search.ensembles import solve
from stillhouse.core.search.ensembles.evolution import evolve
from stillhouse.core.search.ensembles.reduction import reduced

Array = NDArray[np.float64]
Drawn = tuple[Array, NDArray[np.int64]]


def drawn(seed: int, models: int, samples: int = 2000, classes: int = 10) -> Drawn:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, samples)
    known = rng.random((models, samples)) < rng.uniform(0.3, 0.9, (models, 1))
    logits = rng.normal(size=(models, samples, classes))
    logits += 3 * known[..., None] * np.eye(classes)[targets]
    raised = np.exp(logits)
    return raised / raised.sum(-1, keepdims=True), targets


def exact(seed: int) -> dict[str, float]:
    """One problem of 2 to 6 models; differences in nats, 0 or below being perfect."""
    p, y = drawn(seed, 2 + seed % 5)
    found, em = solve(p, y, seed=seed), solve(p, y, solver="em")
    known = min(solve(p, y, solver=name).value for name in ("best-single", "uniform"))
    noise = np.random.default_rng([seed, 1]).dirichlet(np.ones(p.shape[2]), (1, len(y)))
    poisoned = solve(np.concatenate([p, noise]), y, seed=seed)
    doubled = solve(np.concatenate([p, p[:1]]), y, seed=seed)
    slsqp = solve(p, y, solver="slsqp")
    return {
        "differential evolution above EM, nats": found.value - em.value,
        "SLSQP from EM, nats": abs(slsqp.value - em.value),
        "greedy above EM, nats": solve(p, y, solver="greedy").value - em.value,
        "above the best single and uniform, nats": found.value - known,
        "weight of a random model": float(poisoned.weights[-1]),
        "loss with a random model, more by": poisoned.value - found.value,
        "loss with a duplicate, off by": abs(doubled.value - found.value),
    }


def identical(seed: int) -> bool:
    """Whether one by one, all at once and two processes find the same weights, bit for bit."""
    family = reduced(*drawn(seed, 4))
    first, *others = (
        evolve(family, seed, vectorised=vectorised, workers=workers).weights.tolist()
        for vectorised, workers in ((True, 1), (False, 1), (True, 2))
    )
    return all(other == first for other in others)


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def plain(p: Array, y: NDArray[np.int64]) -> Callable[[Array], float]:
    def loss(v: Array) -> float:
        mixture = np.tensordot(v / max(v.sum(), 1e-12), p, 1)
        return float(-np.log(mixture[np.arange(len(y)), y]).mean())

    return loss


def gathered(p: Array, y: NDArray[np.int64]) -> Callable[[Array], float]:
    likelihoods = p[:, np.arange(len(y)), y]
    return lambda v: float(-np.log(v @ likelihoods / max(v.sum(), 1e-12)).mean())


def evaluation(objective: Callable[[Array], float], seed: int) -> float:
    """Seconds an evaluation of SciPy's search at its defaults, over two populations of 80."""
    how: dict[str, Any] = {"maxiter": 1, "popsize": 10, "polish": False, "rng": seed}
    began = time.perf_counter()
    found = differential_evolution(objective, [(0, 1)] * 8, **how)
    return (time.perf_counter() - began) / int(found.nfev)


def speed(seed: int) -> dict[str, float]:
    """8 models, 10,000 samples, 100 classes; SciPy's search is timed for as many evaluations."""
    p, y = drawn(seed, 8, 10_000, 100)
    ours = min(seconds(lambda: solve(p, y)) for _ in range(3))
    count = solve(p, y).evaluations
    out = {"seconds": ours, "evaluations": float(count)}
    for name, made in (("plain", plain), ("gathered", gathered)):
        taken = evaluation(made(p, y), seed) * count
        out |= {f"{name}: seconds": taken, f"{name}: times as long": taken / ours}
    for solver in ("em", "slsqp", "greedy"):
        out[f"seconds of {solver}"] = seconds(partial(solve, p, y, solver=solver))
    return out


def main() -> None:
    given = arguments(parser(__doc__ or "", "0-19", "ensemble_solvers.json"))
    problems = [exact(seed) for seed in given.seeds]
    results: dict[str, Any] = {name: max(p[name] for p in problems) for name in problems[0]}
    results["the same one by one, at once, in two processes"] = sum(map(identical, given.seeds[:5]))
    results |= speed(given.seeds[0])
    rows = [[name, f"{value:.3g}"] for name, value in results.items()]
    show(f"{len(given.seeds)} problems", ["", "largest, number or time"], rows)
    save(given, {"results": results})


if __name__ == "__main__":
    main()
