from __future__ import annotations

from collections import Counter

import numpy as np

from stillhouse.core.cost.latency.shapes import CACHE, Shape
from stillhouse.core.cost.latency.work import work
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.measure.blocks import copies_of, general_shapes, wanted_shapes


def _general(seed: int = 0) -> list[Shape]:
    return general_shapes(np.random.default_rng(seed))


def test_the_general_profile_is_the_same_for_a_seed_and_has_no_shape_twice() -> None:
    assert _general() == _general()
    assert len(set(_general())) == len(_general()) < 100


def test_every_general_kind_has_three_sizes_and_none_is_huge() -> None:
    for seed in range(20):
        kinds = Counter(shape.kind for shape in _general(seed))
        assert min(kinds.values()) >= 3
        for shape in _general(seed):
            macs, _ = work(shape.kind, vars(shape))
            assert macs < 1e8
            assert shape.positions >= 1


def test_general_linear_shapes_spread_over_sizes() -> None:
    linear = [shape for shape in _general() if shape.kind == "linear"]
    for sizes in zip(*((s.positions, s.inputs, s.outputs) for s in linear), strict=True):
        assert max(sizes) > 8 * min(sizes)


def _sheet() -> OperatorSheet:
    rng = np.random.default_rng(0)
    width = 8.0 * rng.integers(1, 40, 200)
    often = {"inputs": width, "outputs": 64, "positions": 20}
    rows = [Operator(f"layer{i}", "linear", "", often) for i in range(4)]
    rows.append(Operator("norm", "norm", "", {"outputs": width, "positions": 20}))
    return OperatorSheet(200, tuple(rows))


def test_of_too_many_shapes_the_ends_and_the_dearest_are_wanted() -> None:
    everything, some = wanted_shapes(_sheet(), most=10_000), wanted_shapes(_sheet(), most=20)
    assert len(everything) > 60
    assert len(set(some)) == 20
    for kind, size in (("linear", "inputs"), ("norm", "outputs")):
        ends = [
            (min(sizes), max(sizes))
            for shapes in (everything, some)
            if (sizes := [getattr(s, size) for s in shapes if s.kind == kind])
        ]
        assert ends[0] == ends[1]
    assert Counter(s.kind for s in some)["linear"] > 10


def test_small_blocks_are_timed_many_together_and_large_ones_alone() -> None:
    assert copies_of(Shape("add", 1, 0, 8)) == 16
    assert copies_of(Shape("linear", 32, 96, 96)) == 4
    assert copies_of(Shape("linear", 200, 768, 3072)) == 1
    assert copies_of(Shape(CACHE, 8, 128, 128, groups=24)) == 24


def test_copies_never_hold_more_weights_than_a_cache() -> None:
    for shape in [s for s in _general() if s.kind in ("linear", "conv1d", "recurrent")]:
        weights = 4 * shape.inputs * shape.outputs
        assert copies_of(shape) == 1 or copies_of(shape) * weights <= 256_000
