"""Convolutional supernets in training: hints at the taps, statistics of subnets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from stillhouse.core.distill.paths import Sandwich
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.statistics import has_statistics, reestimate
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import (
    Classification,
    Context,
    ModuleTeacher,
    Split,
    State,
    TaskData,
)
from stillhouse.core.evaluate.evaluator import predict
from stillhouse.core.space import Space, load_space
from stillhouse.plugins.distil.hidden_states import hidden_states_term
from stillhouse.plugins.models.cnn.elastic import ElasticCnn
from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.info import CnnParams

FAMILY = CnnFamily()
PARAMS = CnnParams(width=8, stages=2, depth=2, kernel=3, expand=2.0)
SPACE = """\
dimensions:
  width: {choices: [4, 8]}
  depth_1: {choices: [1, 2]}
  kernel_1: {choices: [1, 3], per: depth_1}
  expand_1: {choices: [1.0, 2.0], per: depth_1}
  depth_2: {choices: [1, 2]}
  kernel_2: {choices: [1, 3], per: depth_2}
  expand_2: {choices: [1.0, 2.0], per: depth_2}
"""


def levels(samples: int) -> tuple[Tensor, Tensor]:
    """Noise of (samples, 12 frames, 4 features), raised in the feature of the class."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(samples) % 3
    inputs = torch.randn(samples, 12, 4, generator=generator)
    inputs[torch.arange(samples), :, targets] += 2
    return inputs, targets


@pytest.fixture(scope="module")
def task() -> Classification:
    inputs, targets = levels(120)
    parts = {
        name: Split(name, inputs[part], targets[part])  # type: ignore[arg-type]
        for name, part in (
            ("train", slice(0, 60)),
            ("tuning", slice(60, 75)),
            ("validation", slice(75, 105)),
            ("test", slice(105, 120)),
        )
    }
    return Classification("levels", TaskData(**parts, sha256="0"), ("a", "b", "c"))


@pytest.fixture(scope="module")
def space() -> Space:
    return load_space(SPACE, "cnn")


@pytest.fixture(scope="module")
def trained(task: Classification, space: Space) -> ElasticCnn:
    """A supernet that learnt from labels and from a teacher's last block."""
    full = FAMILY.structure(PARAMS, task.input_shape, task.outputs)
    context = Context(task=task, family=FAMILY, full=full)
    networks = [FAMILY.build(full, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    widths = FAMILY.taps(full)
    last = (next(reversed(widths)),)
    teacher = ModuleTeacher(networks[0], tuple(widths), widths)
    term = hidden_states_term(last, widths[last[0]], "mse", 0.1, normalise=True)
    elastic = FAMILY.elastic(networks[1])
    fit(
        elastic,
        structure=full,
        state=State({"teacher": teacher}, task.data).with_term(term),
        settings=TrainSettings(epochs=8, batch_size=10, learning_rate=1e-2),
        context=context,
        label="supernet",
        paths=Sandwich(space, 1),
    )
    return elastic


def accuracy(module: torch.nn.Module, task: Classification) -> float:
    split = task.data.validation
    return task.score(predict(module, split), split.targets)["accuracy"]


def test_subnets_answer_best_with_statistics_of_their_own(
    task: Classification, space: Space, trained: ElasticCnn
) -> None:
    inherited, own = [], []
    for row in space.sample(12, np.random.default_rng(0)):
        trained.set_active(space.decode(row))
        module = trained.extract()
        inherited.append(accuracy(module, task))
        assert has_statistics(module)
        assert reestimate(module, task.data.train, samples=60, batch_size=20, seed=0)
        own.append(accuracy(module, task))
    assert np.mean(own) > np.mean(inherited)
    assert np.mean(own) > 0.6


def test_statistics_of_the_active_slice_are_those_of_the_extracted_subnet(
    task: Classification, space: Space, trained: ElasticCnn
) -> None:
    weights = {name: w.clone() for name, w in trained.named_parameters()}
    trained.set_active(space.decode(space.corners()[0]))
    module = trained.extract()
    for network in (module, trained):
        reestimate(network, task.data.train, samples=60, batch_size=20, seed=0)
    inputs = task.data.test.inputs
    with torch.no_grad():
        assert torch.equal(module(inputs), trained(inputs))
    assert all(torch.equal(w, weights[name]) for name, w in trained.named_parameters())
