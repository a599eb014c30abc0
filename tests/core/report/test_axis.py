from __future__ import annotations

import pytest

from stillhouse.core.report.axis import axis, log_ticks, nice_ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 10.0, [0, 2, 4, 6, 8, 10]),
        (0.951, 0.989, [0.96, 0.97, 0.98]),
        (-1.0, 1.0, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_linear_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high, 5) == pytest.approx(expected)


def test_logarithmic_ticks_are_one_two_five_where_they_fit() -> None:
    assert log_ticks(0.04, 1.5, 9) == [0.05, 0.1, 0.2, 0.5, 1.0]


def test_logarithmic_ticks_thin_out_over_many_decades() -> None:
    ticks = log_ticks(1.0, 1e30, 6)
    assert len(ticks) <= 6
    assert ticks[0] == 1.0


def test_a_wide_spread_is_drawn_logarithmically_and_a_narrow_one_is_not() -> None:
    assert axis([0.1, 1.2], 0, 100).log
    assert not axis([0.1, 0.5], 0, 100).log
    assert not axis([0.0, 100.0], 0, 100).log


def test_an_axis_maps_its_ends_to_its_pixels() -> None:
    for made in (axis([0.1, 5.0], 40, 940), axis([2.0, 3.0], 300, 20)):
        assert made.at(made.low) == pytest.approx(made.start)
        assert made.at(made.high) == pytest.approx(made.end)
        assert made.at(made.between(0.3)) == pytest.approx(
            made.start + 0.3 * (made.end - made.start)
        )


@pytest.mark.parametrize("values", [[], [0.0], [0.9, 0.9], [7.0]])
def test_equal_or_no_values_still_make_an_axis(values: list[float]) -> None:
    made = axis(values, 0, 100)
    assert made.low < made.high
    assert all(0 <= made.at(value) <= 100 for value in values)


def test_percentages_stop_at_a_hundred() -> None:
    made = axis([1.0, 1.0], 0, 100, log=False)
    assert made.high > 1
    assert [tick.label for tick in made.ticks(5, percent=True)][-1] == "100\u00a0%"


def test_tick_labels_tell_neighbours_apart() -> None:
    for values in ([0.981, 0.983], [1.0, 2.0], [12_000.0, 90_000.0], [0.001, 5.0]):
        labels = [tick.label for tick in axis(values, 0, 100).ticks(6)]
        assert len(labels) >= 2
        assert len(set(labels)) == len(labels)
