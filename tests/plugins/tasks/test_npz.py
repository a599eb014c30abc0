from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.errors import DataError
from stillhouse.plugins.tasks.info import NpzParams
from stillhouse.plugins.tasks.npz import build

Write = Callable[..., Path]


def sequences() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "x": rng.normal(5, 3, (60, 6, 2)).astype(np.float32),
        "y": np.tile(np.arange(3), 20),
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def save(**changes: Any) -> Path:
        arrays = {k: v for k, v in (sequences() | changes).items() if v is not None}
        np.savez(tmp_path / "data.npz", **arrays)
        return tmp_path / "data.npz"

    return save


def refusal(path: Path, **params: Any) -> str:
    with pytest.raises(DataError) as caught:
        build(NpzParams(path=str(path), **params))
    return str(caught.value).removeprefix(str(path.parent) + "/")


def test_samples_are_divided_by_class_and_scaled_on_train(write: Write) -> None:
    task = build(NpzParams(path=str(write())))
    data = task.data
    assert [len(s) for s in (data.train, data.tuning, data.validation, data.test)] == [33, 6, 9, 12]
    assert torch.bincount(data.test.targets).tolist() == [4, 4, 4]
    assert (task.input_shape, task.outputs, task.labels) == ((6, 2), 3, ("0", "1", "2"))
    flat = data.train.inputs.reshape(-1, 2).double()
    torch.testing.assert_close(flat.mean(0), torch.zeros(2, dtype=torch.double), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.std(0, correction=0), torch.ones(2, dtype=torch.double))


def test_unscaled_values_arrive_as_stored(write: Write) -> None:
    data = build(NpzParams(path=str(write()), standardise=False)).data
    parts = [data.train, data.tuning, data.validation, data.test]
    loaded = sorted(clip.numpy().tobytes() for part in parts for clip in part.inputs)
    assert loaded == sorted(clip.tobytes() for clip in sequences()["x"])


def test_series_without_features_get_one(write: Write) -> None:
    assert build(NpzParams(path=str(write(x=np.eye(60, 9))))).input_shape == (9, 1)


@pytest.mark.parametrize("kind", ["names", "numbers", "named by the run file"])
def test_a_given_split_is_followed(write: Write, kind: str) -> None:
    marks = np.repeat(np.arange(4), 15)
    names = np.array(["train", "tuning", "validation", "test"])[marks]
    given = marks if kind == "numbers" else names
    path = write(fold=given) if kind == "named by the run file" else write(split=given)
    key = "fold" if kind == "named by the run file" else None
    data = build(NpzParams(path=str(path), split=key, standardise=False)).data
    np.testing.assert_array_equal(data.validation.inputs, sequences()["x"][30:45])
    np.testing.assert_array_equal(data.train.targets, sequences()["y"][:15])


def test_classes_can_be_named(write: Write) -> None:
    task = build(NpzParams(path=str(write()), classes=["low", "mid", "high"]))
    assert task.labels == ("low", "mid", "high")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.npz").startswith("gone.npz: expected an .npz file, found noth")


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_text("x,y\n1,2\n")
    assert refusal(tmp_path / "data.npz").startswith("data.npz: expected an .npz file, got someth")
    np.save(tmp_path / "one.npy", np.zeros(3))
    assert refusal(tmp_path / "one.npy").startswith("one.npy: expected an .npz file, got something")
    assert refusal(tmp_path).endswith("got something else; write it with np.savez")


def test_an_archive_cut_short_is_named(write: Write) -> None:
    path = write()
    path.write_bytes(path.read_bytes()[:-200])
    assert refusal(path).startswith("data.npz: expected an .npz file, got something else")


def test_a_damaged_array_is_named_with_its_key(write: Write) -> None:
    path = write()
    content = bytearray(path.read_bytes())
    content[600] ^= 0xFF
    path.write_bytes(content)
    assert refusal(path).startswith("data.npz: 'x' cannot be read: Bad CRC-32")


def test_a_zip_of_other_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert refusal(tmp_path / "data.npz").startswith("data.npz: 'notes.txt' is no NumPy array")


def test_an_archive_without_arrays_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.npz", "w"):
        pass
    assert refusal(tmp_path / "data.npz") == "data.npz: expected arrays, found an empty archive"


def test_pickled_objects_are_never_loaded(write: Write) -> None:
    path = write(x=np.array([[1.0], "text"] * 30, dtype=object))
    assert refusal(path).endswith("; store plain numbers, pickled objects are not loaded")


def test_a_missing_key_is_answered_with_the_nearest(write: Write) -> None:
    path = write(y=None, labels=sequences()["y"])
    said = refusal(path, targets="lables")
    assert said.startswith("data.npz: expected an array 'lables', found labels, x; did you mean '")
    assert said.endswith("'labels'?; give the right key as `targets`")


def test_a_named_split_that_is_missing_is_an_error(write: Write) -> None:
    assert refusal(write(), split="fold").endswith("give the right key as `split`")


def nan() -> Any:
    x = sequences()["x"]
    x[7, 2, 1] = np.nan
    return x


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "one dimension": ({"x": np.zeros(60)}, "'x': expected (samples, frames) or"),
    "four dimensions": ({"x": np.zeros((60, 2, 2, 2))}, "'x': expected (samples, frames) or"),
    "no samples": ({"x": np.zeros((0, 4)), "y": np.zeros(0, int)}, "'x' is empty: its shape is"),
    "no frames": ({"x": np.zeros((60, 0, 2))}, "'x' is empty: its shape is (60, 0, 2)"),
    "text": ({"x": np.full((60, 4), "a")}, "'x': expected real numbers, got <U1"),
    "complex": ({"x": np.zeros((60, 4), complex)}, "'x': expected real numbers, got complex128"),
    "NaN": ({"x": nan()}, "'x' has NaN, infinite or too large values in 1 of 60 samples, first in"),
    "infinite": (
        {"x": np.full((60, 4), np.inf)},
        "'x' has NaN, infinite or too large values in 60",
    ),
    "beyond float32": ({"x": np.full((60, 4), 1e300)}, "'x' has NaN, infinite or too large"),
    "labels in three axes": (
        {"y": np.zeros((60, 3, 1), int)},
        "'y': expected one label a sample, (samples,), or 0 and 1, (samples, labels), got (60, 3",
    ),
    "one label in every row": (
        {"y": np.eye(3)[np.arange(60) % 3]},
        "'y': expected labels of which a sample may have several, got exactly one in every sample",
    ),
    "labels as reals": ({"y": np.zeros(60)}, "'y': expected whole-number labels from 0, got float"),
    "labels as text": (
        {"y": np.full(60, "yes")},
        "'y': expected whole-number labels from 0, got <",
    ),
    "label below 0": ({"y": np.tile([0, 1, -1], 20)}, "'y': expected labels 0 to 2 for 3 classes"),
    "a gap": ({"y": np.tile([0, 1, 9], 20)}, "'y': expected labels 0 to 2 for 3 classes, got 9"),
    "one class": ({"y": np.zeros(60, int)}, "'y': expected two classes or more, got one"),
    "too few labels": ({"y": np.zeros(59, int)}, "'y' has 59 labels, but 'x' has 60 samples"),
    "a scarce class": (
        {"y": np.array([0] * 30 + [1] * 27 + [2] * 3)},
        "'y': class 2 ('2') has 3 samples, expected at least 4",
    ),
    "a misspelt split": (
        {"split": np.array(["train"] * 59 + ["valdation"])},
        "'split': expected train, tuning, validation, test or 0 to 3, got 'valdation' in sample 59",
    ),
    "a fifth split": ({"split": np.full(60, 4)}, "'split': expected train, tuning, validation"),
    "an empty split": (
        {"split": np.repeat([0, 2, 3], 20)},
        "'split': no sample is marked tuning; all four are needed",
    ),
    "a short split": ({"split": np.zeros(5, int)}, "'split': expected shape (60,), got (5,)"),
    "a class never trained": (
        {"split": np.repeat([1, 0, 2, 3], 15), "y": np.repeat([0, 1, 2], [15, 15, 30])},
        "'y' over the train split: class 0 ('0') has 0 samples, expected at least 1",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_arrays_get_one_error_naming_file_and_key(write: Write, case: str) -> None:
    changes, expected = BROKEN[case]
    assert refusal(write(**changes)).startswith(f"data.npz: {expected}")


def test_class_names_must_be_different_text_and_enough(write: Write) -> None:
    assert refusal(write(), classes=["a", "b"]).endswith("got 2; lengthen `classes`")
    assert refusal(write(), classes=["a", "b", "a"]).startswith("classes: expected different names")
    assert refusal(write(), classes=["no", False, "off"]).endswith("quote each of them")
