from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from stillhouse.core.errors import UserError
from stillhouse.core.similarity import Accumulator, Layers

Gather = Callable[..., Layers]
RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.normal(size=(1300, 3)), RNG.normal(size=(1300, 5))


def test_moments_are_those_of_all_samples_side_by_side(gathered: Gather) -> None:
    second = SECOND + FIRST[:, :1]
    layers, both = gathered(FIRST, second), np.concatenate([FIRST, second], 1)
    centred = both - both.mean(0)
    assert (layers.names, layers.widths, layers.samples) == (("layer0", "layer1"), (3, 5), 1300)
    np.testing.assert_allclose(layers.means, both.mean(0), rtol=0, atol=1e-14)
    np.testing.assert_allclose(layers.scatter, centred.T @ centred, rtol=1e-12, atol=1e-10)
    np.testing.assert_array_equal(layers.scatter, layers.scatter.T)


def test_between_is_the_cross_scatter_of_two_layers(gathered: Gather) -> None:
    layers = gathered(FIRST, SECOND, FIRST)
    one, other = FIRST - FIRST.mean(0), SECOND - SECOND.mean(0)
    np.testing.assert_allclose(layers.between(2, 1), one.T @ other, rtol=1e-12, atol=1e-10)
    np.testing.assert_array_equal(layers.between(1, 2), layers.between(2, 1).T)
    np.testing.assert_array_equal(layers.between(0, 0), layers.between(2, 2))


def test_a_mean_far_from_zero_costs_no_digits_of_the_scatter(gathered: Gather) -> None:
    fine = np.round(FIRST * 1024) / 1024  # so that the shift itself rounds nothing
    shifted = gathered(fine + 2.0**20).scatter
    np.testing.assert_allclose(shifted, gathered(fine).scatter, rtol=1e-9, atol=1e-6)


def test_drifting_data_cost_no_digits_of_the_scatter(gathered: Gather) -> None:
    drifting = FIRST + np.linspace(0, 1e4, len(FIRST))[:, None]
    centred = drifting - drifting.mean(0)
    np.testing.assert_allclose(gathered(drifting).scatter, centred.T @ centred, rtol=1e-12)


@pytest.mark.parametrize("chunk", [1, 64, 512, 600, 1300])
def test_chunks_of_any_size_give_the_same_layers(gathered: Gather, chunk: int) -> None:
    one, other = gathered(FIRST, SECOND), gathered(FIRST, SECOND, chunk=chunk)
    np.testing.assert_array_equal(one.scatter, other.scatter)
    np.testing.assert_array_equal(one.means, other.means)


def test_the_order_of_samples_decides_rounding_alone(gathered: Gather) -> None:
    mixed = gathered(FIRST, SECOND, order=RNG.permutation(1300), kept=50)
    layers = gathered(FIRST, SECOND, kept=50)
    np.testing.assert_allclose(mixed.scatter, layers.scatter, rtol=1e-12, atol=1e-10)
    for one, other in zip(mixed.rows, layers.rows, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_are_kept_of_evenly_spaced_samples(gathered: Gather) -> None:
    layers = gathered(FIRST, SECOND, kept=4)
    np.testing.assert_array_equal(layers.rows[0], FIRST[[0, 325, 650, 975]])
    np.testing.assert_array_equal(layers.rows[1], SECOND[[0, 325, 650, 975]])
    np.testing.assert_array_equal(gathered(FIRST, kept=5000).rows[0], FIRST)


def held(samples: int) -> int:
    """Bytes of what an accumulator holds at most while samples go in."""
    accumulator, most = Accumulator(["a", "b"], samples, kept=100), 0
    generator = torch.Generator().manual_seed(0)
    for indices in torch.split(torch.arange(samples), 128):
        features = torch.randn(len(indices), 6, 24, generator=generator)
        accumulator.add({"a": features, "b": features[:, 0]}, indices)
        parts = [part for one in vars(accumulator).values()
                 for part in (one if isinstance(one, list) else [one])]  # fmt: skip
        most = max(most, sum(p.nbytes for p in parts if isinstance(p, Tensor | np.ndarray)))
    assert accumulator.layers().samples == samples
    return most


def test_memory_does_not_depend_on_the_number_of_samples() -> None:
    assert held(2560) == held(12_800)


def one_layer(features: Tensor, mask: Tensor | None = None) -> np.ndarray:
    accumulator = Accumulator(["x"], 4)
    accumulator.add({"x": features}, torch.arange(4), mask)
    return accumulator.layers().rows[0]


def test_features_are_means_over_all_position_axes() -> None:
    maps = torch.randn(4, 3, 5, 2)
    expected = maps.double().mean((1, 2)).numpy()
    np.testing.assert_allclose(one_layer(maps), expected, rtol=1e-14)
    np.testing.assert_allclose(one_layer(maps.reshape(60, 2)), expected, rtol=1e-14)
    np.testing.assert_array_equal(one_layer(maps[:, 0, 0]), maps[:, 0, 0].double().numpy())


def test_what_stands_at_padded_positions_changes_nothing() -> None:
    features, mask = torch.randn(4, 6, 2), torch.arange(6) < torch.tensor([[6], [1], [4], [2]])
    changed = features.masked_fill(~mask[..., None], torch.nan)
    found = one_layer(changed, mask)
    np.testing.assert_array_equal(found, one_layer(features, mask))
    np.testing.assert_array_equal(found, one_layer(changed.flatten(0, 1), mask))
    lengths = zip(features.double(), mask.sum(1).tolist(), strict=True)
    expected = torch.stack([one[:length].mean(0) for one, length in lengths])
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-14)


def test_features_of_one_vector_a_sample_need_no_mask() -> None:
    vectors, mask = torch.randn(4, 2), torch.ones(4, 6, dtype=torch.bool)
    np.testing.assert_array_equal(one_layer(vectors, mask), vectors.double().numpy())


@pytest.mark.parametrize(
    ("features", "mask", "said"),
    [
        (torch.ones(4, 3, 2), torch.ones(4, 5), "tap 'x': expected features of 5 positions"),
        (torch.ones(4, 3, 2), torch.zeros(4, 3), "tap 'x': a sample is all padding"),
        (torch.full((4, 2), torch.inf), None, "tap 'x': expected finite features"),
        (torch.ones(5, 2), None, r"tap 'x': expected features .* of 4 samples, got \(5, 2\)"),
        (torch.ones(8, 3, 2), None, r"tap 'x': .* got \(8, 3, 2\)"),
        (torch.ones(4), None, r"tap 'x': .* got \(4,\)"),
    ],
)
def test_features_without_a_mean_are_refused_by_tap(
    features: Tensor, mask: Tensor | None, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        one_layer(features, None if mask is None else mask.bool())


def test_taps_that_repeat_or_too_few_samples_are_refused() -> None:
    with pytest.raises(UserError, match="expected taps of different names, got a, a"):
        Accumulator(["a", "a"], 10)
    with pytest.raises(UserError, match="got none"):
        Accumulator([], 10)
    with pytest.raises(UserError, match="at least 2 samples to compare layers by, got 1"):
        Accumulator(["a"], 1)


def test_samples_that_never_came_are_noticed() -> None:
    accumulator = Accumulator(["x"], 5)
    accumulator.add({"x": torch.ones(4, 2)}, torch.arange(4))
    with pytest.raises(ValueError, match="expected 5 samples, got 4"):
        accumulator.layers()
