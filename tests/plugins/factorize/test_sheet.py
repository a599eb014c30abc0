"""What the sheet says is what a run of the built network does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stillhouse.core.cost.counting import module_sheet
from stillhouse.core.cost.terms import totals
from stillhouse.core.evaluate import Choice
from stillhouse.core.space import Choice as Gene
from stillhouse.core.space import Space
from stillhouse.plugins.factorize.factorize import Factorize
from stillhouse.plugins.factorize.info import FactorizeParams
from stillhouse.plugins.supernet.supernet import Supernet

FAMILIES = ("keyword-transformer", "depthwise", "residual", "resnet", "plain-cnn", "vit", "hubert")
SHARES = (0.1, 0.4, 0.7, 1.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_costs_equal_those_of_the_traced_network(
    family: str, network: Callable[[str], Any], columns: Callable[..., Any]
) -> None:
    context, state = network(family)
    given = {"head": 0.5, "front_end": 0.5}
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    repeated = plain.take(np.zeros(len(SHARES), np.int64))
    over = columns(len(SHARES), rank=np.array(SHARES), **given)
    found = totals(Factorize().sheet(repeated, over, context))
    built = [
        Factorize().skeleton(state.student, Choice(FactorizeParams(rank=r, **given)), context)
        for r in SHARES
    ]
    traced = totals(module_sheet([s.module for s in built], context.task.example(1)))
    assert {n: v.tolist() for n, v in found.items()} == {n: v.tolist() for n, v in traced.items()}
    assert found["parameters"][0] < found["parameters"][1] < found["parameters"][3]


def test_a_share_of_one_leaves_every_row_as_it_was(
    network: Callable[[str], Any], columns: Callable[..., Any]
) -> None:
    context, _ = network("resnet")
    plain = context.family.sheet(context.full, context.family.columns([context.full]))
    assert Factorize().sheet(plain, columns(1, rank=1.0), context).rows == plain.rows


def test_subnets_of_all_shapes_are_counted_together(
    network: Callable[[str], Any], columns: Callable[..., Any]
) -> None:
    context, _ = network("keyword-transformer")
    space = Space(
        [
            Gene("width", (8, 12, 16)),
            Gene("depth", (1, 2)),
            Gene("heads", (1, 2), per="depth"),
            Gene("ffn_ratio", (1.0, 2.0), per="depth"),
        ]
    )
    codes = space.unique(space.sample(40, np.random.default_rng(0)))
    shares = np.tile(SHARES, len(codes))[: len(codes)]
    sheet = context.family.sheet(context.full, space.columns(codes))
    over = columns(len(codes), rank=shares, attention=shares[::-1])
    found = totals(Factorize().sheet(sheet, over, context))
    built = []
    for row, rank, attention in zip(codes, shares, shares[::-1], strict=True):
        subnet = Supernet().skeleton(None, Choice(None, space.decode(row)), context)
        params = FactorizeParams(rank=float(rank), attention=float(attention))
        built.append(Factorize().skeleton(subnet, Choice(params), context))
    traced = totals(module_sheet([s.module for s in built], context.task.example(1)))
    assert {n: v.tolist() for n, v in found.items()} == {n: v.tolist() for n, v in traced.items()}
