"""The page about adding a task is true: the task keeps the contract, with any parameters."""

from __future__ import annotations

from typing import Any

import torch

from stillhouse.core.plugin.conformance import Setup, check_plugin

PAGE = "add-a-task"


def test_the_package_shown_keeps_the_contract(shown: Any) -> None:
    check_plugin(shown.distribution, {"tones": Setup(params={"frames": 8})})


def test_splits_differ_and_labels_are_equally_frequent(shown: Any) -> None:
    info = shown.catalogue.task("tones")
    data = shown.catalogue.resolve(info)(info.params(noise=0.0)).data
    assert data.train.inputs.shape == (800, 24, 4)
    assert torch.bincount(data.test.targets).tolist() == [100, 100, 100, 100]
    assert not torch.equal(data.tuning.inputs, data.validation.inputs)
