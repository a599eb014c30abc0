"""What the sheet says is what samples cost on their way through the built network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from stillhouse.core.cost.counting import module_sheet
from stillhouse.core.cost.dynamic import longest, outcomes
from stillhouse.core.cost.running import Pricing, running_costs
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.terms import NAMES, macs, totals
from stillhouse.core.evaluate import Choice
from stillhouse.core.space import Choice as Gene
from stillhouse.core.space import Space
from stillhouse.plugins.dynamic.early_exit import EarlyExit
from stillhouse.plugins.dynamic.info import EarlyExitParams
from stillhouse.plugins.factorize.factorize import Factorize
from stillhouse.plugins.factorize.info import FactorizeParams
from stillhouse.plugins.supernet.supernet import Supernet

FAMILIES = (
    "keyword-transformer",
    "cnn",
    "residual",
    "resnet",
    "plain-cnn",
    "vit",
    "hubert",
    "bert",
)
RULES = [
    pytest.param("entropy", marks=pytest.mark.slow),
    pytest.param("max-probability", marks=pytest.mark.slow),
    "margin",
]
Made = Callable[[str], Any]
Columns = Callable[..., dict[str, Any]]


def plain(context: Any, count: int = 1) -> OperatorSheet:
    sheet = context.family.sheet(context.full, context.family.columns([context.full]))
    return sheet.take(np.zeros(count, np.int64))


def listed(values: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: found.tolist() for name, found in values.items()}


@pytest.mark.parametrize("criterion", RULES)
@pytest.mark.parametrize("family", FAMILIES)
def test_all_costs_of_the_longest_way_equal_those_of_the_traced_network(
    family: str, criterion: Any, network: Made, columns: Columns
) -> None:
    context, state = network(family)
    counts = np.array([1.0, 2.0, 3.0])
    over = columns(3, exits=counts, criterion=criterion)
    # What a network does with padding no family's sheet has rows for.
    names = NAMES if family != "bert" else ("parameters", "weight_bytes", "macs")
    found = totals(longest(EarlyExit().sheet(plain(context, 3), over, context)), names)
    built = [
        EarlyExit().skeleton(
            state.student, Choice(EarlyExitParams(exits=int(n), criterion=criterion)), context
        )
        for n in counts
    ]
    traced = totals(module_sheet([s.module for s in built], context.task.example(1)), names)
    assert listed(found) == listed(traced)


def test_subnets_of_all_depths_are_counted_together_also_when_factorised(
    network: Made, columns: Columns
) -> None:
    context, _ = network("keyword-transformer")
    space = Space(
        [
            Gene("width", (8, 16)),
            Gene("depth", (1, 2, 3, 4)),
            Gene("heads", (1, 2), per="depth"),
            Gene("ffn_ratio", (1.0, 2.0), per="depth"),
        ]
    )
    codes = space.unique(space.sample(8, np.random.default_rng(0)))
    exits = np.tile([1.0, 2.0, 3.0], len(codes))[: len(codes)]
    thin = FactorizeParams(rank=0.25)
    factors = {name: np.full(len(codes), value, object if value is None or isinstance(value, str)
                             else float) for name, value in vars(thin).items()}  # fmt: skip
    sheet = Factorize().sheet(
        context.family.sheet(context.full, space.columns(codes)), factors, context
    )
    found = totals(longest(EarlyExit().sheet(sheet, columns(len(codes), exits=exits), context)))
    built = []
    for row, count in zip(codes, exits, strict=True):
        subnet = Supernet().skeleton(None, Choice(None, space.decode(row)), context)
        subnet = Factorize().skeleton(subnet, Choice(thin), context)
        params = EarlyExitParams(exits=int(count))
        built.append(EarlyExit().skeleton(subnet, Choice(params), context))
    traced = totals(module_sheet([s.module for s in built], context.task.example(1)))
    assert listed(found) == listed(traced)


def test_the_expected_cost_is_the_mean_of_what_the_samples_cost(
    network: Made, columns: Columns
) -> None:
    context, _ = network("keyword-transformer")
    sheet = EarlyExit().sheet(plain(context), columns(1, exits=3.0, leave=0.5), context)
    ways = outcomes(sheet)
    assert [float(share[0]) for _, share in ways] == [0.5, 0.25, 0.125, 0.125]
    spent = [float(macs(way)[0]) for way, _ in ways]
    assert spent == sorted(spent)
    samples = [cost for cost, n in zip(spent, (4, 2, 1, 1), strict=True) for _ in range(n)]
    costs = running_costs(((1.0, sheet),), Pricing())
    assert float(costs["macs"]()[0]) == np.mean(samples)
    assert float(costs["macs_p95"]()[0]) == spent[3]


def test_fewer_leaving_cost_more_and_none_leaving_costs_the_whole_and_its_exits(
    network: Made, columns: Columns
) -> None:
    context, _ = network("cnn")
    shares = np.array([0.9, 0.6, 0.3])
    expected = macs(EarlyExit().sheet(plain(context, 3), columns(3, leave=shares), context))
    assert expected[0] < expected[1] < expected[2] < macs(plain(context))[0]


@pytest.mark.parametrize("family", ["keyword-transformer", "cnn", "vit"])
def test_an_expected_cost_is_met_whatever_the_number_of_exits(
    family: str, network: Made, columns: Columns
) -> None:
    context, _ = network(family)
    cost = np.array([0.7, 0.7, 0.8, 0.9])
    over = columns(4, exits=np.array([1.0, 2.0, 2.0, 1.0]), cost=cost)
    whole = macs(plain(context))[0]
    found = macs(EarlyExit().sheet(plain(context, 4), over, context)) / whole
    np.testing.assert_allclose(found, cost, rtol=1e-9)


def test_a_network_of_one_block_stays_as_it_is(network: Made, columns: Columns) -> None:
    context, _ = network("keyword-transformer")
    genes = {"width": 16, "depth": 1, "heads": [2], "ffn_ratio": [2.0]}
    one = context.family.subnet(context.full, genes)
    sheet = context.family.sheet(context.full, context.family.columns([one]))
    before, after = totals(sheet), totals(EarlyExit().sheet(sheet, columns(1), context))
    assert listed(after) == listed(before)
