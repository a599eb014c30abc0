from __future__ import annotations

import math

import pytest

from stillhouse.core.report.spans import Span, between, decimals, exponent, span, written


def test_a_span_is_read_with_its_interval_or_without() -> None:
    assert span({"mean": 1.0, "low": 0.5, "high": 2.0}) == Span(1.0, 0.5, 2.0)
    assert span({"mean": 1.0, "low": 0.5, "high": math.nan}) == Span(1.0)
    assert span({"mean": 1.0, "low": 1.5, "high": 2.0}) == Span(1.0)
    assert span({"mean": math.inf}) is span({}) is span(None) is None


def test_zero_is_undecided_only_where_the_interval_reaches_it() -> None:
    assert Span(1.0, 0.0, 2.0).undecided
    assert not Span(1.0, 0.1, 2.0).undecided
    assert not Span(1.0).undecided
    assert Span(0.0).nothing
    assert not Span(0.0, -1.0, 1.0).nothing


def test_places_leave_two_digits_of_the_half() -> None:
    assert decimals([Span(0.5, 0.488, 0.512)]) == 3
    assert decimals([Span(50.0, 38.0, 62.0)]) == 0
    assert decimals([Span(0.5)]) == decimals([]) == 4


@pytest.mark.parametrize(
    ("value", "places", "shown"),
    [(0.0123, 3, "0.012"), (-0.0123, 3, "−0.012"), (0.0004, 2, "0.0004"), (3e-9, 4, "3e-9"),
     (0.0, 3, "0"), (1234.5, 1, "1,234.5")],
)  # fmt: skip
def test_a_number_never_loses_its_last_digit(value: float, places: int, shown: str) -> None:
    assert written(value, places) == shown


def test_an_end_that_is_not_zero_does_not_read_as_zero() -> None:
    assert between(Span(0.03, -0.0031, 0.06), 2) == "−0.003 to 0.06"
    assert between(Span(0.03, 0.0, 0.06), 2) == "0.00 to 0.06"
    assert between(Span(1e-9, -2e-8, 3e-8), 3) == "−2e-8 to 3e-8"
    assert between(Span(0.0004, 0.0003, 0.0005), 1) == "0.00030 to 0.00050"
    assert between(Span(0.5), 2) == ""


def test_the_other_side_swaps_the_ends() -> None:
    assert Span(1.0, 0.5, 2.0).mirrored() == Span(-1.0, -2.0, -0.5)
    assert Span(0.5, 0.4, 0.6).scaled(100) == Span(50.0, 40.0, 60.0)
    assert exponent(1.23e-10) == "1.2e-10"
