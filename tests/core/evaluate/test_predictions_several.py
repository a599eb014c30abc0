"""Predictions where a sample has several labels: sigmoids, each a probability of its own."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stillhouse.core.errors import DataError, UserError
from stillhouse.core.evaluate import MultiLabel, Split, TaskData
from stillhouse.core.evaluate.predicting import predict
from stillhouse.core.evaluate.prediction_files import read_files
from stillhouse.core.evaluate.prediction_folder import read, write
from stillhouse.core.evaluate.predictions import Mixing, Origin, Predictions
from stillhouse.core.evaluate.soft_targets import soft_targets, student_targets
from stillhouse.core.search.ensembles import mixed, solve

TARGETS = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
LOGITS = 2 * torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ROWS = LOGITS[0].sigmoid().numpy()
NAMES = ("x", "y", "z")


def cached(split: str = "train") -> Predictions:
    rows = LOGITS.sigmoid().float().numpy()
    origin = Origin((None,) * 3, ("",) * 3, "hash", "", False)
    return Predictions(("a", "b", "c"), NAMES, split, rows, TARGETS, origin)  # type: ignore[arg-type]


def task() -> MultiLabel:
    inputs = torch.randn(4, 5, 2, generator=torch.Generator().manual_seed(0))
    names = ("train", "tuning", "validation", "test")
    targets = torch.from_numpy(TARGETS).float()
    splits = [Split(name, inputs, targets) for name in names]  # type: ignore[arg-type]
    return MultiLabel("t", TaskData(*splits, sha256="hash"), NAMES)


def test_predictions_know_that_they_are_of_several_labels() -> None:
    assert cached().several
    single = replace(cached(), targets=np.array([0, 1, 2, 0]))
    assert not single.several


def test_sigmoids_need_not_sum_to_one_but_a_softmax_must() -> None:
    cached().verify()
    with pytest.raises(DataError, match="sum to one"):
        replace(cached(), targets=np.array([0, 1, 2, 0])).verify()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, r"model 'b': expected at most 1 .*, got 1.5 in sample 2, class 1"),
        (-0.5, "model 'b': expected at least 0, got -0.5 in sample 2, class 1"),
        (np.nan, "model 'b': expected finite numbers, got nan in sample 2, class 1"),
    ],
)
def test_what_is_no_probability_is_refused(value: float, message: str) -> None:
    rows = cached().probabilities.copy()
    rows[1, 2, 1] = value
    with pytest.raises(DataError, match=message):
        replace(cached(), probabilities=rows).verify()


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (TARGETS + 1, r"targets of 0 and 1, \(samples, 3\), got 2 in sample 0"),
        (TARGETS[:, :2].copy(), r"\(samples, 3\), got \(4, 2\)"),
        (TARGETS.astype(np.float32), "expected int64 targets"),
        (TARGETS[..., None], "expected int64 targets"),
    ],
)
def test_targets_that_are_no_labels_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(cached(), targets=targets)


def test_they_come_back_from_the_disk_as_they_were(tmp_path: Path) -> None:
    found = write(cached(), tmp_path / "cache")
    assert found.several
    assert np.array_equal(found.targets, TARGETS)
    assert found.probabilities.tobytes() == cached().probabilities.tobytes()
    assert found.sha256 == cached().digest()
    read(tmp_path / "cache").verify()


def test_the_digest_depends_on_every_label() -> None:
    other = TARGETS.copy()
    other[3, 2] = 1
    assert replace(cached(), targets=other).digest() != cached().digest()


def test_networks_answer_with_the_sigmoid_in_float64_of_their_logits() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(10, 3))
    with torch.no_grad():
        for weights in module.parameters():
            weights.copy_(torch.linspace(-1, 1, weights.numel()).view_as(weights))
        expected = module(task().data.tuning.inputs).double().sigmoid().float().numpy()
    found = predict({"net": module}, "tuning", task())
    assert found.several
    assert found.probabilities[0].tobytes() == expected.tobytes()
    assert np.array_equal(found.targets, TARGETS)
    assert found.targets.dtype == np.int64


def test_targets_between_0_and_1_are_refused() -> None:
    broken = task()
    broken.data = replace(
        broken.data, test=replace(broken.data.test, targets=torch.full((4, 3), 0.5))
    )
    with pytest.raises(UserError, match="test split: expected 0 or 1 for every label"):
        predict({"net": nn.Flatten()}, "test", broken)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_each_label_is_mixed_by_itself(temperature: float) -> None:
    weights = np.array([0.5, 0.2, 0.3])
    shares = torch.tensor(weights)[:, None, None]
    expected = {
        "probabilities": (shares * (LOGITS / temperature).sigmoid()).sum(0),
        "logits": (shares * LOGITS / temperature).sum(0).sigmoid(),
    }
    mixing: Mixing
    for mixing in ("probabilities", "logits"):
        found = soft_targets(cached(), weights, temperature, mixing)
        np.testing.assert_allclose(found, expected[mixing].numpy(), rtol=1e-5)
        scored = mixed(cached().probabilities, weights, mixing, temperature, several=True)
        assert np.array_equal(found, scored.astype(np.float32))


def test_a_student_learns_the_mixture_of_its_own_samples() -> None:
    found = student_targets(cached(), (0.5, 0.5, 0), task(), 4.0, "logits")
    assert np.array_equal(found, soft_targets(cached(), (0.5, 0.5, 0), 4.0, "logits"))
    moved = replace(cached(), targets=TARGETS[::-1].copy())
    with pytest.raises(UserError, match="other targets; predict the train split again"):
        student_targets(moved, (1, 0, 0), task())


def test_weights_are_found_for_them() -> None:
    split = cached("tuning").tuning()
    weights = solve(split.probabilities, split.targets, solver="em").weights
    assert weights.sum() == pytest.approx(1)


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_files_are_read_as_sigmoids_where_targets_have_two_axes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    (tmp_path / "c.csv").write_text(
        "x,y,z\n" + "\n".join(",".join(map(str, row)) for row in ROWS.tolist())
    )
    files = {
        "array": tmp_path / "a.npy",
        "logits": npz(tmp_path / "l.npz", logits=LOGITS[0].numpy(), classes=np.array(NAMES)),
        "table": tmp_path / "c.csv",
        "archive": npz(tmp_path / "p.npz", probabilities=ROWS, targets=TARGETS.astype(bool)),
    }
    found = read_files(files, "tuning")
    assert found.several
    assert np.array_equal(found.targets, TARGETS)
    expected = ROWS.astype(np.float32)
    for name, rows in zip(files, found.probabilities, strict=True):
        if name == "logits":
            np.testing.assert_allclose(rows, expected, rtol=1e-6)
        else:
            assert np.array_equal(rows, expected), name
    found.verify()
    given_beside = read_files({"array": tmp_path / "a.npy"}, "tuning", targets=TARGETS)
    assert np.array_equal(given_beside.probabilities[0], expected)


def test_logits_of_any_size_become_sigmoids_without_overflow(tmp_path: Path) -> None:
    logits = np.array([[1e308, -1e308, 0.0]] * 4)
    path = npz(tmp_path / "l.npz", logits=logits, targets=TARGETS)
    assert read_files({"a": path}, "tuning").probabilities[0, 0].tolist() == [1, 0, 0.5]


@given(st.permutations(list(NAMES)))
def test_named_columns_move_with_their_targets(order: list[str]) -> None:
    columns = [NAMES.index(name) for name in order]
    with tempfile.TemporaryDirectory() as folder:
        path = npz(
            Path(folder) / "a.npz",
            probabilities=ROWS[:, columns],
            classes=np.array(order),
            targets=TARGETS[:, columns],
        )
        found = read_files({"a": path}, "tuning", classes=NAMES)
    assert np.array_equal(found.targets, TARGETS)
    assert np.array_equal(found.probabilities[0], ROWS.astype(np.float32))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"targets": TARGETS * 2}, r"a\.npz: 'targets': expected whole numbers, .* 0 and 1"),
        ({"targets": TARGETS[:, :2]}, r"a\.npz: expected targets of 0 and 1, \(samples, 3\)"),
        ({"targets": TARGETS[:3]}, r"a\.npz: expected 4 targets, one a sample, got 3"),
        ({"targets": TARGETS, "probabilities": ROWS * 3}, r"a\.npz: expected at most 1"),
        ({"targets": TARGETS, "probabilities": -ROWS}, r"a\.npz: expected at least 0"),
    ],
)
def test_a_faulty_file_is_refused_by_name(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    path = npz(tmp_path / "a.npz", **{"probabilities": ROWS, **arrays})
    with pytest.raises(UserError, match=message):
        read_files({"a": path}, "tuning")


def test_files_of_one_class_and_of_several_labels_do_not_go_together(tmp_path: Path) -> None:
    files = {
        "a": npz(tmp_path / "a.npz", probabilities=ROWS, targets=TARGETS),
        "b": npz(tmp_path / "b.npz", probabilities=ROWS, targets=np.array([0, 1, 2, 0])),
    }
    with pytest.raises(UserError, match=r"b\.npz: expected targets \(4, 3\), as in .*a\.npz, got"):
        read_files(files, "tuning")
