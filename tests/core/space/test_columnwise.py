"""Thousands of configurations become codes as each alone would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps

SPACE = Space([
    Integer("depth", 0, 3),
    Choice("heads", (1, 2, 4), per="depth"),
    Choice("kind", ("a", "b"), per="depth"),
    Integer("size", 2, 8, step=2, per="depth", when=("kind", ("b",))),
    Choice("mixed", (True, False, 1, "1")),
    Real("share", 0.0, 0.5),
    Real("rate", 1e-4, 1e-1, log=True, when=("mixed", ("1",))),
    Simplex("weights", 3),
    Taps("taps", 2, 5),
])  # fmt: skip


@pytest.fixture
def configurations() -> list[dict[str, Any]]:
    return SPACE.decode_all(SPACE.sample(200, np.random.default_rng(0)))


def test_rows_are_those_of_each_alone(configurations: list[dict[str, Any]]) -> None:
    alone = np.array([SPACE.encode(configuration) for configuration in configurations])
    assert np.array_equal(SPACE.encode_all(configurations), alone)
    assert SPACE.encode_all([]).shape == (0, SPACE.width)


def test_what_only_one_at_a_time_takes_is_taken(configurations: list[dict[str, Any]]) -> None:
    wanted = SPACE.encode_all(configurations)
    configurations[7]["share"] = np.float64(configurations[7]["share"])
    configurations[8]["weights"] = np.array(configurations[8]["weights"])
    configurations[9]["taps"] = tuple(configurations[9]["taps"])
    configurations[9]["depth"] = float(configurations[9]["depth"])
    assert np.array_equal(SPACE.encode_all(configurations), wanted)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth", 9), ("depth", "2"), ("heads", [1, 2, 3, 4, 5]), ("heads", None), ("share", 0.7),
        ("share", float("nan")), ("mixed", 2), ("taps", [4, 1]), ("other", 1), ("kind", [None] * 3),
        ("rate", [1]), ("mixed", [True]),
    ],
)  # fmt: skip
def test_the_first_that_does_not_fit_is_refused_as_it_is_alone(
    configurations: list[dict[str, Any]], name: str, value: object
) -> None:
    configurations[5][name] = value
    with pytest.raises(UserError) as alone:
        SPACE.encode(configurations[5])
    with pytest.raises(UserError) as together:
        SPACE.encode_all(configurations)
    assert str(together.value) == str(alone.value)


def test_a_missing_gene_is_refused(configurations: list[dict[str, Any]]) -> None:
    del configurations[3]["taps"]
    with pytest.raises(UserError, match="gene 'taps' is missing"):
        SPACE.encode_all(configurations)
