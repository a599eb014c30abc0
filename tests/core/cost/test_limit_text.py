"""A limit is read from the form in which people write it."""

from __future__ import annotations

import pytest

from stillhouse.core.cost.limit_text import WrittenLimit, parse_limit
from stillhouse.core.errors import UserError

LOW = WrittenLimit("size_kb", ">=", 1.0, False, ">= 1")
HIGH = WrittenLimit("size_kb", "<=", 9.5, False, "<= 9.5")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency_ms <= 2", ("latency_ms", "<=", 2.0, False, "<= 2")),
        ("latency_ms<=2e-1 %", ("latency_ms", "<=", 0.2, True, "<= 2e-1%")),
        ("2 >= latency_ms", ("latency_ms", "<=", 2.0, False, "<= 2")),
        ("val.accuracy >= 97.50%", ("val.accuracy", ">=", 97.5, True, ">= 97.50%")),
        (">= 1000", ("", ">=", 1000.0, False, ">= 1000")),
        (" <= 10% ", ("", "<=", 10.0, True, "<= 10%")),
        ("10%", ("", "<=", 10.0, True, "<= 10%")),
        ("2.", ("", "<=", 2.0, False, "<= 2.")),
        (".5", ("", "<=", 0.5, False, "<= .5")),
        ("latency_ms@98 <= 2", ("latency_ms@98", "<=", 2.0, False, "<= 2")),
        ("2e3 >= macs@49", ("macs@49", "<=", 2000.0, False, "<= 2e3")),
        ("drift >= -3", ("drift", ">=", -3.0, False, ">= -3")),
    ],
)
def test_a_bound_is_read_with_its_relation_and_its_own_digits(
    text: str, expected: tuple[object, ...]
) -> None:
    assert parse_limit(text) == [expected]


@pytest.mark.parametrize(
    "text", ["1 <= size_kb <= 9.5", "9.5>=size_kb>=1", "size_kb 1 .. 9.5", "size_kb: 1..9.5"]
)
def test_a_range_is_two_limits(text: str) -> None:
    assert parse_limit(text) == [LOW, HIGH]


def test_a_range_may_leave_the_name_to_its_place() -> None:
    assert parse_limit("5% .. 10%") == [
        ("", ">=", 5.0, True, ">= 5%"),
        ("", "<=", 10.0, True, "<= 10%"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "latency_ms", "latency_ms < 2", "latency_ms 2", "<=", "1 <= size_kb >= 2", "1 .. ",
     "2 ms", "1 <= 2", "nan", "a <= b", "<= <= 2", "size kb <= 2", "1.2.3",
     "latency_ms@ <= 2", "latency_ms@long <= 2", "1 <= a <= b <= 2"],
)  # fmt: skip
def test_any_other_form_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_limit(text)
    assert str(refused.value) == (
        'expected a limit such as "latency_ms <= 2", "1 <= size_kb <= 9", ">= 1000", '
        f'"0.1 .. 0.2" or "<= 10%", got "{text}"'
    )


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("latency_ms <= 1e999", "expected a finite bound"),
        ("3 .. 2", "expected the lower bound first and no larger"),
        ("3 <= size_kb <= 2", "expected the lower bound first and no larger"),
        ("1 .. 10%", "expected both bounds in percent or neither"),
    ],
)
def test_bounds_that_cannot_be_meant_are_refused(text: str, fact: str) -> None:
    with pytest.raises(UserError, match=fact):
        parse_limit(text)
