"""A teacher whose layers are known to fall into three blocks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search.clustering import cluster, k_by_silhouette

Array = NDArray[np.float64]
BLOCKS = (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2)


def planted(seed: int) -> list[Array]:
    """Features (1000, 16) of 12 layers; those of a block are maps of one latent, with noise."""
    rng = np.random.default_rng(seed)
    latents = rng.normal(size=(3, 1000, 6))
    return [
        latents[block] @ rng.normal(size=(6, 16)) + 0.7 * rng.normal(size=(1000, 16))
        for block in BLOCKS
    ]


def linear_cka(x: Array, y: Array) -> float:
    """Kornblith et al. 2019, equation in feature form."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    norm = np.linalg.norm
    return float(norm(y.T @ x) ** 2 / (norm(x.T @ x) * norm(y.T @ y)))


def distances_of(layers: list[Array]) -> Array:
    return np.array([[1.0 - linear_cka(x, y) for y in layers] for x in layers])


@pytest.mark.parametrize("seed", range(10))
def test_the_blocks_are_recovered_with_each_medoid_inside_its_own(seed: int) -> None:
    distances = distances_of(planted(seed))
    for clusterer in ("exact", "fasterpam", "contiguous"):
        found = cluster(distances, 3, clusterer)
        assert found.labels == BLOCKS
        assert [BLOCKS[layer] for layer in found.centres] == [0, 1, 2]
    assert k_by_silhouette(distances, 2, 6) == 3
