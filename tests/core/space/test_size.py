from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from stillhouse.core.errors import ConfigError
from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps


def test_size_counts_exactly_what_can_be_written_out(
    cells: Space, every_cell: list[dict[str, Any]]
) -> None:
    assert cells.size() == len(every_cell) == 126


def test_taps_count_as_combinations() -> None:
    assert Space([Taps("hints", 3, 12)]).size() == math.comb(12, 3)


def test_a_space_without_dimensions_has_one_configuration() -> None:
    space = Space([])
    codes = space.sample(3, np.random.default_rng(0))
    assert space.size() == 1
    assert codes.shape == (3, 0)
    assert len(space.unique(codes)) == 1
    assert space.decode(codes[0]) == {}


def test_sizes_beyond_floats_stay_exact() -> None:
    depth = Integer("depth", 1, 700)
    space = Space([depth, Choice("heads", tuple(range(10)), per="depth")])
    assert space.size() == sum(10**layers for layers in range(1, 701))


def test_a_continuum_makes_the_size_infinite_and_counts_once_in_the_discrete_size() -> None:
    front = Choice("front", ("wave", "mel"))
    space = Space([front, Real("mix", 0, 1, when=("front", ("mel",))), Simplex("weights", 3)])
    assert space.size() == math.inf
    assert space.discrete_size() == 2


def test_a_continuum_that_is_never_active_leaves_the_size_finite() -> None:
    assert Space([Choice("depth", (0,)), Real("mix", 0, 1, per="depth")]).size() == 1


def test_joined_sizes_multiply(cells: Space) -> None:
    both = Space.join({"supernet": cells, "distil": Space([Taps("hints", 2, 4)])})
    assert both.size() == 126 * 6
    assert "supernet.kind" in both.names
    assert both.names[-1] == "distil.hints"


def unknown_parent() -> Space:
    return Space([Choice("depth", (1, 2)), Choice("heads", (1,), per="dept")])


def cycle() -> Space:
    return Space([Choice("a", (1, 2), when=("b", (1,))), Choice("b", (1, 2), when=("a", (1,)))])


def own_parent() -> Space:
    return Space([Integer("a", 1, 2, per="a")])


def foreign_value() -> Space:
    return Space([Choice("a", (1, 2)), Choice("b", (1,), when=("a", (3,)))])


def layered_condition() -> Space:
    return Space(
        [
            Choice("depth", (1, 2)),
            Choice("kind", ("x", "y"), per="depth"),
            Choice("lone", (1, 2), when=("kind", ("x",))),
        ]
    )


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (unknown_parent, "did you mean 'depth'"),
        (cycle, "depends on itself"),
        (own_parent, "depends on itself"),
        (foreign_value, "one of 1, 2; got 3"),
        (layered_condition, "same 'per'"),
        (lambda: Space([Choice("a", ("x",)), Choice("b", (1,), per="a")]), "whole number"),
        (lambda: Space([Choice("a", (-1, 2)), Choice("b", (1,), per="a")]), "whole number"),
        (lambda: Space([Real("a", 0, 1), Choice("b", (1,), when=("a", (0.5,)))]), "neither"),
        (lambda: Space([Choice("a", (1,)), Choice("a", (2,))]), "declared twice"),
        (lambda: Choice("a", (1, 1.0)), "listed twice"),
        (lambda: Choice("a", ()), "at least one"),
        (lambda: Choice("a", (float("nan"),)), "finite"),
        (lambda: Choice("a", (None,)), "text"),
        (lambda: Choice("heads[0]", (1,)), "expected a letter"),
        (lambda: Integer("a", 0, 9, 2), "end at 8, not 9"),
        (lambda: Integer("a", 3, 2), "low <= high"),
        (lambda: Integer("a", 0, 2, log=True), "low >= 1"),
        (lambda: Integer("a", 0, 2**60), "2^53"),
        (lambda: Real("a", 1, 1), "low < high"),
        (lambda: Real("a", 0, 1, log=True), "low > 0"),
        (lambda: Simplex("a", 1), "2 or more"),
        (lambda: Taps("a", 4, 3), "4 of 3"),
    ],
)
def test_contradictory_declarations_are_refused(build: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("^", r"\^")):
        build()
