"""Costs of Keyword Transformers at other input lengths than their own."""

from __future__ import annotations

import numpy as np

from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.model import RecipeCosts
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily

FAMILY = KeywordTransformerFamily()
PARAMS = KeywordTransformerParams(width=24, depth=2, heads=4, head_dim=4, ffn_ratio=2.0)


def sheet_at(codes: np.ndarray, length: int) -> OperatorSheet:
    """The full network of as many layers as the code says, for inputs (length, 5)."""
    full = FAMILY.structure(PARAMS, (length, 5), 3)
    return FAMILY.sheet(full, {"depth": codes[:, 0]})


def by_hand(depth: int, length: int) -> int:
    projections = 24 * 3 * 16 + 16 * 24
    products = 2 * 4 * length * 4
    layer = length * (projections + products + 2 * 24 * 48)
    return length * 5 * 24 + depth * layer + 24 * 3


def test_a_cost_at_a_length_is_that_of_the_network_for_it() -> None:
    limits = [Limit(f"macs@{length}", "<=", 1e9) for length in (3, 14)]
    costs = RecipeCosts(lambda codes: sheet_at(codes, 7), limits, sheet_at=sheet_at)
    table = costs.table(np.array([[1.0], [2.0]]))
    assert table["macs"].tolist() == [by_hand(1, 7), by_hand(2, 7)]
    assert table["macs@3"].tolist() == [by_hand(1, 3), by_hand(2, 3)]
    assert table["macs@14"].tolist() == [by_hand(1, 14), by_hand(2, 14)]
