"""The page about adding a sampler is true: it keeps the contract and goes where it says."""

from __future__ import annotations

from typing import Any

import numpy as np

from stillhouse.core.plugin.conformance import check_plugin
from stillhouse.core.search.sampler import Costs, Objective, Problem
from stillhouse.core.space import Integer, Space

PAGE = "add-a-sampler"


class Free(Costs):
    """Nothing costs anything."""

    def table(self, codes: Any) -> Any:
        return {}

    def violation(self, codes: Any) -> Any:
        return np.zeros(len(codes))


def test_the_package_shown_keeps_the_contract(shown: Any) -> None:
    check_plugin(shown.distribution)


def test_it_asks_near_the_best_that_it_was_told(shown: Any) -> None:
    space = Space([Integer("width", 0, 100)])
    record = shown.catalogue.sampler("near-the-best")
    problem = Problem(space, Free(), [Objective("accuracy", True)], 0, np.zeros((0, 1)))
    sampler = shown.catalogue.resolve(record)(record.params(pool=101), problem)
    asked = sampler.ask(20)
    widths = space.columns(asked)["width"]
    sampler.tell(asked, -np.abs(widths - 70.0)[:, None])
    best = widths[np.abs(widths - 70).argmin()]
    near = space.columns(sampler.ask(5))["width"]
    assert np.abs(near - best).max() <= 5
