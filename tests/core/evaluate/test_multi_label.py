"""Several labels a sample: what the task measures, and that it trains on the views of its kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.core.evaluate import Classification, MultiLabel, Split, TaskData
from stillhouse.core.evaluate.data import SplitName
from stillhouse.core.evaluate.labelled import Labelled
from stillhouse.core.evaluate.multi_label import average_precision
from stillhouse.core.search.ensembles import loss

SPLITS: tuple[SplitName, ...] = ("train", "tuning", "validation", "test")
SCORES = [
    [0.0, -0.0, 0.5], [0.0, -0.5, 0.5], [1.5, 1.0, -0.5], [-1.5, -0.5, 0.0],
    [-2.5, -0.0, -1.0], [-0.5, -0.5, -0.5], [0.5, 1.0, -0.0], [1.5, -0.5, 0.5],
    [1.0, 0.0, -0.5], [-1.0, -0.5, 0.0], [-1.0, -0.0, -0.0], [0.5, 0.0, 0.5],
]  # fmt: skip
TARGETS = [
    [0, 0, 0], [1, 0, 1], [0, 1, 1], [0, 1, 0], [1, 0, 0], [1, 0, 1],
    [1, 1, 0], [0, 1, 1], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0],
]  # fmt: skip
OF_SCIKIT_LEARN = (0.45476190476190476, 0.6547619047619048, 0.5018939393939393)
"""`average_precision_score` of scikit-learn 1.9.1 for each column of the above."""


def data(targets: torch.Tensor) -> TaskData:
    inputs = torch.ones(len(targets), 12, 3)
    return TaskData(*(Split(name, inputs, targets) for name in SPLITS), sha256="")


def several(**augmentation: float) -> MultiLabel:
    targets = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
    return MultiLabel("toy", data(targets), ("a", "b"), **augmentation)  # type: ignore[arg-type]


def by_definition(scores: np.ndarray, present: np.ndarray) -> float:
    """sum_n (R_n - R_{n-1}) P_n over falling thresholds, of one label."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        chosen = scores >= threshold
        recall = (present & chosen).sum() / present.sum()
        total += (recall - before) * (present & chosen).sum() / chosen.sum()
        before = recall
    return float(total)


def test_average_precision_is_scikit_learns_ties_included() -> None:
    scores, targets = torch.tensor(SCORES), torch.tensor(TARGETS).float()
    for label, expected in enumerate(OF_SCIKIT_LEARN):
        own = slice(label, label + 1)
        assert average_precision(scores[:, own], targets[:, own]) == pytest.approx(expected, 1e-15)
    mean = sum(OF_SCIKIT_LEARN) / 3
    assert average_precision(scores, targets) == pytest.approx(mean, rel=1e-15)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=20))
def test_average_precision_follows_its_definition(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([float(score) for score, _ in pairs])
    present = np.array([there for _, there in pairs])
    found = average_precision(
        torch.from_numpy(scores)[:, None], torch.from_numpy(present)[:, None].float()
    )
    if present.any():
        assert found == pytest.approx(by_definition(scores, present), rel=1e-12)
    else:
        assert np.isnan(found)


def test_average_precision_is_that_of_the_installed_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(80, 5)).round(1)
    targets = generator.random((80, 5)) < 0.3
    found = average_precision(torch.from_numpy(scores), torch.from_numpy(targets).float())
    expected = metrics.average_precision_score(targets, scores, average="macro")
    assert found == pytest.approx(expected, rel=1e-12)


def test_labels_that_never_occur_are_left_out_of_the_mean() -> None:
    scores = torch.tensor([[3.0, 9.0, 1.0], [2.0, 8.0, 2.0], [1.0, 7.0, 3.0]])
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert average_precision(scores, targets) == pytest.approx((1 + 1 / 3) / 2)


def test_scores_are_the_textbook_ones() -> None:
    outputs = torch.tensor([[2.0, -1.0], [0.5, 0.0], [-3.0, 1.0], [-0.5, 4.0]])
    targets = several().data.test.targets
    found = several().score(outputs, targets)
    p = 1 / (1 + np.exp(-outputs.double().numpy()))
    y = targets.numpy()
    assert found["log_loss"] == pytest.approx(-np.log(np.where(y == 1, p, 1 - p)).mean(), rel=1e-12)
    assert found["accuracy"] == 6 / 8, "a probability of exactly 0.5 answers that it is not there"
    assert list(found) == [metric.name for metric in MultiLabel.metrics]


def test_log_loss_is_what_a_weight_search_calls_log_loss() -> None:
    outputs = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    targets = several().data.test.targets
    cached = outputs.double().sigmoid().numpy()[None]
    scored = several().score(outputs, targets)["log_loss"]
    assert loss(cached, targets.numpy().astype(int), [1.0]) == pytest.approx(scored, rel=1e-12)


def test_the_training_loss_is_a_mean_over_samples_and_labels() -> None:
    outputs = torch.zeros(4, 2, requires_grad=True)
    targets = several().data.train.targets
    value = several().loss(outputs, targets)
    assert value.item() == pytest.approx(np.log(2), rel=1e-6)
    value.backward()
    assert torch.equal(outputs.grad, (0.5 - targets) / 8)  # type: ignore[arg-type]


def test_a_perfect_answer_reaches_the_best_of_every_metric() -> None:
    targets = several().data.test.targets
    scored = several().score(100 * (2 * targets - 1), targets)
    assert {m.name: m.best for m in MultiLabel.metrics} == pytest.approx(scored, abs=1e-12)


def test_views_are_those_of_one_label_a_sample() -> None:
    settings = {"shift": 2, "noise": 0.3, "mask": 4}
    single = Classification("toy", data(torch.arange(4) % 2), ("a", "b"), **settings)  # type: ignore[arg-type]
    inputs = torch.arange(4 * 12 * 3).float().reshape(4, 12, 3)
    tasks: list[Labelled] = [single, several(**settings)]
    one, other = (task.augment(inputs, torch.Generator().manual_seed(1)) for task in tasks)
    assert torch.equal(one, other)
    assert not torch.equal(one, inputs)
    assert [task.augments for task in tasks] == [True, True]


def test_only_a_task_of_several_labels_says_so() -> None:
    assert several().several
    assert not Classification("toy", data(torch.arange(4) % 2), ("a", "b")).several
