from __future__ import annotations

import itertools

import numpy as np

from stillhouse.core.search import enumerated
from stillhouse.core.space import Choice, Integer, Real, Space, Taps


def test_every_configuration_of_a_layered_space_appears_once() -> None:
    space = Space(
        [
            Choice("heads", (2, 4), per="depth"),
            Integer("depth", 0, 3),
            Choice("form", ("dense", "pruned")),
            Integer("kept", 1, 3, when=("form", ("pruned",))),
        ]
    )
    codes = enumerated(space)
    assert codes is not None
    expected = []
    for depth in range(4):
        for heads in itertools.product((2, 4), repeat=depth):
            base = {"depth": depth, "heads": list(heads)}
            expected.append({**base, "form": "dense"})
            expected += [{**base, "form": "pruned", "kept": kept} for kept in (1, 2, 3)]
    keys = space.keys(codes)
    assert len(keys) == len(set(keys)) == space.size() == 60
    assert set(keys) == set(space.keys(np.array([space.encode(c) for c in expected])))


def test_conditions_that_hold_layer_by_layer_are_followed() -> None:
    space = Space(
        [
            Integer("depth", 1, 2),
            Choice("mixer", ("attention", "convolution"), per="depth"),
            Choice("heads", (1, 2, 4), per="depth", when=("mixer", ("attention",))),
        ]
    )
    codes = enumerated(space)
    assert codes is not None
    assert len(space.unique(codes)) == len(codes) == space.size() == 4 + 16


def test_taps_are_enumerated_as_increasing_tuples() -> None:
    space = Space([Taps("hints", count=2, total=4)])
    codes = enumerated(space)
    assert codes is not None
    assert sorted(map(tuple, codes.tolist())) == list(itertools.combinations(range(4), 2))


def test_large_and_continuous_spaces_are_left_alone() -> None:
    assert enumerated(Space([Integer("width", 1, 20_001)])) is None
    assert enumerated(Space([Real("temperature", 1.0, 8.0)])) is None
    assert enumerated(Space([Integer("width", 1, 11)]), most=10) is None
