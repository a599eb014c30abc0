from __future__ import annotations

import numpy as np
import pytest

from stillhouse.core.report.intervals import interval, t_quantile


def test_quantiles_are_those_of_scipy() -> None:
    from scipy.stats import t

    for degrees in (*range(1, 60), 100, 1_000, 100_000):
        assert t_quantile(degrees) == pytest.approx(t.ppf(0.975, degrees), abs=2e-6)
    with pytest.raises(ValueError, match="one degree"):
        t_quantile(0)


def test_the_interval_is_that_of_scipy() -> None:
    from scipy.stats import t

    values = [0.31, 0.28, 0.35, 0.30, 0.29]
    found = interval(values)
    assert found is not None
    scale = np.std(values, ddof=1) / np.sqrt(5)
    low, high = t.interval(0.95, 4, loc=np.mean(values), scale=scale)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.count == 5
    assert not found.holds_zero


def test_one_value_and_equal_values_have_a_mean_and_no_interval() -> None:
    for values in ([0.2], [0.2, 0.2, 0.2], [0.3 - 0.1, 0.2, 0.1 + 0.1]):
        found = interval(values)
        assert found is not None
        assert found.half is None
        assert found.mean == pytest.approx(0.2)
    assert interval([]) is None


def test_it_covers_the_mean_of_a_normal_sample_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for sample in rng.normal(1.0, 2.0, (4_000, 4)):
        found = interval(sample.tolist())
        assert found is not None
        covered += found.low <= 1.0 <= found.high
    assert covered / 4_000 == pytest.approx(0.95, abs=0.01)
