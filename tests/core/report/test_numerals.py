from __future__ import annotations

import math

import pytest

from stillhouse.core.report.numerals import count, quantity, seconds, share, significant, times


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2134, "0.213"),
        (12.34, "12.3"),
        (9.996, "10.0"),
        (0.09999, "0.100"),
        (1873.2, "1,873"),
        (0.0, "0"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_three_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (39_456, "39.5\u00a0k"),
        (5_555_988, "5.56\u00a0M"),
        (999_999, "1.00\u00a0M"),
        (9_999, "9,999"),
        (math.inf, "–"),
    ],
)
def test_large_quantities_carry_a_suffix(value: float, text: str) -> None:
    assert quantity(value) == text


def test_a_count_nobody_can_read_becomes_a_power_of_ten() -> None:
    assert count("448,153,600") == "448,153,600"
    assert count("123,456,789,012,345,678,901") == "1.2\u00a0×\u00a010²⁰"
    assert count("infinitely many") == "infinitely many"


def test_a_small_share_reads_as_a_fraction_and_a_large_one_as_a_factor() -> None:
    assert share(1.0, 14.0) == "1/14 of"
    assert share(7.1, 10.0) == "0.71×"
    assert times(3.0, None) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.85, "850\u00a0ms"),
        (12.4, "12.4\u00a0s"),
        (59.97, "1\u00a0min 00\u00a0s"),
        (200, "3\u00a0min 20\u00a0s"),
        (7500, "2\u00a0h 05\u00a0min"),
    ],
)
def test_durations_use_the_unit_that_fits(value: float, text: str) -> None:
    assert seconds(value) == text
