from __future__ import annotations

import numpy as np

from stillhouse.core.search.seen import Seen


def marks(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def test_a_mark_is_held_from_when_it_was_added() -> None:
    seen = Seen()
    assert seen.holds(marks(3, 5)).tolist() == [False, False]
    seen.add(marks(5))
    assert seen.holds(marks(3, 5)).tolist() == [False, True]


def test_marks_count_once() -> None:
    seen = Seen()
    seen.add(marks(7, 7, 2))
    seen.add(marks(2, 9))
    assert len(seen) == 3


def test_new_ones_are_the_first_of_equals_in_their_order() -> None:
    seen = Seen()
    seen.add(marks(4))
    assert seen.new(marks(9, 4, 1, 9, 1, 2**63)).tolist() == [0, 2, 5]


def test_it_agrees_with_a_set_while_it_grows() -> None:
    rng = np.random.default_rng(0)
    seen, known = Seen(), set[int]()
    for _ in range(200):
        block = rng.integers(0, 40_000, size=rng.integers(0, 300)).astype(np.uint64)
        asked = rng.integers(0, 40_000, size=100).astype(np.uint64)
        assert seen.holds(asked).tolist() == [int(mark) in known for mark in asked]
        seen.add(block)
        known.update(map(int, block))
        assert len(seen) == len(known)
