"""Predictions that cannot be used are refused, with the model and the sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.search.ensembles import checked

FAIR = np.full((2, 3, 4), 0.25)
TARGETS = np.array([0, 1, 3])


def changed(value: float) -> np.ndarray:
    out = FAIR.copy()
    out[1, 2, 3] = value
    return out


@pytest.mark.parametrize(
    ("value", "came"),
    [
        (np.nan, "NaN for class 3 at model 1, sample 2"),
        (np.inf, "the sum inf at model 1, sample 2"),
        (-0.25, "-0.25 for class 3 at model 1, sample 2"),
        (0.3, "the sum 1.05 at model 1, sample 2"),
    ],
)
def test_what_is_no_probability_is_named(value: float, came: str) -> None:
    with pytest.raises(UserError, match=came):
        checked(changed(value), TARGETS)


def test_a_negative_number_in_a_sum_of_one_is_found() -> None:
    given = FAIR.copy()
    given[0, 1] = [-0.5, 0.5, 0.5, 0.5]
    with pytest.raises(UserError, match=r"-0\.5 for class 0 at model 0, sample 1"):
        checked(given, TARGETS)


def test_a_sum_within_the_tolerance_passes_and_one_beyond_does_not() -> None:
    checked(changed(0.25 + 0.9e-4), TARGETS)
    with pytest.raises(UserError, match=r"sum 1\.00011"):
        checked(changed(0.25 + 1.1e-4), TARGETS)


def test_the_bad_sample_is_found_in_a_later_block() -> None:
    given = np.full((1, 40_000, 4), 0.25)
    given[0, 39_000, 1] = np.nan
    with pytest.raises(UserError, match="model 0, sample 39000"):
        checked(given, np.zeros(40_000, dtype=np.int64))


def test_models_with_other_numbers_of_samples_or_classes_are_refused() -> None:
    with pytest.raises(UserError, match=r"the same samples and classes.*\(3, 4\), \(2, 4\)"):
        checked([FAIR[0], FAIR[0, :2]], TARGETS)
    with pytest.raises(UserError, match=r"the same samples and classes.*\(3, 4\), \(3, 3\)"):
        checked([FAIR[0], np.full((3, 3), 1 / 3)], TARGETS)


def test_targets_must_be_as_many_as_samples() -> None:
    with pytest.raises(UserError, match="each of 3 predicted samples, got 2"):
        checked(FAIR, TARGETS[:2])


@pytest.mark.parametrize("wrong", [-1, 4])
def test_a_target_out_of_range_is_named(wrong: int) -> None:
    with pytest.raises(UserError, match=rf"0 to 3, got {wrong} at sample 1.*order of classes"):
        checked(FAIR, np.array([0, wrong, 3]))


@pytest.mark.parametrize(
    ("probabilities", "targets", "message"),
    [
        (FAIR, TARGETS.astype(float), "whole numbers"),
        (FAIR.astype(np.int64), TARGETS, "float32 or float64"),
        (FAIR[0], np.zeros(4, dtype=int), r"\(models, samples, classes\)"),
        (np.empty((0, 3, 4)), TARGETS, "none of them 0"),
        ([], TARGETS[:0], "none of them 0"),
        (FAIR, np.full((3, 4), 2), "0 and 1"),
        (FAIR * 5, np.ones((3, 4), dtype=int), "between 0 and 1, got 1.25 for label 0"),
    ],
)
def test_other_arrays_are_refused(
    probabilities: np.ndarray, targets: np.ndarray, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        checked(probabilities, targets)


def test_predictions_are_not_copied() -> None:
    assert checked(FAIR, TARGETS)[0] is FAIR


def test_a_memory_map_serves(tmp_path: Path) -> None:
    np.save(tmp_path / "predictions.npy", FAIR.astype(np.float32))
    mapped = np.load(tmp_path / "predictions.npy", mmap_mode="r")
    assert checked(mapped, TARGETS)[0] is mapped


def test_each_label_of_several_becomes_a_sample_of_two_classes() -> None:
    present = np.array([[[0.25, 0.5], [1.0, 0.0]]])
    probabilities, targets = checked(present, np.array([[1, 0], [1, 1]]))
    assert probabilities.tolist() == [[[0.75, 0.25], [0.5, 0.5], [0.0, 1.0], [1.0, 0.0]]]
    assert targets.tolist() == [1, 0, 1, 1]
