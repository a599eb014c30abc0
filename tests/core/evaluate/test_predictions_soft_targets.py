"""A student's targets are the mixture of its teachers, on its own samples and views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Classification, Split, TaskData, probabilities
from stillhouse.core.evaluate.predictions import Mixing, Origin, Predictions
from stillhouse.core.evaluate.soft_targets import soft_targets, student_targets
from stillhouse.core.search.ensembles import mixed

LOGITS = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CLASSES = ("w", "x", "y", "z")


def cached(split: str = "train", views: bool | None = False, data: str = "hash") -> Predictions:
    rows = (2 * LOGITS).softmax(-1).float().numpy()
    origin = Origin((None,) * 3, ("",) * 3, data, "", views)
    targets = np.arange(6) % 4
    return Predictions(("a", "b", "c"), CLASSES, split, rows, targets, origin)  # type: ignore[arg-type]


def test_a_student_of_a_view_learns_from_predictions_on_the_same_samples() -> None:
    whole = student(augments=False)
    view, other = whole.viewed((1,)), whole.viewed((0,))
    expected = student_targets(cached(), (0.2, 0.3, 0.5), whole)
    for known in (whole.data.sha256, view.data.sha256):
        found = student_targets(cached(data=known), (0.2, 0.3, 0.5), view)
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(UserError, match="expected predictions on the task's data"):
        student_targets(cached(data=other.data.sha256), (0.2, 0.3, 0.5), view)


def student(*, augments: bool) -> Classification:
    inputs = torch.zeros(6, 5, 2)
    names = ("train", "tuning", "validation", "test")
    splits = [Split(name, inputs, torch.arange(6) % 4) for name in names]  # type: ignore[arg-type]
    return Classification("t", TaskData(*splits, sha256="hash"), CLASSES, shift=int(augments))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda shares: sum(shares) > 0.1),
    st.floats(0.5, 20),
)
def test_mixtures_follow_their_equations(raw: list[float], temperature: float) -> None:
    weights = np.array(raw) / sum(raw)
    given_ones, shares = 2 * LOGITS / temperature, torch.tensor(weights)[:, None, None]
    expected = {
        "probabilities": (shares * given_ones.softmax(-1)).sum(0),
        "logits": (shares * given_ones).sum(0).softmax(-1),
    }
    for mixing, rows in expected.items():
        found = soft_targets(cached(), weights, temperature, mixing)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, rows.numpy(), rtol=1e-5)
        np.testing.assert_allclose(found.sum(1, dtype=np.float64), 1, atol=1e-6)


@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
def test_one_model_alone_is_its_own_mixture(mixing: Mixing) -> None:
    found = soft_targets(cached(), (0, 1, 0), mixing=mixing)
    np.testing.assert_allclose(found, cached().probabilities[1], rtol=3e-7)
    assert found.dtype == np.float32


@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
def test_the_student_learns_the_mixture_that_the_search_scored(mixing: Mixing) -> None:
    weights = np.array([0.5, 0.125, 0.375])
    scored = mixed(cached().probabilities, weights, mixing, 3.0)
    assert np.array_equal(soft_targets(cached(), weights, 3.0, mixing), scored.astype(np.float32))


@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
def test_blocks_change_no_bit(mixing: Mixing, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = soft_targets(cached(), (0.5, 0.25, 0.25), 4.0, mixing)
    monkeypatch.setattr(probabilities, "_AT_ONCE", 24)
    assert np.array_equal(soft_targets(cached(), (0.5, 0.25, 0.25), 4.0, mixing), whole)


@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
def test_certain_models_that_contradict_each_other_share_the_target(mixing: Mixing) -> None:
    rows = np.zeros((3, 6, 4), np.float32)
    rows[0, :, 0] = rows[1, :, 1] = rows[2, :, 2] = 1
    found = soft_targets(replace(cached(), probabilities=rows), (0.5, 0.5, 0), mixing=mixing)
    np.testing.assert_allclose(found, [[0.5, 0.5, 0, 0]] * 6, atol=2e-6)


def test_a_model_of_weight_zero_is_not_read() -> None:
    rows = cached().probabilities.copy()
    rows[2] = np.nan
    found = soft_targets(replace(cached(), probabilities=rows), (0.5, 0.5, 0), mixing="logits")
    assert np.array_equal(found, soft_targets(cached(), (0.5, 0.5, 0), mixing="logits"))


@pytest.mark.parametrize(
    "weights", [(0, 0, 0), (0.5, 0.5, 0.5), (1.5, -0.5, 0), (np.nan, 0.5, 0.5), (np.inf, 0, 0)]
)
def test_weights_off_the_simplex_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match=r"weights of at least 0 that sum to one, got .*; divide"):
        soft_targets(cached(), weights)


def test_other_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match=r"one weight for each of a, b, c, got shape \(2,\)"):
        soft_targets(cached(), (0.5, 0.5))
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match="temperature: expected a finite number above 0"):
            soft_targets(cached(), (1, 0, 0), temperature)
    with pytest.raises(UserError, match="mixing: expected probabilities or logits, got 'median'"):
        soft_targets(cached(), (1, 0, 0), mixing="median")  # type: ignore[arg-type]


@pytest.mark.parametrize("augments", [False, True])
def test_targets_made_without_views_serve_any_student(augments: bool) -> None:
    found = student_targets(cached(), (0.5, 0.5, 0), student(augments=augments), 4.0, "logits")
    assert np.array_equal(found, soft_targets(cached(), (0.5, 0.5, 0), 4.0, "logits"))


@pytest.mark.parametrize("augments", [False, True])
def test_targets_made_of_views_are_refused(augments: bool) -> None:
    with pytest.raises(UserError, match="got some made of training views; mix the models online"):
        student_targets(cached(views=True), (1, 0, 0), student(augments=augments))


def test_targets_of_unknown_views_serve_a_student_without_views_only() -> None:
    student_targets(cached(views=None), (1, 0, 0), student(augments=False))
    with pytest.raises(UserError, match="do not say whether they were made so; mix the models"):
        student_targets(cached(views=None), (1, 0, 0), student(augments=True))


@pytest.mark.parametrize("split", ["tuning", "validation", "test"])
def test_a_student_learns_from_the_train_split_alone(split: str) -> None:
    with pytest.raises(UserError, match=f"predictions on the train split, got the {split}"):
        student_targets(cached(split), (1, 0, 0), student(augments=False))


def test_predictions_on_other_data_are_refused() -> None:
    with pytest.raises(UserError, match="expected predictions on the task's data hash, got older"):
        student_targets(cached(data="older"), (1, 0, 0), student(augments=False))
    moved = replace(cached(data=""), targets=cached().targets[::-1].copy())
    with pytest.raises(UserError, match="data hash, got other targets; predict the train split"):
        student_targets(moved, (1, 0, 0), student(augments=False))


def test_another_order_of_classes_is_refused() -> None:
    moved = replace(cached(), classes=("x", "w", "y", "z"))
    with pytest.raises(UserError, match="classes w, x, y, z in this order, got x, w, y, z"):
        student_targets(moved, (1, 0, 0), student(augments=False))
