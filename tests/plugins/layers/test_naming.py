"""Patterns choose layers by name, whatever method asks."""

from __future__ import annotations

import numpy as np

from stillhouse.plugins.layers.naming import matches, own_value, shortened, unmatched


def test_patterns_name_layers_and_leave_layers_out() -> None:
    assert matches("blocks.0.feed_forward.up", "*")
    assert matches("blocks.0.feed_forward.up", "*.up, *.down")
    assert not matches("head", "*.up, *.down")
    assert not matches("blocks.0.feed_forward.up", "!*.up")
    assert matches("head", "!*.up")
    assert unmatched(["a.up", "head"], "*.up, !hear, !head, x*") == ["!hear", "x*"]


def test_a_layer_may_be_known_by_what_holds_it() -> None:
    def holders(name: str) -> list[str]:
        return [name, name.rpartition(".")[0]]

    assert matches("blocks.0.up", "blocks.0", holders)
    assert not matches("blocks.0.up", "blocks.0")
    assert not matches("blocks.0.up", "!blocks.0", holders)
    assert unmatched(["blocks.0.up"], "blocks.0", holders) == []


def test_a_group_has_its_own_value_unless_it_was_left_out() -> None:
    assert own_value("feed_forward", {"feed_forward": 0.5}) == 0.5
    assert own_value("feed_forward", {"feed_forward": None}) is None
    assert own_value("feed_forward", {"feed_forward": np.array([None, None], object)}) is None
    assert own_value("norm", {"feed_forward": 0.5}) is None


def test_long_lists_are_cut_after_six() -> None:
    assert shortened("abcdefgh") == "'a', 'b', 'c', 'd', 'e', 'f' and 2 more"
