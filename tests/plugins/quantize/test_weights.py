"""Weights as integers: nearest steps, no overflow, biases that fit."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.plugins.quantize.weights import kind_for, rounded


def drawn(shape: tuple[int, int] = (5, 40)) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", ["signed", "unsigned", "reduced"])
def test_weights_are_half_a_step_away_at_most(kind: str, per_channel: bool) -> None:
    weights = drawn() * np.array([[1], [10], [0.1], [1], [3]], np.float32)
    found = rounded(weights, kind, per_channel)
    assert found.scale.shape == found.zero.shape == ((5,) if per_channel else ())
    scale, zero = (np.reshape(part, (-1, 1)).astype(float) for part in (found.scale, found.zero))
    back = (found.values - zero) * scale
    assert (np.abs(back - weights) <= scale * 0.5001).all()


def test_signed_and_reduced_weights_stay_within_their_numbers() -> None:
    assert (
        np.abs(rounded(drawn(), "signed", True).values.astype(int)).max(axis=1).tolist()
        == [127] * 5
    )
    reduced = rounded(drawn(), "reduced", True).values.astype(int)
    assert np.abs(reduced).max(axis=1).tolist() == [64] * 5
    # Two products of 8 bits in 16, as VPMADDUBSW adds them.
    assert 2 * 255 * np.abs(reduced).max() < 2**15


def test_a_zero_stays_a_zero() -> None:
    weights = np.abs(drawn()) + 1
    weights[:, 3] = 0
    for kind in ("signed", "unsigned", "reduced"):
        found = rounded(weights, kind, True)
        assert (found.values[:, 3] == found.zero).all()


def test_zeros_alone_have_a_scale_all_the_same() -> None:
    for kind in ("signed", "unsigned", "reduced"):
        found = rounded(np.zeros((2, 3), np.float32), kind, True)
        assert found.scale.tolist() == [1, 1]
        assert (found.values == found.zero[:, None]).all()


def test_scales_are_as_large_as_biases_want_them() -> None:
    least = np.array([0, 0, 5, 0, 0], np.float32)
    assert rounded(drawn(), "signed", True, least).scale[2] == 5
    assert rounded(drawn(), "signed", False, least).scale == 5


@pytest.mark.parametrize(
    ("machine", "kind"),
    [
        ({"machine": "AMD64", "flags": ["avx2"]}, "reduced"),
        ({"machine": "x86_64", "flags": ["avx512f", "avx512_vnni"]}, "signed"),
        ({"machine": "arm64", "flags": []}, "signed"),
        ({}, "signed"),
    ],
)
def test_automatic_kinds_follow_the_processor(machine: dict[str, object], kind: str) -> None:
    assert kind_for(machine, "auto") == kind
    assert kind_for(machine, "unsigned") == "unsigned"
