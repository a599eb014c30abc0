"""How population-based training moves parameters: seeded, and never out of their ranges."""

from __future__ import annotations

import pytest

pytest.importorskip("ray.tune", reason="needs the extra ray")

from stillhouse.core.config.records import SearchRange
from stillhouse.core.sweep.population import Exploring

SPACE = {
    "rate": SearchRange(0.5, 1.0),
    "depth": SearchRange(1, 4),
    "kind": SearchRange(choices=("a", "b", "c")),
}
CONFIG = {"sweep": {"folder": "x"}, "point": {"rate": 0.8, "depth": 2, "kind": "b", "number": 3}}


def test_parameters_move_to_neighbours_within_their_ranges() -> None:
    explore = Exploring(SPACE, resample=0.0, seed=0)
    found = [explore(CONFIG)["point"] for _ in range(40)]
    assert {round(one["rate"], 9) for one in found} == {0.64, 0.96}
    assert {one["depth"] for one in found} == {1, 3}
    assert {one["kind"] for one in found} == {"a", "c"}
    edge = {**CONFIG, "point": {"rate": 1.0, "depth": 4, "kind": "c", "number": 3}}
    moved = [explore(edge)["point"] for _ in range(40)]
    assert {round(one["rate"], 9) for one in moved} == {0.8, 1.0}
    assert {one["depth"] for one in moved} == {3, 4}
    assert {one["kind"] for one in moved} == {"b", "c"}


def test_parameters_are_drawn_anew_over_the_whole_range() -> None:
    explore = Exploring(SPACE, resample=1.0, seed=0)
    found = [explore(CONFIG)["point"] for _ in range(60)]
    assert len({one["rate"] for one in found}) == 60
    assert {one["depth"] for one in found} == {1, 2, 3, 4}
    assert all(0.5 <= one["rate"] <= 1.0 for one in found)


def test_the_same_seed_moves_the_same_way_and_the_rest_stays() -> None:
    one, other = (Exploring(SPACE, resample=0.5, seed=7) for _ in range(2))
    assert [one(CONFIG) for _ in range(9)] == [other(CONFIG) for _ in range(9)]
    one.begin(2)
    other(CONFIG)
    other.begin(2)
    found = one(CONFIG)
    assert found == other(CONFIG)
    assert (found["sweep"], found["point"]["number"]) == ({"folder": "x"}, 3)
    assert CONFIG["point"]["rate"] == 0.8
