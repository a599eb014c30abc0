"""Costs of quantised layers, over candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stillhouse.core.cost import terms
from stillhouse.plugins.quantize.int8 import Int8

Network = Callable[[str], Any]


def sheet_of(made: Any, count: int) -> Any:
    context, _ = made
    family = context.family
    return family.sheet(context.full, family.columns([context.full] * count)), context


def test_each_candidate_has_its_own_scheme(network: Network, columns: Any) -> None:
    plain, context = sheet_of(network("keyword-transformer"), 3)
    schemes = np.array(["none", "dynamic", "static"], object)
    found = Int8().sheet(plain, columns(3, scheme=schemes), context)
    row = next(row for row in found.rows if row.name == "blocks.0.attention.qkv")
    assert row["weight_bits"].tolist() == [32, 8, 8]
    assert row["activation_bits"].tolist() == [32, 8, 8]
    assert row["dynamic_scale"].tolist() == [0, 1, 0]
    assert row["kept_bits"].tolist() == [0, 32, 32]
    assert row["scales"].tolist() == [0, 48, 60]
    assert terms.parameters(found).tolist() == terms.parameters(plain).tolist()
    assert (
        terms.peak_activation_bytes(found).tolist() == terms.peak_activation_bytes(plain).tolist()
    )


def test_groups_go_before_the_scheme(network: Network, columns: Any) -> None:
    plain, context = sheet_of(network("keyword-transformer"), 2)
    own = np.array(["static", None], object)
    found = Int8().sheet(plain, columns(2, scheme="none", feed_forward=own), context)
    eight = {row.group for row in found.rows if np.any(np.equal(row["weight_bits"], 8))}
    assert eight == {"feed_forward"}
    up = next(row for row in found.rows if row.name == "blocks.1.feed_forward.up")
    assert up["weight_bits"].tolist() == [8, 32]


def test_integer_convolutions_pass_integers_on(network: Network, columns: Any) -> None:
    plain, context = sheet_of(network("residual"), 2)
    schemes = np.array(["dynamic", "static"], object)
    found = Int8().sheet(plain, columns(2, scheme=schemes), context)
    stem = next(row for row in found.rows if row.name == "stem")
    assert stem["kept_bits"].tolist() == [0, 8]
    assert stem["weight_bits"].tolist() == [32, 8]


@pytest.mark.parametrize(
    ("given", "scales"),
    [
        ({"weights": "signed"}, 48),
        ({"weights": "unsigned"}, 60),
        ({"per_channel": False}, 1),
        ({"per_channel": False, "weights": "unsigned"}, 1.25),
    ],
)
def test_scales_and_zero_points_are_counted(
    given: dict[str, Any], scales: float, network: Network, columns: Any
) -> None:
    plain, context = sheet_of(network("keyword-transformer"), 1)
    found = Int8().sheet(plain, columns(1, **given), context)
    row = next(row for row in found.rows if row.name == "blocks.0.attention.qkv")
    assert row["scales"].tolist() == [scales]


def test_patterns_hold_for_the_parts_of_a_layer(network: Network, columns: Any) -> None:
    from stillhouse.plugins.factorize.info import FactorizeParams
    from stillhouse.plugins.factorize.sheet import factorised_sheet

    plain, context = sheet_of(network("keyword-transformer"), 1)
    thin = factorised_sheet(plain, {**vars(FactorizeParams(rank=0.25))}, "*")
    found = Int8().sheet(thin, columns(1, layers="blocks.0.feed_forward.up"), context)
    eight = [row.name for row in found.rows if np.all(np.equal(row["weight_bits"], 8))]
    assert eight == ["blocks.0.feed_forward.up.0", "blocks.0.feed_forward.up"]
