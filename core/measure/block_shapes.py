"""Which shapes of blocks are worth measuring, and how many copies of each at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from stillhouse.core.cost.latency.shapes import CACHE, Shape, cells_of, shapes_of, sizes_of
from stillhouse.core.cost.latency.work import weight_bytes, work
from stillhouse.core.cost.sheet import OperatorSheet

_GENERAL: Final[Mapping[str, tuple[int, ...]]] = {
    "linear": (1,) * 14, "attention": (1, 2, 3, 4, 6, 8), "matmul": (1, 2, 4, 8),
    "conv1d": (1,) * 6, "recurrent": (3, 3, 3, 4, 4, 4), "norm": (1,) * 4, "table": (1,) * 3,
    "add": (1,) * 4, "mul": (1,) * 3, "gelu": (1,) * 4, "relu": (1,) * 3, "silu": (1,) * 3,
    "sigmoid": (1,) * 3, "tanh": (1,) * 3, "softmax": (1,) * 3, "mean": (1,) * 3,
}  # fmt: skip
"""Kinds of the general profile, and the groups of each of their shapes."""
_MOST_MACS: Final = 2e7
_CACHED: Final = (4, 8, 12, 16, 24, 32, 48, 64)
"""Linear operators of 64 kB each that are run together: 0.25 to 4 MB of weights."""
_COPIES: Final = (1, 2, 4, 8, 16)
_SPAN_MS: Final = 0.2
"""A file's blocks together should take this long on a device of 10 GMAC/s, 1 us an operator."""
_WEIGHTS: Final = 256_000
"""Bytes; a file's blocks together should not hold more weights, lest they leave the cache."""


def general_shapes(rng: np.random.Generator) -> list[Shape]:
    """About 80 shapes of every common kind, no family's: for a roofline in less than a minute.

    Positions (1 to 128) and widths (8 to 512, fours) are spread evenly over their logarithms, kind
    by kind, each in as many parts as there are shapes (McKay et al. 1979, Latin hypercube).
    """
    cached = [Shape(CACHE, 8, 128, 128, groups=together, bias=1) for together in _CACHED]
    return [*cached, *(shape for kind in _GENERAL for shape in _spread(kind, rng))]


def wanted_shapes(sheet: OperatorSheet, most: int = 150) -> list[Shape]:
    """At most so many of the shapes that a sheet's candidates run, the most needed first.

    The ends of every kind's sizes come first, then what takes the largest share of all
    candidates' time by a rough estimate.
    """
    uses = shapes_of(sheet)
    time = {shape: count * _rough_ms(shape) for shape, count in uses.items()}
    dearest = sorted(uses, key=lambda shape: (-time[shape], shape))
    return list(dict.fromkeys([*_ends(dearest), *dearest]))[:most]


def copies_of(shape: Shape) -> int:
    """How many copies of a block are timed together; a function of the shape alone.

    What holds more weights than a cache is timed alone.
    """
    if shape.kind == CACHE:
        return shape.groups
    fitting = _WEIGHTS / max(1.0, _total(weight_bytes(shape.kind, cells_of([shape]))))
    return max(n for n in _COPIES if n <= max(1.0, min(_SPAN_MS / _rough_ms(shape), fitting)))


def _rough_ms(shape: Shape) -> float:
    macs, elements = (_total(amount) for amount in work(shape.kind, cells_of([shape])))
    return 1e-3 + (macs + elements) / 1e7


def _total(amount: np.ndarray) -> float:
    return float(amount.sum())


def _ends(shapes: Sequence[Shape]) -> Iterator[Shape]:
    """The least and the most of every size, kind by kind."""
    for layout in dict.fromkeys(shape.layout for shape in shapes):
        alike = [shape for shape in shapes if shape.layout == layout]
        for name in sizes_of(alike[0].kind):
            yield min(alike, key=lambda shape: getattr(shape, name))
            yield max(alike, key=lambda shape: getattr(shape, name))


def _spread(kind: str, rng: np.random.Generator) -> Iterator[Shape]:
    groups = _GENERAL[kind]
    count = len(groups)
    parts = np.stack([rng.permutation(count) for _ in range(3)], axis=1)
    places = (parts + rng.random((count, 3))) / count
    for group, (long, deep, wide) in zip(groups, places.tolist(), strict=True):
        positions = round(128**long)
        inputs, outputs = (4 * round(2 * 64**place) for place in (deep, wide))
        while positions * inputs * outputs * group > _MOST_MACS:
            positions = math.ceil(positions / 2)
        yield _general(kind, positions, inputs, outputs, group)


def _general(kind: str, positions: int, inputs: int, outputs: int, groups: int) -> Shape:
    match kind:
        case "linear":
            return Shape(kind, positions, inputs, outputs, bias=1)
        case "conv1d":
            return Shape(kind, positions, inputs, outputs, kernel=3, bias=1)
        case "recurrent":
            return Shape(kind, positions, inputs, outputs, groups=groups, bias=1)
        case "matmul":
            return Shape(kind, positions, inputs, outputs, groups=groups)
        case "attention":
            features = max(8, inputs // groups // 4 * 4)
            return Shape(kind, positions, features, positions, groups=groups)
        case "mean":
            return Shape(kind, 1, 0, outputs, read_positions=positions)
        case "add":
            return Shape(kind, positions, 0, outputs, read_positions=2 * positions)
        case "norm":
            return Shape(kind, positions, 0, outputs, bias=1)
        case _:
            return Shape(kind, positions, 0, outputs)
