"""EM rises to no loss, and knows how near the optimum is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stillhouse.core.search.ensembles import em
from stillhouse.core.search.ensembles.objective import LogLoss
from stillhouse.core.search.ensembles.reduction import reduced

LIKELIHOODS = arrays(np.float64, (3, 7), elements=st.floats(0.01, 1))


@settings(max_examples=80, deadline=None)
@given(LIKELIHOODS)
def test_the_loss_never_rises_and_the_bound_holds(likelihoods: Any) -> None:
    fit = em(likelihoods)
    assert (np.diff(fit.losses) <= 1e-15).all()
    assert fit.bound <= 1e-10
    assert fit.weights.min() >= 0
    assert fit.weights.sum() == pytest.approx(1, abs=1e-12)
    objective = LogLoss(likelihoods)
    others = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    assert (objective.values(np.concatenate([others, np.eye(3)])) >= fit.loss - 2e-10).all()


def test_a_known_optimum_is_found() -> None:
    # Model 0 is sure of 3 samples of 4, model 1 of the other: weights 3/4 and 1/4.
    likelihoods = np.array([[1.0, 1.0, 1.0, 1e-12], [1e-12, 1e-12, 1e-12, 1.0]])
    fit = em(likelihoods)
    np.testing.assert_allclose(fit.weights, [0.75, 0.25], atol=1e-6)
    assert fit.loss == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), abs=1e-9)


def test_a_start_at_a_vertex_comes_away_from_it() -> None:
    likelihoods = np.array([[0.9, 0.9, 0.9, 0.1], [0.1, 0.1, 0.1, 0.9]])
    fit, other = em(likelihoods, np.array([0.0, 1.0])), em(likelihoods)
    assert fit.losses[0] > fit.loss + 0.1
    assert fit.loss == pytest.approx(other.loss, abs=2e-10)


def test_what_cannot_come_below_the_ceiling_ends_early(drawn: Callable[..., Any]) -> None:
    likelihoods = reduced(*drawn(7)).middle.likelihoods
    full = em(likelihoods)
    early = em(likelihoods, ceiling=full.loss - 0.05)
    assert len(early.losses) < len(full.losses)
    assert early.loss > full.loss - 0.05
    assert em(likelihoods, ceiling=full.loss + 1e-6).loss == full.loss
