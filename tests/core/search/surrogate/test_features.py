from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search.surrogate import Features
from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps

Array = NDArray[np.float64]

TEXT = ("relu", "gelu", "silu")
PLAIN = Space([Choice(f"act{i}", TEXT) for i in range(4)])
LAYERED = Space(
    [
        Integer("depth", 1, 3),
        Choice("mixer", ("attention", "convolution"), per="depth"),
        Integer("kernel", 3, 9, step=2, per="depth", when=("mixer", ("convolution",))),
        Choice("form", ("dense", "low-rank")),
        Choice("rank", (4, 8), when=("form", ("low-rank",))),
    ]
)


def drawn(space: Space, count: int = 20) -> Array:
    return space.sample(count, np.random.default_rng(0))


def columns(features: Features, inputs: Array, group: int) -> Array:
    return inputs[:, features.groups == group]


def squared(inputs: Array) -> Array:
    out: Array = ((inputs[:, None] - inputs[None]) ** 2).sum(axis=2)
    return out


def test_unordered_genes_differ_by_the_hamming_distance() -> None:
    codes, features = drawn(PLAIN), Features(PLAIN, {})
    genes = features(codes, {})[:, features.groups < 4]
    hamming = (codes[:, None] != codes[None]).sum(axis=2)
    np.testing.assert_allclose(squared(genes), 2 * hamming, atol=1e-12)


def test_each_gene_has_a_group_and_the_composition_one() -> None:
    features = Features(PLAIN, {})
    assert features.groups.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    layered = Features(LAYERED, {})
    assert np.unique(layered.groups).tolist() == list(range(1 + 3 + 3 + 1 + 1 + 1))


def test_exchanging_genes_of_a_kind_leaves_all_but_the_genes() -> None:
    codes, features = drawn(PLAIN), Features(PLAIN, {})
    shuffled = codes[:, [2, 0, 3, 1]]
    before, after = features(codes, {}), features(shuffled, {})
    genes = features.groups < 4
    np.testing.assert_allclose(before[:, ~genes], after[:, ~genes], atol=1e-12)
    assert (before[:, genes] != after[:, genes]).any()


def test_the_composition_counts_values_over_the_layers_of_a_gene() -> None:
    rows = [
        {"depth": 3, "mixer": ["attention", "convolution", "convolution"], "kernel": [None, 3, 9]},
        {"depth": 3, "mixer": ["convolution", "convolution", "attention"], "kernel": [9, 3, None]},
        {"depth": 1, "mixer": ["convolution"], "kernel": [5]},
    ]
    codes = np.stack([LAYERED.encode({**row, "form": "dense"}) for row in rows])
    features = Features(LAYERED, {})
    composed = columns(features, features(codes, {}), int(features.groups.max()))
    np.testing.assert_allclose(composed[0], composed[1], atol=1e-12)
    counts = composed[:, :2] * np.sqrt(3)
    np.testing.assert_allclose(counts[:, 1], [2, 2, 1], atol=1e-12)
    np.testing.assert_allclose(counts[:, 0], [1, 1, 0], atol=1e-12)


def test_genes_that_are_off_do_not_tell_candidates_apart() -> None:
    features = Features(LAYERED, {})
    settings = {"depth": 1, "mixer": ["attention"], "kernel": [None], "form": "dense"}
    row = features(LAYERED.encode(settings)[None], {})[0]
    origin = LAYERED.feature_origins()
    off = (origin[:, 1] > 0) | np.isin(origin[:, 0], [2, 4])
    assert not row[: len(origin)][off].any()
    other = features(LAYERED.encode({**settings, "form": "low-rank", "rank": 4})[None], {})[0]
    changed = np.flatnonzero(row[: len(origin)] != other[: len(origin)])
    assert {LAYERED.names[dimension] for dimension in origin[changed, 0]} == {"form", "rank"}


@pytest.mark.parametrize(
    ("layers", "kinds", "most"), [(24, 1, 24), (25, 1, 1), (12, 3, 3), (3, 30, 24)]
)
def test_groups_are_shared_when_genes_are_many(layers: int, kinds: int, most: int) -> None:
    names = [f"kind{i}" for i in range(kinds)]
    space = Space(
        [
            Choice("depth", (layers,)),
            *(Choice(n, tuple(range(2 + i)), per="depth") for i, n in enumerate(names)),
        ]
    )
    groups = Features(space, {}).groups
    assert groups.max() + 1 == most + 1
    assert np.unique(groups).tolist() == list(range(most + 1))


def test_costs_are_standardised_logarithms_without_duplicates() -> None:
    codes = drawn(PLAIN, 200)
    size = 100.0 * (1 + codes.sum(axis=1))
    table = {
        "size_kb": size,
        "size_bytes": 1000 * size,
        "loss": codes[:, 0] - 1,
        "same": np.full(200, 3.0),
        "unknown": np.full(200, np.nan),
    }
    features = Features(PLAIN, table)
    cost = columns(features, features(codes, table), 5)[:, 0]
    expected = (np.log(size) - np.log(size).mean()) / np.log(size).std()
    np.testing.assert_allclose(cost, expected, atol=1e-12)
    assert int(features.groups.max()) == 6
    loss = columns(features, features(codes, table), 6)[:, 0]
    np.testing.assert_allclose(loss, (codes[:, 0] - 1 - loss_mean(codes)) / codes[:, 0].std())


def loss_mean(codes: Array) -> float:
    return float(codes[:, 0].mean() - 1)


def test_a_cost_that_is_not_finite_later_is_merely_far() -> None:
    codes = drawn(PLAIN, 5)
    features = Features(PLAIN, {"latency_ms": np.array([1.0, 2.0, 3.0, 4.0, 5.0])})
    later = {"latency_ms": np.array([1.0, np.inf, np.nan, 0.0, 5.0])}
    inputs = features(codes, later)
    assert np.isfinite(inputs).all()
    assert columns(features, inputs, 5)[1:3].tolist() == [[4.0], [4.0]]


def test_no_sample_means_no_cost_features() -> None:
    assert Features(PLAIN, {"size_kb": np.empty(0)}).groups.max() == 4


@pytest.mark.parametrize(
    "space",
    [
        Space([Simplex("weights", 3), Simplex("others", 3)]),
        Space([Taps("hints", count=2, total=6), Taps("more", count=2, total=6)]),
        Space([Real("rate", 1e-4, 1, log=True)]),
        Space([Integer("epochs", 1, 100, log=True), Choice("only", ("one",))]),
        LAYERED,
    ],
)
def test_every_kind_of_dimension_has_columns_and_a_group_for_each(space: Space) -> None:
    codes, features = drawn(space), Features(space, {})
    inputs = features(codes, {})
    assert inputs.shape == (20, len(features.groups))
    assert np.isfinite(inputs).all()
    distinct = len(space.unique(codes))
    assert len(np.unique(np.round(inputs, 9), axis=0)) == distinct


def test_a_space_of_one_configuration_has_only_its_costs() -> None:
    space = Space([Choice("only", (1,))])
    codes = np.zeros((3, 1))
    assert Features(space, {})(codes, {}).shape == (3, 0)
    table = {"latency_ms": np.array([1.0, 2.0, 3.0])}
    features = Features(space, table)
    assert features.groups.tolist() == [0]
    assert features(codes, table).shape == (3, 1)
