"""Student taps and teacher taps by depth."""

from __future__ import annotations

import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.search.clustering import paired


def test_taps_are_paired_in_order_of_depth() -> None:
    pairs = paired(("blocks.0", "blocks.2"), ("layers.3", "layers.11"))
    assert pairs == (("blocks.0", "layers.3"), ("blocks.2", "layers.11"))


def test_no_taps_make_no_pairs() -> None:
    assert paired((), ()) == ()


def test_unequal_numbers_of_taps_are_refused_with_both() -> None:
    with pytest.raises(UserError, match="got 1 and 2"):
        paired(("a",), ("x", "y"))


def test_a_tap_named_twice_is_refused() -> None:
    with pytest.raises(UserError, match="teacher taps that get deeper, got 'x' twice"):
        paired(("a", "b"), ("x", "x"))
