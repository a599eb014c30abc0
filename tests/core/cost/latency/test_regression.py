"""Prices of work that no measured network did."""

from __future__ import annotations

import numpy as np

from stillhouse.core.cost.latency.regression import dispersion, prices, relative


def test_a_feature_that_no_network_has_costs_nothing_and_is_not_uncertain() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        work = rng.uniform(0.1, 1.0, (4, 12))
        work[:, [2, 7]] = 0
        measured = rng.uniform(0.5, 2.0, 4)
        found = prices(work, measured)
        assert (found[[2, 7]] == 0).all()
        assert found.max() < 100
        assert (dispersion(work, measured)[[2, 7]] == 0).all()
        assert (relative(work, measured)[:, [2, 7]] == 0).all()
