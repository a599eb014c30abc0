"""What the kernel is told of sizes, once they are known to fit each other."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, final

LANES: Final = 8
ROWS: Final = 4
WORD: Final = 64
_MOST_ENTRIES: Final = 1 << 24
"""Up to here every dot product of signs is a number of single precision."""

Sizes = tuple[int, ...]


@final
@dataclass(frozen=True, eq=False)
class Plan:
    """Shape of the answer, the kernel's array of sizes, and entries of a row."""

    shape: Sizes
    sizes: Any
    entries: int
    convolves: bool


@lru_cache(maxsize=1024)
def planned(
    x: Sizes,
    threshold: Sizes,
    weight: Sizes,
    scale: Sizes | None,
    bias: Sizes | None,
    outputs: int,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
) -> Plan:
    """Raises ValueError where a shape does not follow from the others: they may be a file's."""
    dimensions = len(kernel)
    _demand(dimensions in (0, 1, 2), f"a kernel of 0 to 2 dimensions, got {kernel}")
    lengths = len(stride), len(dilation), len(padding)
    _demand(lengths == (dimensions, dimensions, 2 * dimensions), "strides of the kernel's length")
    _demand(min((outputs, *kernel, *stride, *dilation)) > 0, "positive sizes")
    _demand(min(padding, default=0) >= 0, f"no negative padding, got {padding}")
    _demand(len(x) == dimensions + 2 if dimensions else len(x) > 0, f"other inputs than {x}")
    inputs = x[1] if dimensions else x[-1]
    entries = inputs * math.prod(kernel)
    _demand(0 < entries <= _MOST_ENTRIES, f"1 to {_MOST_ENTRIES} entries, got {entries}")
    _demand(threshold == (inputs,), f"{inputs} thresholds, got {threshold}")
    words = -(-entries // WORD)
    blocks = (-(-outputs // LANES), words, LANES)
    rows = (-(-outputs // ROWS) * ROWS, words)
    expected = rows if dimensions else blocks
    _demand(weight == expected, f"a weight of shape {expected}, got {weight}")
    for name, found in (("scale", scale), ("bias", bias)):
        _demand(found in (None, (outputs,)), f"a {name} of {outputs} numbers, got {found}")
    if not dimensions:
        positions = math.prod(x[:-1])
        return Plan((*x[:-1], outputs), _longs(positions, inputs, outputs), entries, False)
    # A convolution over one dimension is one over two, the first of which has size 1.
    lead = 2 - dimensions
    high, wide = (1,) * lead + x[2:]
    (ky, kx), (sy, sx), (dy, dx) = ((1,) * lead + given for given in (kernel, stride, dilation))
    left, right, above, below = (*padding, 0, 0) if lead else padding
    out_y = (high + above + below - dy * (ky - 1) - 1) // sy + 1
    out_x = (wide + left + right - dx * (kx - 1) - 1) // sx + 1
    _demand(min(high, wide, out_y, out_x) > 0, f"inputs as large as the kernel, got {x}")
    sizes = (x[0], inputs, high, wide, outputs, ky, kx, sy, sx)
    more = (above, below, left, right, dy, dx, out_y, out_x)
    shape = (x[0], outputs, *(out_y, out_x)[lead:])
    return Plan(shape, _longs(*sizes, *more), entries, True)


def _longs(*values: int) -> Any:
    return (ctypes.c_int64 * len(values))(*values)


def _demand(met: bool, expected: str) -> None:
    if not met:
        raise ValueError(f"binary product: expected {expected}")
