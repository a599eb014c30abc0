"""What costs are called, at one input length or not."""

from __future__ import annotations

import pytest

from stillhouse.core.cost.limits import Limit, resolve
from stillhouse.core.cost.names import COST_NAMES, base_of, is_cost, is_timed, length_of, lengths_in
from stillhouse.core.errors import UserError


def test_costs_of_running_may_be_those_at_one_length() -> None:
    assert is_cost("latency_ms@98")
    assert (base_of("latency_ms@98"), length_of("latency_ms@98")) == ("latency_ms", 98)
    assert (base_of("latency_ms"), length_of("latency_ms")) == ("latency_ms", None)
    assert lengths_in(["macs@98", "latency_ms@20", "macs", "energy@98"]) == (20, 98)


@pytest.mark.parametrize(
    "name",
    ["parameters@98", "size_kb@98", "latency_ms@0", "latency_ms@", "latency_ms@9x", "accuracy",
     "latency_ms@-1", "latency_ms@098", "accuracy@98", "latency_ms@1000000"],
)  # fmt: skip
def test_what_is_no_cost_has_no_length(name: str) -> None:
    assert not is_cost(name)
    assert length_of(name) is None


def test_every_cost_is_one() -> None:
    assert all(is_cost(name) for name in COST_NAMES)


def test_only_milliseconds_need_a_latency_model() -> None:
    timed = [name for name in COST_NAMES if is_timed(name)]
    assert timed == ["latency_ms", "device_ms", "network_ms", "server_ms", "latency_p95_ms"]
    assert is_timed("latency_ms@98")
    assert not is_timed("energy_mj@98")
    assert not is_timed("drift_ms")


def test_a_limit_may_name_a_length() -> None:
    assert resolve("latency_ms@98", "<=", 2, False, {}) == Limit("latency_ms@98", "<=", 2.0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("latncy_ms@98", "did you mean 'latency_ms'"),
        ("parameters@98", "one for inputs of all lengths: write parameters"),
        ("latency_ms@0", "a whole number above 0, as in latency_ms@98"),
        ("latency_ms@long", "a whole number above 0, as in latency_ms@98"),
    ],
)
def test_a_name_that_is_no_cost_is_refused_with_the_next_step(name: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        resolve(name, "<=", 2, False, {})
    assert said in str(refused.value)
