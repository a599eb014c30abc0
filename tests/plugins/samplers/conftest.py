from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search import Codes, Costs, Objective, Problem, Sampler
from stillhouse.core.space import Choice, Space
from stillhouse.plugins.samplers.info import stillhouse_samplers

LAYERED = Space(
    [
        Choice("width", (16, 24, 32, 48)),
        Choice("depth", (1, 2, 3)),
        Choice("heads", (1, 2, 4), per="depth"),
        Choice("form", ("dense", "low-rank")),
        Choice("rank", (4, 8), when=("form", ("low-rank",))),
    ]
)
TINY = Space([Choice("width", (16, 24, 32)), Choice("depth", (1, 2, 3))])


class LayerCosts(Costs):
    """Parameters of a stack of layers, at most `most`."""

    limited = ("parameters",)

    def __init__(self, space: Space, most: float) -> None:
        self._space = space
        self._most = most

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        columns = self._space.columns(codes)
        heads = np.nansum(columns["heads"], axis=1) if "heads" in columns else columns["depth"]
        return {"parameters": columns["width"] * (10 + 16 * heads)}

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        return np.maximum(self.table(codes)["parameters"] / self._most - 1, 0)


def quality(space: Space, codes: Codes) -> NDArray[np.float64]:
    """Smooth with an interaction, in steps of 1/100 so that ties are common."""
    columns = space.columns(codes)
    heads = np.nansum(columns["heads"], axis=1) if "heads" in columns else 1.0
    raw = np.log(columns["width"]) / 4 + columns["depth"] / 6 + 0.05 * heads * columns["depth"]
    return np.round(raw / 3, 2)


QUICK: Mapping[str, Mapping[str, Any]] = {"optuna-gp": {"startup": 16}}
"""Parameters that keep the models of slow samplers to a few proposals."""

ProblemMaker = Callable[..., Problem]


@pytest.fixture
def make_problem() -> ProblemMaker:
    def make(
        space: Space = LAYERED,
        most: float = 2000,
        seed: int = 0,
        objectives: tuple[Objective, ...] = (Objective("accuracy", maximize=True),),
        seeds: bool = True,
    ) -> Problem:
        feasible = space.corners()[: 1 if seeds else 0]
        return Problem(space, LayerCosts(space, most), objectives, seed, feasible)

    return make


@pytest.fixture
def build() -> Callable[..., Sampler]:
    """Build a sampler from its record, as the engine does."""
    records = {record.name: record for record in stillhouse_samplers()}

    def make(name: str, problem: Problem, **params: Any) -> Sampler:
        module, attribute = records[name].build.split(":")
        made = getattr(importlib.import_module(module), attribute)
        chosen = {**QUICK.get(name, {}), **params}
        sampler: Sampler = made(records[name].params(**chosen), problem)
        return sampler

    return make
