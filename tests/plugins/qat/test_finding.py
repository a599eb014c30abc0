"""Which layers are quantised, and to how many bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse.core.evaluate import Artefact, Choice
from stillhouse.plugins.factorize.factorize import Factorize
from stillhouse.plugins.factorize.info import FactorizeParams
from stillhouse.plugins.qat.finding import bits_of, matches, plan, sorted_out, unmatched
from stillhouse.plugins.qat.info import QatParams


def test_of_a_transformer_every_projection_is_found_by_its_rows_name(
    network: Callable[[str], Any],
) -> None:
    _, state = network("keyword-transformer")
    layers, others = sorted_out(state.student.module)
    block = ("attention.qkv", "attention.out", "feed_forward.up", "feed_forward.down")
    expected = {f"blocks.{i}.{part}" for i in range(2) for part in block} | {"frames", "head"}
    assert set(layers) == expected
    assert set(others) == {"positions"}


def test_convolutions_of_any_number_of_groups_are_found_and_other_weights_with_a_reason() -> None:
    with torch.random.fork_rng():
        odd = nn.ModuleDict(
            {
                "depthwise": nn.Conv2d(4, 4, 3, groups=4),
                "table": nn.Embedding(3, 4),
                "recurrent": nn.LSTM(4, 4),
                "one": nn.Linear(4, 4),
                "same": nn.Linear(4, 4),
                "norm": nn.BatchNorm1d(4),
            }
        )
        odd["same"].weight = odd["one"].weight
    layers, others = sorted_out(odd)
    assert list(layers) == ["depthwise"]
    assert others == {
        "table": "it is of the kind Embedding",
        "recurrent": "it is of the kind LSTM",
        "one": "another module shares its weights",
        "same": "another module shares its weights",
    }
    assert sorted_out(odd["depthwise"]) == ({}, {"": "it is the network itself"})


def test_the_first_and_last_layers_have_8_bits_where_the_others_have_4() -> None:
    values = vars(QatParams(bits=4, attention=8))
    groups = ("front_end", "attention_projections", "feed_forward", "convolution", "head", "linear")
    assert [int(bits_of(group, values)) for group in groups] == [8, 8, 4, 4, 8, 4]
    assert int(bits_of("head", vars(QatParams(bits=4, head=4)))) == 4
    for bits in (32, 7):
        assert int(bits_of("front_end", vars(QatParams(bits=bits)))) == bits
    over = {**values, "bits": np.array([4.0, 8, 32])}
    assert np.asarray(bits_of("head", {**over, "head": None})).tolist() == [8, 8, 32]


def test_patterns_name_layers_or_what_holds_them() -> None:
    names = ["blocks.0.attention.qkv", "blocks.0.attention.out", "head"]

    def chosen(patterns: str) -> list[str]:
        return [name for name in names if matches(name, patterns)]

    assert chosen("*") == names
    assert chosen("blocks.0.attention") == names[:2]
    assert chosen("blocks.*, !*.out") == names[:1]
    assert chosen("!head") == names[:2]
    assert unmatched(names, "blocks, !tail, head") == ["!tail"]


@pytest.mark.parametrize("family", ["keyword-transformer", "residual"])
def test_two_factors_have_the_bits_of_the_layer_that_they_stand_for(
    family: str, network: Callable[[str], Any]
) -> None:
    context, state = network(family)
    thin = Factorize().apply(state, Choice(FactorizeParams(rank=0.25)), Artefact(), context)
    params = QatParams(bits=4, attention=8, layers="!*.feed_forward")
    found = plan(thin.student, params, context)
    if family == "residual":
        assert found["stages.0.0.conv1.0"] == found["stages.0.0.conv1.1"] == 4
        assert found["stem"] == found["head"] == 8
    else:
        assert found == {
            "frames": 8, "blocks.0.attention.qkv.0": 8, "blocks.0.attention.qkv.1": 8,
            "blocks.0.attention.out.0": 8, "blocks.0.attention.out.1": 8,
            "blocks.1.attention.qkv.0": 8, "blocks.1.attention.qkv.1": 8,
            "blocks.1.attention.out.0": 8, "blocks.1.attention.out.1": 8, "head": 8,
        }  # fmt: skip
