"""What is expected of a sampler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.conformance.snapshots import seeded, unmoved
from stillhouse.core.plugin.records import Record, SamplerInfo
from stillhouse.core.search.sampler import Codes, Costs, Objective, Problem, Sampler
from stillhouse.core.space import Choice, Integer, Space

Array = NDArray[np.float64]
Tried = tuple[Sampler, Sequence[str]]
"""A sampler and the objectives that it was given."""

SPACE: Final = Space(
    [Choice("width", (8, 16, 24, 32)), Integer("depth", 1, 3), Choice("act", ("gelu", "relu"))]
)
_NAMES: Final = ("accuracy", "parameters")
_MOST: Final = 60.0
_ROUNDS: Final = 8
_ASKED: Final = 3


def check_code(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """Called with parameters and a problem, the code gives a `Sampler`."""
    made, _ = _built(record, setup, catalogue)
    if not isinstance(made, Sampler):
        unmet("build(params, problem) to give a Sampler", repr(made), "derive from Sampler")


def check_behaviour(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """New, distinct, canonical candidates within the limits; the same ones every time."""
    with unmoved("asking and telling"):
        first = _asked(_built(record, setup, catalogue), seed=1)
    second = _asked(_built(record, setup, catalogue), seed=2)
    if not np.array_equal(first, second):
        unmet("equal proposals from equal problems", "others", "draw from problem.seed alone")
    if not len(first):
        unmet("a candidate", "none", "propose some while any is left")
    if len(np.unique(first, axis=0)) < len(first):
        unmet("candidates that were not told before", "one twice", "remember what was told")
    if not np.array_equal(first, SPACE.canonical(first)):
        unmet("canonical codes", "others", "pass proposals through space.canonical")
    if (broken := _CostsOfWidth().violation(first)).any():
        unmet("candidates within the limits", f"{(broken > 0).sum()} beyond", "ask costs.violation")


@final
class _CostsOfWidth(Costs):
    """Width times depth, of which two thirds of the space are within the limit."""

    limited = ("parameters",)

    def table(self, codes: Codes) -> Mapping[str, Array]:
        columns = SPACE.columns(codes)
        return {"parameters": np.asarray(columns["width"] * columns["depth"], np.float64)}

    def violation(self, codes: Codes) -> Array:
        return np.maximum(self.table(codes)["parameters"] / _MOST - 1, 0)


def _built(record: Record, setup: Setup, catalogue: Catalogue) -> Tried:
    """The sampler on what it says that it optimises.

    One that needs known objectives, and says so of a measured one, gets a known one.
    """
    build = cast("Callable[[object, Problem], Sampler]", catalogue.resolve(record))
    several = cast(SamplerInfo, record).objectives == "several"
    names = _NAMES if several else _NAMES[:1]
    params = record.params(**setup.params)
    try:
        return build(params, _problem(names)), names
    except UserError:
        return build(params, _problem(_NAMES[1:])), _NAMES[1:]


def _problem(names: Sequence[str]) -> Problem:
    corners = SPACE.corners()
    feasible = corners[_CostsOfWidth().violation(corners) == 0][:1]
    objectives = [Objective(name, maximize=name == "accuracy") for name in names]
    return Problem(SPACE, _CostsOfWidth(), objectives, 0, feasible, budget=_ROUNDS * _ASKED)


def _asked(tried: Tried, seed: int) -> Codes:
    """Every proposal of a short search; one of them is told as failed."""
    sampler, names = tried
    found: list[Codes] = []
    with seeded(seed):
        for turn in range(_ROUNDS):
            codes = sampler.ask(_ASKED)
            if len(codes) > _ASKED:
                unmet(f"{_ASKED} candidates at most", len(codes), "give as many as were asked for")
            if not len(codes):
                break
            values = _values(codes, names)
            if turn == 1:
                values[0] = np.nan
            found.append(codes)
            sampler.tell(codes, values)
    return np.concatenate(found) if found else np.zeros((0, SPACE.width))


def _values(codes: Codes, names: Sequence[str]) -> Array:
    size = _CostsOfWidth().table(codes)["parameters"]
    known = {"accuracy": np.sqrt(size), "parameters": size}
    return np.stack([known[name] for name in names], axis=1)
