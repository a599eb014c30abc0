from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stillhouse.core.errors import DataError
from stillhouse.core.evaluate import Task
from stillhouse.plugins.tasks import mnist
from stillhouse.plugins.tasks.info import Mnist5kParams
from stillhouse.plugins.tasks.partition import SHARES


@pytest.fixture(scope="module")
def task() -> Task:
    return mnist.build(Mnist5kParams())


def test_each_digit_is_equally_frequent_in_splits_of_the_documented_size(task: Task) -> None:
    sizes = {"train": 275, "tuning": 50, "validation": 75, "test": 100}
    for name in SHARES:
        targets = task.data.split(name).targets
        assert torch.bincount(targets).tolist() == [sizes[name]] * 10


def test_no_image_is_in_two_splits(task: Task) -> None:
    images = [image.numpy().tobytes() for name in SHARES for image in task.data.split(name).inputs]
    assert len(images) == len(set(images)) == 5000


def test_inputs_are_rows_and_columns_scaled_on_train(task: Task) -> None:
    assert (task.input_shape, task.outputs) == ((28, 28), 10)
    train = task.data.train.inputs
    assert train.dtype == torch.float32
    assert abs(float(train.mean())) < 1e-4
    assert abs(float(train.std()) - 1) < 1e-3


def test_digits_can_be_told_apart_by_their_mean_image(task: Task) -> None:
    train, test = task.data.train, task.data.test
    means = torch.stack([train.inputs[train.targets == d].mean(0) for d in range(10)])
    guess = torch.cdist(test.inputs.flatten(1), means.flatten(1)).argmin(1)
    assert (guess == test.targets).double().mean() > 0.75


def test_the_seed_draws_another_split_and_views_change_no_data(task: Task) -> None:
    assert mnist.build(Mnist5kParams(shift=0, noise=0)).data.sha256 == task.data.sha256
    assert mnist.build(Mnist5kParams(split_seed=1)).data.sha256 != task.data.sha256


def test_a_missing_file_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mnist, "files", lambda _: tmp_path)
    with pytest.raises(
        DataError, match=r"mnist-5k\.npz: expected the handwritten digits, found no"
    ):
        mnist.build(Mnist5kParams())


def test_the_licence_lies_beside_the_data() -> None:
    note = Path(mnist.__file__).parent / "data" / "mnist-5k.LICENSE.md"
    text = note.read_text(encoding="utf-8")
    assert mnist.SHA256 in text
    assert "Redistributions in binary form must reproduce" in text
