from __future__ import annotations

import numpy as np
import pytest

from stillhouse.core.search.surrogate.kernel import Settings
from stillhouse.core.search.surrogate.process import Exact, Factor, Inducing

GROUPS = np.array([0, 0, 1], dtype=np.int64)
SETTINGS = Settings(np.log([1.5, 4.0]), float(np.log(0.02)))
AT = np.random.default_rng(0).random((30, 3))
NEW = np.random.default_rng(1).random((12, 3)) * 1.3
VALUES = np.sin(4 * AT[:, 0]) + AT[:, 1] * AT[:, 2]


@pytest.mark.parametrize(
    "factor",
    [Exact(AT, GROUPS, SETTINGS), Inducing(AT, GROUPS, SETTINGS, np.arange(15))],
    ids=["exact", "inducing"],
)
def test_believing_equals_extending_by_the_predictions(factor: Factor) -> None:
    values = VALUES - VALUES.mean()
    posterior = factor.posterior(values)
    fantasy = posterior.fantasy(NEW)
    np.testing.assert_array_equal(fantasy.spread, posterior.predict(NEW)[1])
    for place in (3, 7, 3, 0, 11):
        row = NEW[place : place + 1]
        values = np.append(values, posterior.predict(row)[0])
        factor = factor.extended(row)
        posterior = factor.posterior(values)
        fantasy.believe(place)
        mean, spread = posterior.predict(NEW)
        np.testing.assert_allclose(fantasy.mean, mean, atol=1e-9)
        np.testing.assert_allclose(fantasy.spread, spread, rtol=1e-7)


def test_nothing_is_negative_however_often_the_same_is_believed() -> None:
    sure = Settings(SETTINGS.relevance, float(np.log(1e-5)))
    fantasy = Exact(AT, GROUPS, sure).posterior(VALUES - VALUES.mean()).fantasy(AT[:4])
    for turn in range(40):
        fantasy.believe(turn % 4)
        assert (fantasy.spread > 0).all()
