"""Every built-in measure: identity, invariances, and values against their definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.similarity import Layers, Similarity, similarity_matrix

Array = NDArray[np.float64]
Gather = Callable[..., Layers]

NAMES = ("linear-cka", "procrustes", "r2-cca", "rbf-cka", "rsa")
RNG = np.random.default_rng(0)
LATENT = RNG.normal(size=(200, 4))
X = np.maximum(LATENT @ RNG.normal(size=(4, 6)) + 0.5 * RNG.normal(size=(200, 6)), 0)
Y = LATENT @ RNG.normal(size=(4, 9)) + RNG.normal(size=(200, 9))


def measure(name: str) -> Similarity:
    catalogue = Catalogue.discover({})
    return cast("type[Similarity]", catalogue.resolve(catalogue.similarity(name)))()


def rotation(width: int, seed: int = 0) -> Array:
    return np.asarray(np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))[0])


def centred(features: Array) -> Array:
    return features - features.mean(0)


def squared(features: Array) -> Array:
    """Squared distances of all samples, from differences."""
    return np.asarray(((features[:, None] - features[None]) ** 2).sum(-1))


def gram_cka(k: Array, other: Array) -> float:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with the centring matrix written out."""
    centring = np.eye(len(k)) - 1 / len(k)
    k, other = centring @ k @ centring, centring @ other @ centring
    traces = np.trace(k @ k) * np.trace(other @ other)
    return float(np.trace(k @ other) / np.sqrt(traces))


def linear_cka(x: Array, y: Array) -> float:
    return gram_cka(x @ x.T, y @ y.T)


def rbf_cka(x: Array, y: Array) -> float:
    def kernel(features: Array) -> Array:
        pairs = squared(features)
        median = np.median(np.sqrt(pairs[np.triu_indices(len(pairs), 1)]))
        return np.asarray(np.exp(-pairs / (2 * (0.8 * median) ** 2)))

    return gram_cka(kernel(x), kernel(y))


def r2_cca(x: Array, y: Array) -> float:
    one, other = np.linalg.qr(centred(x))[0], np.linalg.qr(centred(y))[0]
    return float(np.linalg.norm(other.T @ one) ** 2 / min(x.shape[1], y.shape[1]))


def procrustes(x: Array, y: Array) -> float:
    """The narrower layer is filled up with zeros, to be rotated onto the other."""
    width = max(x.shape[1], y.shape[1])
    one, other = (np.pad(centred(f), ((0, 0), (0, width - f.shape[1]))) for f in (x, y))
    one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    left, _, right = np.linalg.svd(one.T @ other)
    return float(1 - np.linalg.norm(one @ (left @ right) - other) ** 2 / 2)


def rsa(x: Array, y: Array) -> float:
    upper = np.triu_indices(len(x), 1)
    ranks = [np.argsort(np.argsort(squared(f)[upper])) for f in (x, y)]
    return float(np.corrcoef(ranks)[0, 1])


DEFINED = {
    "linear-cka": linear_cka, "rbf-cka": rbf_cka, "r2-cca": r2_cca, "procrustes": procrustes,
    "rsa": rsa,
}  # fmt: skip


def between(gathered: Gather, name: str, x: Array, y: Array) -> float:
    return float(measure(name).matrix(gathered(x, y))[0, 1])


def test_the_catalogue_has_every_measure() -> None:
    catalogue = Catalogue.discover({})
    assert tuple(catalogue.names("similarity")) == NAMES
    assert all(issubclass(type(measure(name)), Similarity) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_value_is_that_of_its_definition(gathered: Gather, name: str) -> None:
    expected = DEFINED[name](X, Y)
    assert 0.1 < expected < 0.95
    assert between(gathered, name, X, Y) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_is_wholly_like_itself(gathered: Gather, name: str) -> None:
    assert between(gathered, name, X, X) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_rotations_shifts_and_a_common_scale_change_nothing(gathered: Gather, name: str) -> None:
    plain = between(gathered, name, X, Y)
    moved = between(gathered, name, 3 * X @ rotation(6) + 2, Y @ rotation(9, 1) / 7 - 1)
    assert moved == pytest.approx(plain, abs=1e-12)


def test_any_invertible_map_changes_nothing_for_cca_alone(gathered: Gather) -> None:
    skewed = X @ rotation(6) @ np.diag([1.0, 2, 3, 1, 0.5, 4]) @ rotation(6, 1)
    for name in NAMES:
        same = between(gathered, name, skewed, Y) == pytest.approx(
            between(gathered, name, X, Y), abs=1e-12
        )
        assert same == (name == "r2-cca")


@pytest.mark.parametrize("name", NAMES)
def test_order_of_samples_and_size_of_chunks_change_no_digit(gathered: Gather, name: str) -> None:
    layers = (X, Y, X[:, :3], Y**3)
    matrix = similarity_matrix(gathered(*layers), measure(name))
    streamed = gathered(*layers, chunk=64, order=RNG.permutation(200))
    np.testing.assert_array_equal(similarity_matrix(streamed, measure(name)), matrix)
    jointly = RNG.permutation(200)
    permuted = gathered(*(one[jointly] for one in layers))
    np.testing.assert_array_equal(similarity_matrix(permuted, measure(name)), matrix)


@pytest.mark.parametrize(
    ("name", "most"),
    [("linear-cka", 0.02), ("r2-cca", 0.02), ("rsa", 0.02), ("procrustes", 0.85 * 0.04)],
)
def test_unrelated_layers_are_unlike_over_ten_thousand_samples(
    gathered: Gather, name: str, most: float
) -> None:
    rng = np.random.default_rng(5)
    layers = gathered(rng.normal(size=(10_000, 16)), rng.normal(size=(10_000, 16)), chunk=1000)
    assert measure(name).matrix(layers)[0, 1] < most


def test_gaussian_kernels_over_a_thousand_samples_keep_the_bias_of_few(gathered: Gather) -> None:
    rng = np.random.default_rng(5)
    layers = gathered(rng.normal(size=(1000, 4)), rng.normal(size=(1000, 4)), chunk=1000)
    assert measure("rbf-cka").matrix(layers)[0, 1] < 0.05


def test_dead_channels_span_no_directions(gathered: Gather) -> None:
    dead = np.concatenate([X, np.full((200, 3), 0.1), 2 * X[:, :2]], 1)
    assert between(gathered, "r2-cca", dead, Y) == pytest.approx(r2_cca(X, Y), abs=1e-9)


def test_cca_with_too_few_samples_says_how_many_it_needs(gathered: Gather) -> None:
    wide = np.random.default_rng(1).normal(size=(200, 101))
    said = "r2-cca: tap 'layer1' has 101 features, .* at least 202 samples, better 1010.* got 200"
    with pytest.raises(UserError, match=said):
        measure("r2-cca").matrix(gathered(X, wide))
    assert measure("r2-cca").matrix(gathered(X, wide[:, :100])).shape == (2, 2)


def test_samples_that_mostly_look_the_same_have_no_bandwidth(gathered: Gather) -> None:
    spike = np.ones((200, 3))
    spike[0] = 2
    with pytest.raises(
        UserError, match="most of the 200 samples kept look the same at tap 'layer1"
    ):
        measure("rbf-cka").matrix(gathered(X, spike))


def test_samples_equally_far_apart_have_no_ranks(gathered: Gather) -> None:
    with pytest.raises(UserError, match="8 samples kept are all equally far apart at tap 'layer1'"):
        measure("rsa").matrix(gathered(X[:8], np.eye(8)))


@pytest.mark.parametrize("name", ["rbf-cka", "rsa"])
def test_measures_over_pairs_need_four_samples(gathered: Gather, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} .* at least 4 of them, got 3"):
        measure(name).matrix(gathered(X, Y, kept=3))


def test_opposed_geometries_are_unrelated_to_rank_correlation(gathered: Gather) -> None:
    line = np.arange(6.0)[:, None]
    folded = np.array([0.0, 5, 1, 4, 2, 3])[:, None]
    upper = np.triu_indices(6, 1)
    assert np.corrcoef(squared(line)[upper], squared(folded)[upper])[0, 1] < 0
    assert between(gathered, "rsa", line, folded) == 0
