"""The page about adding a similarity is true: the measure keeps the contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stillhouse.core.plugin.conformance import check_plugin

PAGE = "add-a-similarity"


def test_the_package_shown_keeps_the_contract(shown: Any) -> None:
    check_plugin(shown.distribution)


def test_it_is_the_correlation_of_squared_distances(shown: Any, gathered: Any) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 20, 3))
    measure = shown.catalogue.resolve(shown.catalogue.similarity("distances"))()
    found = measure.matrix(gathered(one, other))
    places = np.triu_indices(20, k=1)
    apart = [np.square(x[:, None] - x).sum(axis=2)[places] for x in (one, other)]
    assert found[0, 1] == pytest.approx(np.corrcoef(apart)[0, 1], abs=1e-6)
