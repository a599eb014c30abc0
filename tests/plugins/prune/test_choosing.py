"""Which layers stay: by position, and by importance where shapes leave a choice."""

from __future__ import annotations

import itertools
import random

import pytest

from stillhouse.plugins.prune.choosing import most_important
from stillhouse.plugins.prune.counting import positions


def test_the_best_of_all_selections_with_the_shapes_is_found() -> None:
    rng = random.Random(0)
    for _ in range(200):
        depth = rng.randint(1, 7)
        shapes = [rng.randint(0, 1) for _ in range(depth)]
        scores = [float(rng.randint(0, 9)) for _ in range(depth)]
        kept, fixed = rng.randint(1, depth), rng.randint(0, 1)
        wanted = shapes[:kept]
        found = most_important(shapes, wanted, scores, fixed)
        every = [
            list(places)
            for places in itertools.combinations(range(depth), kept)
            if [shapes[p] for p in places] == wanted and list(places[:fixed]) == [0][:fixed]
        ]
        assert found in every
        assert sum(scores[p] for p in found) == max(sum(scores[p] for p in e) for e in every)


def test_shapes_that_the_layers_do_not_hold_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected layers of shapes \[2, 1\]"):
        most_important([1, 2], [2, 1], [0.0, 0.0], 0)


def test_even_layers_go_from_the_first_to_the_last() -> None:
    assert positions("even", 6, 3) == [0, 3, 5]
    assert positions("even", 6, 1) == [0]
    assert positions("last", 6, 3) == [0, 1, 2]
    for depth in range(1, 13):
        for kept in range(1, depth + 1):
            assert len(set(positions("even", depth, kept))) == kept
