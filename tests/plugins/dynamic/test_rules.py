"""How unsure an answer is, and which thresholds part a given share of the samples."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
import torch

from stillhouse.plugins.dynamic.info import Criterion
from stillhouse.plugins.dynamic.rules import ALWAYS, NEVER, doubt, shares, thresholds, way_of

CRITERIA = get_args(Criterion)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_doubts_are_those_of_the_published_rules() -> None:
    logits = 3 * drawn(0, 50, 7)
    p, _ = logits.double().softmax(-1).sort(-1, descending=True)
    wanted = {
        "entropy": -(p * p.log()).sum(-1) / math.log(7),
        "max-probability": 1 - p[:, 0],
        "margin": 1 - (p[:, 0] - p[:, 1]),
    }
    for criterion, values in wanted.items():
        torch.testing.assert_close(
            doubt(logits, criterion).double(),
            values,
            rtol=1e-5,
            atol=1e-7,  # type: ignore[arg-type]
        )


@pytest.mark.parametrize("criterion", CRITERIA)
def test_doubt_is_largest_where_all_classes_are_alike_and_tells_near_certainties_apart(
    criterion: Any,
) -> None:
    most = 0.75 if criterion == "max-probability" else 1.0
    assert doubt(torch.zeros(4), criterion) == pytest.approx(most, abs=1e-6)
    sure = torch.tensor([[40.0, 0, 0], [30.0, 0, 0], [20.0, 0, 0]])
    values = doubt(sure, criterion).tolist()
    assert 0 < values[0] < values[1] < values[2] < 1e-7


def test_the_share_that_leaves_is_the_one_asked_for_of_those_that_come() -> None:
    doubts = drawn(1, 1000, 3).sigmoid().numpy()
    below = thresholds(doubts, 0.4)
    assert shares(way_of(doubts, below), 4) == [0.4, 0.24, 0.144, 0.216]


def test_a_threshold_parts_by_value_so_that_equal_doubts_stay_together() -> None:
    column = np.array([[0.1], [0.1], [0.1], [0.1], [0.9]], np.float32)
    assert shares(way_of(column, thresholds(column, 0.5)), 2) == [0.8, 0.2]
    assert thresholds(column[:4], 0.4).tolist() == [NEVER]
    assert thresholds(column[:4], 0.6).tolist() == [ALWAYS]
    low = np.float32(0.5)
    near = np.array([[low], [np.nextafter(low, np.float32(1))]], np.float32)
    assert shares(way_of(near, thresholds(near, 0.5)), 2) == [0.5, 0.5]


def test_of_no_samples_none_leaves() -> None:
    assert thresholds(np.zeros((0, 2), np.float32), 0.5).tolist() == [NEVER, NEVER]


def test_no_sample_leaves_later_when_thresholds_rise() -> None:
    doubts = drawn(2, 200, 3).sigmoid().numpy()
    taus = [NEVER, 0.0, *np.linspace(0.05, 0.95, 19).tolist(), ALWAYS]
    depths = [way_of(doubts, np.full(3, tau, np.float32)) for tau in taus]
    assert all((later <= earlier).all() for earlier, later in pairwise(depths))
    assert (depths[0] == 3).all()
    assert (depths[1] == 3).all()
    assert (depths[-1] == 0).all()
