from __future__ import annotations

import numpy as np
import pytest

from stillhouse.core.config.records import SearchRange
from stillhouse.core.sweep.importance import importance

SPACE = {"kind": SearchRange(choices=("a", "b")), "rate": SearchRange(0.0, 1.0)}


def test_a_choice_that_decides_everything_explains_everything() -> None:
    points = [{"kind": kind, "rate": rate} for rate in (0.1, 0.2, 0.3, 0.4) for kind in "ab"]
    values = [1.0 if point["kind"] == "a" else 0.0 for point in points]
    assert importance(points, values, SPACE) == {"kind": 1.0, "rate": 0.0}


def test_a_number_that_is_not_monotone_explains_too() -> None:
    rates = np.linspace(0, 1, 12)
    points = [{"kind": "ab"[i % 2], "rate": rate} for i, rate in enumerate(rates)]
    found = importance(points, [float((rate - 0.5) ** 2) for rate in rates], SPACE)
    assert found["rate"] > 0.6
    assert found["kind"] == 0.0


def test_chance_is_taken_off() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        points = [
            {"kind": "ab"[int(b)], "rate": float(rng.random())} for b in rng.integers(2, size=12)
        ]
        shares.append(importance(points, rng.random(12).tolist(), SPACE)["rate"])
    assert np.mean(shares) == pytest.approx(0.07, abs=0.04)


@pytest.mark.parametrize("values", [[], [1.0] * 9, [1.0, 2.0]])
def test_too_few_or_equal_values_tell_nothing(values: list[float]) -> None:
    points = [{"kind": "a", "rate": 0.5}] * len(values)
    assert importance(points, values, SPACE) == {}
