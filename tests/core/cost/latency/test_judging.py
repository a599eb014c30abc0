from __future__ import annotations

import numpy as np
import pytest

from stillhouse.core.cost.latency.judging import (
    cross_validated,
    guaranteed,
    judged,
    kendall,
    margin_over,
    spearman,
)


def test_a_report_says_how_far_predictions_are_off() -> None:
    measured = np.array([1.0, 2.0, 4.0, 8.0])
    report = judged(np.array([1.0, 2.1, 4.0, 10.0]), measured)
    assert report.mape == pytest.approx((0.05 + 0.25) / 4)
    assert (report.measured, report.within_10_percent) == (4, 0.75)
    assert report.spearman == report.kendall == pytest.approx(1.0)


def test_spearman_is_one_for_any_increasing_relation_and_shares_ranks_of_ties() -> None:
    x = np.array([3.0, 1.0, 2.0, 5.0])
    assert spearman(x, np.exp(x)) == pytest.approx(1.0)
    assert spearman(x, -x) == pytest.approx(-1.0)
    assert spearman(x, np.ones(4)) == 0.0
    # scipy.stats.spearmanr([1, 2, 2, 4], [1, 3, 2, 4]) is 9 / sqrt(90).
    tied = spearman(np.array([1.0, 2.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    assert tied == pytest.approx(9 / np.sqrt(90))


def test_kendall_counts_pairs_in_the_same_order() -> None:
    assert kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(1 / 3)
    assert kendall(np.arange(4.0), np.ones(4)) == 0.0
    # scipy.stats.kendalltau([1, 2, 2, 4], [1, 3, 2, 4]) is 5 / sqrt(30).
    tied = kendall(np.array([1.0, 2.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    assert tied == pytest.approx(5 / np.sqrt(30))


def test_a_margin_is_the_excess_that_so_many_stay_below() -> None:
    over = np.arange(1, 100) / 100
    assert margin_over(np.ones(99), 1 + over) == pytest.approx(0.95)
    assert margin_over(np.ones(99), 1 + over, covered=0.5) == pytest.approx(0.5)
    assert margin_over(np.ones(99), 1 + over, weight=0.5) == pytest.approx(0.475)


def test_a_margin_is_never_negative() -> None:
    assert margin_over(np.full(30, 2.0), np.ones(30)) == 0.0


def test_a_margin_from_few_is_their_largest_excess_or_what_normal_ones_would_reach() -> None:
    even = np.linspace(-0.1, 0.1, 9)
    # Student's 95 % quantile with 8 degrees of freedom is 1.859548.
    bound = 1.859548 * even.std(ddof=1) * np.sqrt(1 + 1 / 9)
    assert margin_over(np.ones(9), 1 + even) == pytest.approx(bound)
    heavy = np.array([0.0] * 8 + [0.9])
    assert margin_over(np.ones(9), 1 + heavy) == pytest.approx(0.9)


def test_margins_cover_95_in_100_new_errors_of_any_distribution() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        seen, unseen = 1 + 0.02 * rng.standard_t(3, (2, 40))
        covered.append((unseen <= 1 + margin_over(np.ones(40), seen)).mean())
    assert 0.945 < np.mean(covered) < 0.96


def test_few_measurements_guarantee_less() -> None:
    assert guaranteed(9) == pytest.approx(0.9)
    assert guaranteed(19) == guaranteed(500) == 0.95


def test_no_candidate_is_predicted_by_a_fit_that_has_seen_it() -> None:
    folds = []

    def predict(seen: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        assert not set(seen) & set(unseen)
        assert len(seen) + len(unseen) == 25
        folds.append(unseen)
        return unseen.astype(float)

    found = cross_validated(np.random.default_rng(0).uniform(1, 2, 25), predict)
    assert found[1:].tolist() == list(range(1, 25))
    assert sorted(np.concatenate(folds)) == list(range(25))
    assert len(folds) == 10
