from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.errors import PluginError, UserError
from stillhouse.core.similarity import Layers, Similarity, combined, similarity_matrix
from stillhouse.core.similarity.ranks import mean_ranks

Gather = Callable[..., Layers]
FEATURES = np.random.default_rng(0).normal(size=(20, 3))


@final
class Says(Similarity):
    """A measure that always finds the same."""

    def __init__(self, found: object) -> None:
        self._found = np.array(found, np.float64)

    def matrix(self, layers: Layers) -> NDArray[np.float64]:
        return self._found


def test_a_matrix_is_symmetric_within_0_and_1_and_of_ten_decimals(gathered: Gather) -> None:
    tiny = 1e-13
    said = Says([[1 + tiny, 0.25 + 3e-12, 1 + tiny], [0.25, 1 - tiny, -tiny], [1, -tiny, 1 + tiny]])
    found = similarity_matrix(gathered(FEATURES, FEATURES, FEATURES), said)
    np.testing.assert_array_equal(found, [[1, 0.25, 1], [0.25, 1, 0], [1, 0, 1]])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([[1.0]], r"shape \(1, 1\)"),
        ([[1, np.nan], [np.nan, 1]], "not finite"),
        ([[1, 0.5], [0.4, 1]], "differ by 0.1 across its diagonal"),
        ([[1, 0.5], [0.5, 0.9]], "0.9 on its diagonal"),
        ([[1, 1.2], [1.2, 1]], "1 to 1.2"),
        ([[1, -0.2], [-0.2, 1]], "-0.2 to 1"),
    ],
)
def test_a_measure_that_breaks_its_contract_is_named(
    gathered: Gather, found: object, said: str
) -> None:
    with pytest.raises(PluginError, match=f"similarity .*Says: expected .* 2 layers.*{said}"):
        similarity_matrix(gathered(FEATURES, FEATURES), Says(found))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_constant_features_are_refused_by_tap(gathered: Gather, value: float) -> None:
    constant = np.full((20, 4), value)
    with pytest.raises(UserError, match="tap 'layer1' shows the same features for all 20 samples"):
        similarity_matrix(gathered(FEATURES, constant), Says(np.eye(2)))


def test_a_layer_with_one_live_channel_is_not_constant(gathered: Gather) -> None:
    barely = np.ones((20, 4))
    barely[3, 0] += 1e-3
    similarity_matrix(gathered(FEATURES, barely), Says(np.eye(2)))


def test_ties_share_their_mean_rank() -> None:
    np.testing.assert_array_equal(mean_ranks(np.array([3.0, 1, 3, 2, 3])), [4, 1, 4, 2, 4])


def test_several_measures_are_one_dissimilarity_by_mean_rank() -> None:
    first = np.array([[1, 0.9, 0.2], [0.9, 1, 0.5], [0.2, 0.5, 1]])
    second = np.array([[1, 0.99, 0.99], [0.99, 1, 0.98], [0.99, 0.98, 1]])
    thirds = np.array([[0, 1, 3], [1, 0, 2], [3, 2, 0]]) / 3
    others = np.array([[0, 1.5, 1.5], [1.5, 0, 3], [1.5, 3, 0]]) / 3
    np.testing.assert_allclose(combined([first]), thirds, atol=1e-10)
    np.testing.assert_allclose(combined([first, second]), (thirds + others) / 2, atol=1e-10)
    np.testing.assert_array_equal(combined([first, second]), combined([second, first]))


def test_the_spread_of_a_measure_gives_it_no_greater_say() -> None:
    rng = np.random.default_rng(1)
    wide = rng.uniform(size=(6, 6))
    wide = (wide + wide.T) / 2
    np.fill_diagonal(wide, 1.0)
    narrow = 0.99 + 0.01 * wide
    np.testing.assert_array_equal(combined([wide, wide]), combined([wide, narrow]))


def test_one_layer_alone_and_unequal_matrices() -> None:
    np.testing.assert_array_equal(combined([np.ones((1, 1))]), [[0.0]])
    for matrices in ([], [np.eye(2), np.eye(3)]):
        with pytest.raises(ValueError, match="expected matrices of one shape"):
            combined(matrices)
