"""Objectives against their definitions, over all classes in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stillhouse.core.errors import UserError
from stillhouse.core.search.ensembles import OBJECTIVES, TEMPERATURES, loss, mixed
from stillhouse.core.search.ensembles.reduction import reduced

WEIGHTS = np.random.default_rng(1).dirichlet(np.ones(4), 40)


def by_definition(p: Any, y: Any, w: Any, objective: str, mixing: str, temperature: float) -> float:
    """The plain objective: all models, all samples, all classes."""
    logits = np.log(p.astype(np.float64)) / temperature
    if mixing == "probabilities":
        each = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        q = sum(w[k] * each[k] for k in range(len(w)))
    else:
        q = np.exp(sum(w[k] * logits[k] for k in range(len(w))))
        q = q / q.sum(-1, keepdims=True)
    if objective == "log_loss":
        return float(-np.log(q[np.arange(len(y)), y]).mean())
    if objective == "brier":
        return float(((q - np.eye(q.shape[1])[y]) ** 2).sum(1).mean())
    return float((q.argmax(1) != y).mean())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_objective_is_its_definition(
    drawn: Callable[..., Any], objective: str, mixing: str, temperature: float, dtype: Any
) -> None:
    p, y = drawn(0, dtype=dtype)
    family = reduced(p, y, objective, mixing, temperature)
    found = family.middle.values(WEIGHTS)
    wanted = [by_definition(p, y, w, objective, mixing, temperature) for w in WEIGHTS]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-7 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_value_does_not_depend_on_the_other_candidates(
    drawn: Callable[..., Any], objective: str, mixing: str
) -> None:
    p, y = drawn(1, samples=20_011, classes=3)
    middle = reduced(p, y, objective, mixing).middle
    together = middle.values(WEIGHTS)
    assert together.tolist() == [middle.value(w) for w in WEIGHTS]


@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
@pytest.mark.parametrize("objective", ["log_loss", "brier"])
def test_a_gradient_is_the_difference_quotient(
    drawn: Callable[..., Any], objective: str, mixing: str
) -> None:
    p, y = drawn(2)
    middle, h = reduced(p, y, objective, mixing, 2.0).middle, 1e-6
    for w in WEIGHTS[:3]:
        for k, slope in enumerate(middle.gradient(w)):
            step = h * np.eye(4)[k]
            if objective == "log_loss" and mixing == "probabilities":
                # Values pad samples with ones, which sum w is: gradients are of the mixture alone.
                step = step - h * np.eye(4)[(k + 1) % 4]
                slope = slope - middle.gradient(w)[(k + 1) % 4]
            quotient = (middle.value(w + step) - middle.value(w - step)) / (2 * h)
            assert quotient == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_restricted_objective_is_that_of_the_members_alone(
    drawn: Callable[..., Any], objective: str, mixing: str
) -> None:
    p, y = drawn(3)
    part = reduced(p, y, objective, mixing).restricted([3, 1]).middle
    alone = reduced(p[[3, 1]], y, objective, mixing).middle
    np.testing.assert_allclose(
        part.values(np.array([[0.3, 0.7]])), alone.values(np.array([[0.3, 0.7]])), atol=1e-15
    )


@settings(max_examples=60, deadline=None)
@given(arrays(np.int64, (3, 6, 3), elements=st.integers(1, 3)), st.integers(0, 5))
def test_the_first_of_equal_classes_wins(scores: Any, seed: int) -> None:
    p = scores / scores.sum(-1, keepdims=True)
    y = np.random.default_rng(seed).integers(0, 3, 6)
    middle = reduced(p, y, "accuracy").middle
    for vertex, model in zip(np.eye(3), p, strict=True):
        assert middle.value(vertex) == pytest.approx((model.argmax(1) != y).mean(), abs=1e-15)


def test_a_certain_mistake_costs_the_floor_and_no_more() -> None:
    p = np.array([[[1.0, 0.0]]])
    for mixing in ("probabilities", "logits"):
        cost = reduced(p, np.array([1]), "log_loss", mixing).middle.value(np.ones(1))
        assert cost == pytest.approx(-np.log(1e-12), abs=1e-9)


def test_searched_temperatures_go_from_a_quarter_to_four_around_one(
    drawn: Callable[..., Any],
) -> None:
    family = reduced(*drawn(4), "log_loss", "probabilities", "search")
    assert family.temperatures == TEMPERATURES
    assert (TEMPERATURES[0], TEMPERATURES[16], TEMPERATURES[-1]) == (0.25, 1.0, 4.0)
    assert family.searched
    assert family.middle.value(WEIGHTS[0]) == reduced(*drawn(4)).middle.value(WEIGHTS[0])


def test_accuracy_is_searched_at_every_fourth_temperature_if_it_knows_one(
    drawn: Callable[..., Any],
) -> None:
    family = reduced(*drawn(4), "accuracy", "probabilities", "search")
    assert family.temperatures == TEMPERATURES[::4]
    assert family.temperatures[4] == 1.0
    assert family.middle.value(WEIGHTS[0]) == reduced(*drawn(4), "accuracy").middle.value(
        WEIGHTS[0]
    )
    assert reduced(*drawn(4), "accuracy", "logits", "search").temperatures == (1.0,)


def test_loss_is_the_log_loss_of_the_mixture(drawn: Callable[..., Any]) -> None:
    p, y = drawn(5)
    for mixing in ("probabilities", "logits"):
        q = mixed(p, WEIGHTS[0], mixing, 2.0)
        assert q.sum(1) == pytest.approx(np.ones(len(y)), abs=1e-12)
        found = loss(p, y, WEIGHTS[0], mixing=mixing, temperature=2.0)
        assert found == pytest.approx(-np.log(q[np.arange(len(y)), y]).mean(), abs=1e-12)


def test_several_labels_are_mixed_by_sigmoids() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2, 5, 3))
    p, w = 1 / (1 + np.exp(-z)), np.array([0.3, 0.7])
    found = mixed(p, w, "logits", 2.0, several=True)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.tensordot(w, z, 1) / 2)), atol=1e-12)
    np.testing.assert_allclose(mixed(p, w, several=True), np.tensordot(w, p, 1), atol=1e-15)
    y = rng.integers(0, 2, (5, 3))
    right = np.where(y == 1, np.tensordot(w, p, 1), 1 - np.tensordot(w, p, 1))
    assert loss(p, y, w) == pytest.approx(-np.log(right).mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"objective": "logloss"}, "did you mean 'log_loss'"),
        ({"mixing": "logit"}, "did you mean 'logits'"),
        ({"temperature": 0.0}, r"temperature of 0\.25 or more"),
        ({"temperature": float("nan")}, "temperature of"),
        ({"temperature": "find"}, "or 'search', got 'find'"),
    ],
)
def test_an_unknown_setting_is_refused(
    drawn: Callable[..., Any], setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        reduced(*drawn(0), **setting)
