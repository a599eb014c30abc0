"""Predictions fit together, know their split, and are probabilities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stillhouse.core.errors import DataError, UserError
from stillhouse.core.evaluate import predictions as module
from stillhouse.core.evaluate import probabilities as checks
from stillhouse.core.evaluate.predictions import Origin, Predictions, for_tuning


def some(models: int = 2, samples: int = 5, classes: int = 3, split: str = "tuning") -> Predictions:
    rows = np.random.default_rng(0).dirichlet(np.ones(classes), (models, samples))
    return Predictions(
        tuple(f"m{k}" for k in range(models)),
        tuple(f"c{k}" for k in range(classes)),
        split,  # type: ignore[arg-type]
        rows.astype(np.float32),
        np.arange(samples) % classes,
        Origin((1,) * models, ("ab",) * models, "data", "stillhouse 1", False),
    )


def test_predictions_of_the_tuning_split_may_be_tuned_on() -> None:
    found = some()
    assert for_tuning(found) is found
    assert found.tuning() is found


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_tuning_on_any_other_split_is_refused_by_name(split: str) -> None:
    with pytest.raises(UserError, match=f"tuned on the tuning split only; got .* {split} split"):
        for_tuning(some(split=split))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ("a",)}, "expected float32 probabilities of 1 models, 5 samples and 3 classes"),
        ({"models": ("a", "a")}, "at least 1 model name, each once, got 'a', 'a'"),
        ({"classes": ("x",)}, "at least 2 class names, each once, got 'x'"),
        ({"classes": ("x", "", "z")}, "got 'x', '', 'z'"),
        ({"split": "tune"}, "expected a split of train, tuning, validation, test; got 'tune'"),
        ({"probabilities": np.ones((2, 5, 3))}, "expected float32 .* got float64"),
        ({"targets": np.zeros(4, np.int64)}, "2 models, 4 samples and 3 classes, got float32"),
        ({"targets": np.zeros(5)}, "expected int64 targets, one a sample, got float64"),
        ({"targets": np.array([0, 1, 3, 2, 0])}, "targets from 0 to 2, got 3 in sample 2"),
        ({"targets": np.array([0, 1, 2, -1, 0])}, "targets from 0 to 2, got -1 in sample 3"),
        ({"ids": ("a", "b", "c", "d", "d")}, "expected 5 ids, got 4"),
        ({"origin": Origin((), ("", ""))}, "expected 2 seeds, got 0"),
        ({"origin": Origin((1, 2), ("",))}, "expected 2 sources, got 1"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        replace(some(), **change)  # type: ignore[arg-type]


def test_the_digest_depends_on_everything_but_the_place() -> None:
    found = some()
    rows = found.probabilities.copy()
    rows[1, 4] = rows[1, 4, ::-1]
    others = [
        replace(found, probabilities=rows),
        replace(found, targets=found.targets[::-1].copy()),
        replace(found, models=("m1", "m0")),
        replace(found, classes=("c1", "c0", "c2")),
        replace(found, split="test"),
        replace(found, ids=("a", "b", "c", "d", "e")),
        replace(found, origin=replace(found.origin, training_views=True)),
    ]
    digests = {one.digest() for one in [found, *others]}
    assert len(digests) == len(others) + 1
    assert replace(found, place="elsewhere").digest() == found.digest()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "model 'm1': expected finite numbers, got nan in sample 3, class 2"),
        (np.inf, "model 'm1': expected finite numbers, got inf in sample 3, class 2"),
        (-0.25, "model 'm1': expected at least 0, got -0.25 in sample 3, class 2"),
    ],
)
def test_a_bad_number_is_found_by_model_sample_and_class(
    value: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_AT_ONCE", 6)
    rows = some().probabilities.copy()
    rows[1, 3, 2] = value
    with pytest.raises(DataError, match=message):
        replace(some(), probabilities=rows).verify()


def test_the_sample_that_misses_one_by_most_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_AT_ONCE", 6)
    rows = some().probabilities.copy()
    rows[0, 1] *= 1.1
    rows[0, 2] *= 0.8
    rows[0, 4] *= 1.15
    with pytest.raises(DataError, match=r"model 'm0': .* sum to one, got 0\.8 in sample 2"):
        replace(some(), probabilities=rows).verify()


def test_a_sum_may_miss_one_by_the_tolerance() -> None:
    rows = some().probabilities
    replace(some(), probabilities=rows * np.float32(1 + 0.9 * checks.TOLERANCE)).verify()
    with pytest.raises(DataError, match="sum to one"):
        replace(some(), probabilities=rows * np.float32(1 + 1.1 * checks.TOLERANCE)).verify()


def test_a_noted_digest_must_be_the_found_one() -> None:
    found = some()
    replace(found, sha256=found.digest()).verify()
    with pytest.raises(DataError, match="expected the SHA-256 0000"):
        replace(found, sha256="0" * 64).verify()


def test_blocks_cover_every_sample_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_AT_ONCE", 12)
    found = some()
    covered = [row for block in found.blocks() for row in range(5)[block]]
    assert covered == list(range(5))
    assert len(list(found.blocks())) == 3


def test_every_split_of_the_engine_is_known() -> None:
    from typing import get_args

    from stillhouse.core.evaluate.data import SplitName

    assert get_args(SplitName) == module._SPLITS
