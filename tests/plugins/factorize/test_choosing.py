"""Ranks follow from shapes and shares."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.plugins.factorize.choosing import kept_rank, share_of


@pytest.mark.parametrize("outputs", [1, 2, 3, 10, 64])
@pytest.mark.parametrize("inputs", [1, 7, 64, 576])
def test_a_share_of_one_keeps_every_layer_whole(outputs: int, inputs: int) -> None:
    assert kept_rank(1.0, outputs, inputs) == 0


def test_a_rank_is_kept_only_where_two_layers_have_fewer_weights() -> None:
    # 8 x 8: 3 * 16 < 64, while 4 * 16 is as many.
    assert kept_rank(3 / 8, 8, 8) == 3
    assert kept_rank(4 / 8, 8, 8) == 0
    assert kept_rank(0.01, 8, 8) == 1
    assert kept_rank(np.array([0.1, 0.5, 1.0]), 4, 64).tolist() == [1, 2, 0]


def test_groups_without_a_share_of_their_own_have_the_common_one() -> None:
    values = {"rank": 0.5, "attention": None, "feed_forward": 0.25, "head": np.array([1.0, 0.5])}
    assert share_of("attention_projections", values) == 0.5
    assert share_of("feed_forward", values) == 0.25
    assert share_of("linear", values) == 0.5
    assert share_of("head", values).tolist() == [1.0, 0.5]
    columns = {"rank": np.array([0.1]), "convolution": np.array([None], dtype=object)}
    assert share_of("convolution", columns).tolist() == [0.1]
