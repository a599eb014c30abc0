"""A problem whose candidates cost nothing to judge, so that what remains is the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.goals import Goals
from stillhouse.core.search import Objective, Problem, Sampler, Study, known_costs, meets_limits
from stillhouse.core.search.known import FunctionCosts
from stillhouse.core.space import Choice, Columns, Integer, Real, Space

Array = NDArray[np.float64]

SPACE: Final = Space([
    Integer("supernet.depth", 1, 12),
    Integer("supernet.width", 16, 256, step=16),
    Integer("supernet.heads", 1, 8),
    Choice("supernet.ffn_ratio", (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)),
    Choice("supernet.kernel", (3, 5, 7, 9)),
    Real("prune.ratio", 0.0, 0.9),
    Choice("int8.scheme", ("none", "dynamic", "static")),
    Choice("int8.calibration", ("minmax", "entropy"), when=("int8.scheme", ("static",))),
])  # fmt: skip
GOALS: Final = Goals((Objective("accuracy", maximize=True),))
_BYTES: Final[Mapping[Any, float]] = {"none": 4.0, "dynamic": 1.1, "static": 1.0}


def costs_of(genes: Columns) -> dict[str, Array]:
    """Five known costs, made up of products as those of networks are."""
    width, depth = genes["supernet.width"], genes["supernet.depth"]
    ratio = genes["supernet.ffn_ratio"].astype(np.float64)
    kernel = genes["supernet.kernel"].astype(np.float64)
    layer = width * (4 * 16 * genes["supernet.heads"] + 2 * width * ratio + kernel)
    parameters = depth * layer * (1 - genes["prune.ratio"]) + 100 * width
    stored = np.array([_BYTES[scheme] for scheme in genes["int8.scheme"].tolist()])
    return {
        "parameters": parameters,
        "macs": 32 * parameters,
        "size_kb": parameters * stored / 1e3,
        "memory_kb": 0.5 * width * (4 + ratio) + parameters * stored / 1e3,
        "latency_ms": 0.02 + 0.01 * depth + 32 * parameters * (0.4 + 0.15 * stored) / 4e7,
    }


COSTS: Final = FunctionCosts(SPACE, known_costs(costs_of), [Limit("latency_ms", "<=", 1.0)])


def measured(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What an evaluation comes to: more of everything helps, less and less."""
    genes = payload["configuration"]
    size = genes["supernet.depth"] * genes["supernet.width"] * genes["supernet.ffn_ratio"]
    merit = np.log(size * (1 - genes["prune.ratio"]) + 1) - 0.1 * abs(genes["supernet.heads"] - 4)
    merit -= {"none": 0.0, "dynamic": 0.05, "static": 0.15}[genes["int8.scheme"]]
    return {"values": {"accuracy": float(1 - np.exp(-merit / 4)), "loss": float(np.exp(-merit))}}


def study(sampler: str, evaluations: int, seed: int) -> Study:
    """The study of a run with this sampler."""
    catalogue = Catalogue.discover()
    record = catalogue.sampler(sampler)
    drawn = SPACE.sample(512, np.random.default_rng([seed, 7]))
    feasible = drawn[meets_limits(COSTS, drawn)][:64]
    problem = Problem(SPACE, COSTS, GOALS.objectives, seed, feasible, budget=evaluations)
    build = cast("Any", catalogue.resolve(record))
    return Study(problem, cast("Sampler", build(record.params(), problem)))
