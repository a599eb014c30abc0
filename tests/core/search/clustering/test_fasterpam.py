"""FasterPAM from an even start."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.search.clustering import cluster

Array = NDArray[np.float64]


def test_no_single_swap_of_a_medoid_costs_less(points: Array) -> None:
    found = cluster(points, 4, "fasterpam")
    for out in found.centres:
        rest = [layer for layer in found.centres if layer != out]
        for new in set(range(14)) - set(found.centres):
            assert points[:, [*rest, new]].min(axis=1).sum() >= found.cost


def test_what_numpy_draws_before_changes_nothing(points: Array) -> None:
    first = cluster(points, 5, "fasterpam")
    np.random.seed(3)
    assert cluster(points, 5, "fasterpam") == first


def test_without_its_package_fasterpam_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "kmedoids", None)
    with pytest.raises(UserError, match=r"stillhouse\[fasterpam\]', or use contiguous"):
        cluster(1 - np.eye(4), 2, "fasterpam")
