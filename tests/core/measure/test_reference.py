from __future__ import annotations

import math

import numpy as np

from stillhouse.core.measure.reference import Reference, kernel, level


def test_without_readings_there_is_no_level() -> None:
    assert level([]) == math.inf
    assert Reference().best_ms == math.inf


def test_the_level_is_the_lowest_that_eight_readings_agree_on() -> None:
    slow, fast = [2.0] * 50, [1.0] * 8
    assert level(slow + fast) == 1.0
    assert level(slow + fast[:7]) == 2.0


def test_among_many_readings_half_a_percent_must_agree() -> None:
    assert level([2.0] * 1980 + [1.0] * 20) == 1.0
    assert level([2.0] * 9980 + [1.0] * 20) == 2.0


def test_readings_within_three_percent_agree() -> None:
    assert level([1.0, 1.02] * 4 + [2.0] * 8) == 1.02
    assert level([1.0, 1.05] * 4 + [2.0] * 8) == 2.0


def test_where_no_readings_agree_the_level_is_their_median() -> None:
    assert level([1.0, 5.0, 3.0]) == 3.0


def _reference(times_ms: list[float], best_ms: float | None = None) -> Reference:
    """Whose runs take the given times, an untimed one and a timed one by turns."""
    now, left = [0], list(times_ms)

    def work() -> None:
        now[0] += round(1e6 * left.pop(0))

    return Reference(best_ms, clock=lambda: now[0], work=work)


def test_the_first_run_of_a_reading_is_not_timed() -> None:
    reference = _reference([50.0, 2.0, 70.0, 3.0])
    assert [reference.read(), reference.read()] == [2.0, 3.0]


def test_what_is_known_from_before_counts_until_something_better_is_seen() -> None:
    reference = _reference([2.0] * 20 + [1.0] * 20, best_ms=1.5)
    for _ in range(10):
        reference.read()
    assert (reference.level_ms, reference.best_ms) == (2.0, 1.5)
    for _ in range(10):
        reference.read()
    assert (reference.level_ms, reference.best_ms) == (1.0, 1.0)


def test_what_was_seen_lately_is_in_the_last_third() -> None:
    reference = _reference([1.0] * 40 + [3.0] * 20)
    for _ in range(21):
        reference.read()
    assert not reference.lately(1.0), "only six of the last seven"
    for _ in range(9):
        reference.read()
    assert reference.lately(3.0)
    assert not reference.lately(1.0)


def test_the_kernel_does_the_same_work_every_time() -> None:
    work = kernel()
    operands = [cell.cell_contents for cell in work.__closure__ or ()]
    work()
    first = [np.array(operand) for operand in operands]
    work()
    assert len(operands) == 5
    assert all(np.array_equal(a, b) for a, b in zip(first, operands, strict=True))
    assert all(np.isfinite(operand).all() for operand in operands)


def test_a_real_reading_is_a_positive_time() -> None:
    assert 0 < Reference().read() < 1000
