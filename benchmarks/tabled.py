"""Spaces of any width; costs, truth and models that are tables or matrices, so cheap to call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit, violation
from stillhouse.core.search import Codes, Costs, Objective, Problem, meets_limits
from stillhouse.core.space import Choice, Space

Array = NDArray[np.float64]
Predict = Callable[[Codes], Array]

VALUES = 5
HIDDEN = 400
TOLD = 200
_OBJECTIVES = (Objective("accuracy", maximize=True), Objective("latency_ms", maximize=False))


def categorical(genes: int) -> Space:
    """Genes with five values without order, all of them active."""
    return Space([Choice(f"gene{i}", ("a", "b", "c", "d", "e")) for i in range(genes)])


@final
class TabledCosts(Costs):
    """`size_kb`, a sum over genes, and `latency_ms`, a product or a sum; limited at a quantile."""

    limited = ("size_kb", "latency_ms")

    def __init__(
        self, space: Space, quantile: float | None, seed: int = 0, *, product: bool = True
    ) -> None:
        self._product = product
        rng = np.random.default_rng([seed, 31])
        counts = space.sample(64, rng).max(axis=0).astype(np.int64) + 2
        self._starts = np.cumsum(counts) - counts + 1  # an inactive gene, -1, adds nothing
        kilobytes = np.sort(rng.random((space.width, counts.max())), axis=1)
        factors = np.sort(rng.random((space.width, counts.max())), axis=1) * 4 / space.width
        kilobytes[:, 0] = factors[:, 0] = 0.0
        kept = np.arange(counts.max()) < counts[:, None]
        self._kilobytes, self._factors = kilobytes[kept], factors[kept]
        self.limits: tuple[Limit, ...] = ()
        if quantile is not None:
            table = self.table(space.sample(2000, rng))
            ends = {name: float(np.quantile(values, quantile)) for name, values in table.items()}
            self.limits = tuple(Limit(name, "<=", end) for name, end in ends.items())

    def table(self, codes: Codes) -> Mapping[str, Array]:
        places = codes.astype(np.int64)
        places += self._starts
        milliseconds = self._factors[places].sum(axis=1)
        return {
            "size_kb": self._kilobytes[places].sum(axis=1),
            "latency_ms": np.exp(milliseconds) if self._product else milliseconds,
        }

    def violation(self, codes: Codes) -> Array:
        return violation(self.table(codes), self.limits)


def tabled_problem(
    space: Space, objectives: int, quantile: float = 0.2, *, product: bool = True
) -> Problem:
    """Accuracy to be measured, and with two objectives latency, known; two limits."""
    costs = TabledCosts(space, quantile, product=product)
    drawn = space.sample(2000, np.random.default_rng(1))
    feasible = drawn[meets_limits(costs, drawn)][:64]
    return Problem(space, costs, _OBJECTIVES[:objectives], 0, feasible)


def truth(problem: Problem) -> Predict:
    """Values of candidates in the objectives' order: accuracy is linear with interactions."""
    rng = np.random.default_rng(2)
    features = problem.space.encoding(problem.feasible[:1]).shape[1]
    linear, pairs = rng.normal(size=features), rng.normal(size=(features, 4)) / features**0.5

    def values(codes: Codes) -> Array:
        found = problem.space.encoding(codes)
        accuracy = found @ linear / features**0.5 + np.tanh(found @ pairs).sum(axis=1)
        columns = [accuracy, problem.costs.table(codes)["latency_ms"]]
        return np.stack(columns[: len(problem.objectives)], axis=1)

    return values


def ridge(problem: Problem) -> Predict:
    """A linear model on the encoding."""
    space = problem.space
    features = space.encoding(problem.feasible[:1]).shape[1]
    weights = np.random.default_rng(3).normal(size=(features, 1))
    return lambda codes: space.encoding(codes) @ weights


def perceptron(problem: Problem) -> Predict:
    """Two hidden layers of 400 in single precision, as the once-for-all predictor has them."""
    space, rng = problem.space, np.random.default_rng(3)
    sizes = [space.encoding(problem.feasible[:1]).shape[1], HIDDEN, HIDDEN, 1]
    layers = [
        (rng.normal(size=(a, b)) * (2 / a) ** 0.5).astype(np.float32) for a, b in pairwise(sizes)
    ]

    def values(codes: Codes) -> Array:
        hidden = space.encoding32(codes)
        for weights in layers[:-1]:
            hidden = hidden @ weights
            np.maximum(hidden, 0, out=hidden)
        return (hidden @ layers[-1]).astype(np.float64)

    return values


def process(problem: Problem) -> Predict:
    """The surrogate sampler's rough mean after 200 observations."""
    from stillhouse.core.search.surrogate import Features, Model, Warp

    drawn = problem.space.sample(TOLD, np.random.default_rng(4))
    features = Features(problem.space, problem.costs.table(drawn))
    model = Model(features.groups, [Warp.of_values])
    observed = -truth(problem)(drawn)[:, :1]
    model.learn(features(drawn, problem.costs.table(drawn)), observed)
    return lambda codes: model.rough(features(codes, problem.costs.table(codes)))[0]
