from __future__ import annotations

import numpy as np
import pytest

from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.refusal import refusal


def test_the_limit_missed_by_most_is_named_first() -> None:
    table = {"macs": np.array([20.0, 30.0]), "size_kb": np.array([11.0, 10.5])}
    limits = [Limit("size_kb", "<=", 10), Limit("macs", "<=", 10)]
    assert str(refusal(table, limits, 2, exact=True)) == (
        "no candidate can meet 'macs <= 10': the nearest reachable value is 20; "
        "'size_kb <= 10': the nearest reachable value is 10.5 "
        "(all 2 configurations were looked at). Relax the limit or search a wider space"
    )


def test_limits_that_can_be_met_alone_get_the_nearest_compromise() -> None:
    table = {"macs": np.array([5.0, 12.0, 20.0]), "latency_ms": np.array([9.0, 3.3, 1.0])}
    limits = [Limit("macs", "<=", 10), Limit("latency_ms", "<=", 3)]
    assert str(refusal(table, limits, 12_345, exact=False)) == (
        "each limit can be met alone, but no candidate meets macs <= 10 and latency_ms <= 3 "
        "together: the nearest compromise has macs 12 (20% off), latency_ms 3.3 (10% off) "
        "(12,345 configurations were looked at). Relax the limit or search a wider space"
    )


@pytest.mark.parametrize("value", [1.00001, 123456.7, 0.00012344, 99999.0, 7.0, 2.5e-9, 23.4])
@pytest.mark.parametrize("relation", ["<=", ">="])
def test_the_printed_value_is_one_that_can_be_reached(value: float, relation: str) -> None:
    bound = value / 2 if relation == "<=" else value * 2
    limit = Limit("macs", relation, bound)
    message = str(refusal({"macs": np.array([value])}, [limit], 1, exact=True))
    printed = float(message.split("nearest reachable value is ")[1].split(" ")[0])
    assert Limit("macs", relation, printed).excess(np.array([value]))[0] == 0
    assert printed == pytest.approx(value, rel=1e-3)


def test_a_margin_is_part_of_the_value_within_reach() -> None:
    limit = Limit("latency_ms", "<=", 2.0, margin=0.1)
    table = {"latency_ms": np.array([1.95, 3.0])}
    message = str(refusal(table, [limit], 2, exact=True))
    assert "nearest reachable value is 2.145, 10% margin included" in message
    assert Limit("latency_ms", "<=", 2.145, margin=0.1).excess(table["latency_ms"])[0] == 0


def test_costs_that_need_more_than_the_limits_say_are_told_apart() -> None:
    table = {"latency_ms": np.array([1.95, 3.0])}
    message = str(refusal(table, [Limit("latency_ms", "<=", 2.0)], 2, exact=True))
    assert message.startswith("no candidate meets latency_ms <= 2 by the margin that these costs")


def test_a_proof_is_named_in_place_of_the_number_looked_at() -> None:
    table = {"macs": np.array([20.0, 30.0])}
    message = str(refusal(table, [Limit("macs", "<=", 10)], 2, exact=False, proven=True))
    assert message.endswith(
        "the nearest reachable value is 20 (proven for every configuration of the space). "
        "Relax the limit or search a wider space"
    )
