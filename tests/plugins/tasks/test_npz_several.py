"""An `.npz` file of several labels a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.errors import DataError
from stillhouse.core.evaluate import Classification, MultiLabel
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.tasks.info import NpzParams
from stillhouse.plugins.tasks.npz import build

LABELS = (np.random.default_rng(0).random((60, 3)) < 0.4).astype(np.int64)


def written(folder: Path, **changes: Any) -> str:
    inputs = np.random.default_rng(1).normal(5, 3, (60, 6, 2)).astype(np.float32)
    arrays = {k: v for k, v in ({"x": inputs, "y": LABELS} | changes).items() if v is not None}
    np.savez(folder / "data.npz", **arrays)
    return str(folder / "data.npz")


def refusal(folder: Path, params: dict[str, Any] | None = None, **changes: Any) -> str:
    path = written(folder, **changes)
    with pytest.raises(DataError) as caught:
        build(NpzParams(path=path, **(params or {})))
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("kind", [np.int64, np.bool_, np.uint8, np.float32])
def test_labels_of_any_number_type_make_the_same_task(tmp_path: Path, kind: type) -> None:
    task = build(NpzParams(path=written(tmp_path, y=LABELS.astype(kind)), shift=1))
    data = task.data
    assert isinstance(task, MultiLabel)
    assert (task.outputs, task.labels, task.augments) == (3, ("0", "1", "2"), True)
    assert [len(s) for s in (data.train, data.tuning, data.validation, data.test)] == [33, 6, 9, 12]
    assert data.train.targets.dtype == torch.float32
    same = build(NpzParams(path=written(tmp_path), shift=1)).data
    assert data.sha256 == same.sha256
    assert torch.equal(data.test.targets, same.test.targets)


def test_every_sample_is_in_one_split_with_its_own_labels(tmp_path: Path) -> None:
    data = build(NpzParams(path=written(tmp_path), standardise=False)).data
    inputs = np.load(tmp_path / "data.npz")["x"]
    known = {one.tobytes(): labels for one, labels in zip(inputs, LABELS, strict=True)}
    parts = [data.train, data.tuning, data.validation, data.test]
    found = [(x.numpy().tobytes(), y) for part in parts for x, y in zip(part.inputs, part.targets)]  # noqa: B905
    assert sorted(key for key, _ in found) == sorted(known)
    assert all(known[key].tolist() == labels.tolist() for key, labels in found)


def test_the_seed_decides_which_shares_are_drawn(tmp_path: Path) -> None:
    path = written(tmp_path)
    first, again, other = (
        build(NpzParams(path=path, split_seed=seed)).data.sha256 for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_given_split_is_followed(tmp_path: Path) -> None:
    path = written(tmp_path, split=np.repeat(np.arange(4), 15))
    data = build(NpzParams(path=path, standardise=False)).data
    np.testing.assert_array_equal(data.validation.targets, LABELS[30:45])


def test_labels_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert build(NpzParams(path=path, classes=["a", "b", "c"])).labels == ("a", "b", "c")
    said = refusal(tmp_path, {"classes": ["a", "b"]})
    assert said == "classes: expected 3 names, one for every column of data.npz: 'y', got 2"


def rare(label: int) -> Any:
    """One sample alone has the label, and it is no training sample."""
    labels = LABELS.copy()
    labels[:, label] = np.arange(60) == 45
    return labels


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "one column": ({"y": LABELS[:, :1]}, "'y': expected two labels or more, (samples, labels), go"),
    "classes in columns": (
        {"y": np.arange(120).reshape(60, 2)},
        "'y': expected 0 or 1 for every label of a sample, got 2 in sample 1, label 0; give one",
    ),
    "shares": ({"y": LABELS / 2}, "'y': expected 0 or 1 for every label of a sample, got 0.5 in"),
    "NaN": ({"y": np.full((60, 3), np.nan)}, "'y': expected 0 or 1 for every label of a sample, g"),
    "text": ({"y": LABELS.astype(str)}, "'y': expected 0 and 1, (samples, labels), got <U"),
    "too few": ({"y": LABELS[:59]}, "'y' has 59 labels, but 'x' has 60 samples"),
    "few samples": (
        {"x": np.ones((3, 4)), "y": LABELS[:3]},
        "'y' has 3 samples, expected at least 4",
    ),
    "never trained": (
        {"y": rare(1), "split": np.repeat(np.arange(4), 15)},
        "'y' over the train split: no sample has label 1 ('1'); add samples, draw another split",
    ),
    "no label in test": (
        {"y": LABELS * (np.arange(60) < 45)[:, None], "split": np.repeat(np.arange(4), 15)},
        "'y': no sample of the test split has any label; add samples or draw another split",
    ),
    "a misspelt split": (
        {"split": np.array(["train"] * 59 + ["tst"])},
        "'split': expected train, tuning, validation, test or 0 to 3, got 'tst' in sample 59",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_labels_get_one_error_naming_file_and_key(tmp_path: Path, case: str) -> None:
    changes, expected = BROKEN[case]
    assert refusal(tmp_path, **changes).startswith(f"data.npz: {expected}")


def test_a_run_file_may_ask_for_what_either_kind_of_file_measures(tmp_path: Path) -> None:
    declared = Catalogue.discover().task("npz").metrics
    single = build(NpzParams(path=written(tmp_path, y=np.tile([0, 1, 2], 20))))
    assert isinstance(single, Classification)
    assert set(declared) == {*single.metrics, *build(NpzParams(path=written(tmp_path))).metrics}
