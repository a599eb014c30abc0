from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def cells() -> Space:
    """Children before parents, layers, a condition within layers, and a plain condition."""
    return Space(
        [
            Choice("bits", (2, 4, 8), when=("kind", ("quant",)), per="depth"),
            Choice("bands", (40, 80), when=("front", ("mel",))),
            Choice("width", (8, 16)),
            Integer("depth", 0, 2),
            Choice("kind", ("dense", "quant"), per="depth"),
            Choice("front", ("wave", "mel")),
        ]
    )


@pytest.fixture
def every_cell() -> list[dict[str, Any]]:
    """Every configuration of `cells`, written out by hand."""
    layers = [("dense", None), ("quant", 2), ("quant", 4), ("quant", 8)]
    fronts: list[dict[str, Any]] = [
        {"front": "wave"},
        {"front": "mel", "bands": 40},
        {"front": "mel", "bands": 80},
    ]
    return [
        {
            "width": width,
            "depth": depth,
            "kind": [kind for kind, _ in stack],
            "bits": [bits for _, bits in stack],
            **front,
        }
        for width, depth, front in itertools.product((8, 16), range(3), fronts)
        for stack in itertools.product(layers, repeat=depth)
    ]


@pytest.fixture
def mixed() -> Space:
    """One of every kind."""
    return Space(
        [
            Choice("front", ("wave", "mel", True)),
            Choice("width", (64, 16, 32)),
            Integer("depth", 1, 3),
            Integer("batch", 1, 1024, log=True),
            Real("dropout", 0.0, 0.5, when=("front", ("mel",))),
            Real("rate", 1e-5, 1e-1, log=True),
            Simplex("weights", 3, per="depth"),
            Taps("hints", 3, 12),
        ]
    )
