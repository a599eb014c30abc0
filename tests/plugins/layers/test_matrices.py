"""What is one matrix is found; what is not is named with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from stillhouse.plugins.layers.matrices import sorted_out


class Odd(nn.Module):
    """One part of each kind that stays whole."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.table = nn.Linear(4, 4), nn.Embedding(3, 4)
        self.depthwise = nn.Conv1d(4, 4, 3, groups=4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.first, self.tied = nn.Linear(4, 4), nn.Linear(4, 4)
        self.tied.weight = self.first.weight
        self.recurrent = nn.LSTM(4, 4)
        self.normed = parametrizations.weight_norm(nn.Linear(4, 4))
        self.norm = nn.LayerNorm(4)


@pytest.fixture
def odd() -> nn.Module:
    with torch.random.fork_rng():
        return Odd()


def test_weights_that_something_else_reads_stay_whole_with_the_reason(odd: nn.Module) -> None:
    layers, whole = sorted_out(odd)
    assert list(layers) == ["plain"]
    assert whole["table"] == "it is of the kind Embedding"
    assert whole["depthwise"] == "it convolves in 4 groups"
    assert whole["attention"] == "it is of the kind MultiheadAttention"
    assert whole["attention.out_proj"] == "it is of the kind NonDynamicallyQuantizableLinear"
    assert whole["first"] == whole["tied"] == "another module shares its weights"
    assert whole["recurrent"] == "it is of the kind LSTM"
    assert whole["normed"] == "it is of the kind ParametrizedLinear"
    assert "norm" not in whole


def test_a_network_that_is_a_layer_stays_whole() -> None:
    with torch.random.fork_rng():
        assert sorted_out(nn.Linear(3, 3)) == ({}, {"": "it is the network itself"})


def test_of_a_transformer_every_projection_is_found_by_its_rows_name(
    network: Callable[[str], Any],
) -> None:
    _, state = network("keyword-transformer")
    layers, whole = sorted_out(state.student.module)
    block = ("attention.qkv", "attention.out", "feed_forward.up", "feed_forward.down")
    expected = {f"blocks.{i}.{part}" for i in range(2) for part in block} | {"frames", "head"}
    assert set(layers) == expected
    assert set(whole) == {"positions"}
    assert layers["blocks.0.attention.qkv"].matrix.shape == (48, 16)
