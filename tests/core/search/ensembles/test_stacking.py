"""Stacking: the minimum of its own objective, and predictions from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stillhouse.core.search.ensembles import solve, stack


def penalised(p: Any, y: Any, flat: Any) -> float:
    _, samples, classes = p.shape
    coefficients, intercepts = flat[:-classes].reshape(-1, classes), flat[-classes:]
    scores = np.concatenate(list(p), axis=1) @ coefficients + intercepts
    q = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return float((coefficients**2).sum() / 2 - np.log(q[np.arange(samples), y]).sum())


def test_no_step_lowers_the_objective(drawn: Callable[..., Any]) -> None:
    p, y = drawn(0, models=2, samples=60, classes=3)
    found = stack(p, y)
    flat = np.concatenate([found.coefficients.ravel(), found.intercepts])
    least, rng = penalised(p, y, flat), np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1):
        for step in rng.normal(size=(50, len(flat))):
            assert penalised(p, y, flat + size * step) > least


def test_it_predicts_what_it_was_fitted_to(drawn: Callable[..., Any]) -> None:
    p, y = drawn(1, samples=400)
    for mixing in ("probabilities", "logits"):
        found = solve(p[:, :200], y[:200], solver="stacking", mixing=mixing)
        assert found.stack is not None
        q = found.stack.predict(p[:, :200])
        assert found.value == pytest.approx(-np.log(q[np.arange(200), y[:200]]).mean(), abs=1e-12)
        unseen = found.stack.predict(p[:, 200:])
        assert unseen.sum(1) == pytest.approx(np.ones(200), abs=1e-12)
        best = solve(p[:, 200:], y[200:], solver="best-single").value
        assert -np.log(unseen[np.arange(200), y[200:]]).mean() < best
        assert found.weights.sum() == pytest.approx(1, abs=1e-12)


def test_a_permuted_order_of_classes_is_put_right(drawn: Callable[..., Any]) -> None:
    p, y = drawn(2, models=2, samples=500, classes=4)
    moved = p.copy()
    moved[1] = np.roll(p[1], 1, axis=-1)
    plain, turned = stack(p, y), stack(moved, y)
    np.testing.assert_allclose(turned.predict(moved), plain.predict(p), atol=1e-4)


def test_several_labels_are_refused() -> None:
    p = np.full((2, 4, 3), 0.5)
    with pytest.raises(ValueError, match="stacking: expected one label a sample"):
        solve(p, np.ones((4, 3), dtype=int), solver="stacking")
