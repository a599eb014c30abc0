from __future__ import annotations

import pytest
import torch

from stillhouse.core.evaluate import Task
from stillhouse.plugins.tasks.info import SpokenDigitsParams
from stillhouse.plugins.tasks.partition import SHARES
from stillhouse.plugins.tasks.spoken_digits import build


@pytest.fixture(scope="module")
def task() -> Task:
    return build(SpokenDigitsParams())


def test_each_digit_is_equally_frequent_in_splits_of_the_documented_size(task: Task) -> None:
    sizes = {"train": 165, "tuning": 30, "validation": 45, "test": 60}
    for name in SHARES:
        targets = task.data.split(name).targets
        assert torch.bincount(targets).tolist() == [sizes[name]] * 10


def test_no_clip_is_in_two_splits(task: Task) -> None:
    clips = [clip.numpy().tobytes() for name in SHARES for clip in task.data.split(name).inputs]
    assert len(clips) == len(set(clips)) == 3000


def test_inputs_are_frames_of_thirteen_coefficients_scaled_on_train(task: Task) -> None:
    assert task.input_shape == (32, 13)
    assert task.labels[0] == "zero"
    assert task.labels[9] == "nine"
    train = task.data.train.inputs
    spoken = train[train.abs().sum(2) > 0].double()
    assert spoken.mean(0).abs().max() < 0.05
    assert (spoken.std(0) - 1).abs().max() < 0.05


def test_the_digits_can_be_told_apart_by_their_mean_frame(task: Task) -> None:
    train, test = task.data.train, task.data.test
    means = torch.stack([train.inputs[train.targets == d].mean(0) for d in range(10)])
    guess = torch.cdist(test.inputs.flatten(1), means.flatten(1)).argmin(1)
    assert (guess == test.targets).double().mean() > 0.6


def test_frames_and_seed_change_the_data_and_nothing_else_does(task: Task) -> None:
    assert build(SpokenDigitsParams(shift=0, noise=0, mask=0)).data.sha256 == task.data.sha256
    longer, other = build(SpokenDigitsParams(frames=48)), build(SpokenDigitsParams(split_seed=1))
    assert longer.input_shape == (48, 13)
    assert len({task.data.sha256, longer.data.sha256, other.data.sha256}) == 3
