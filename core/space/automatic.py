"""The search space of a network nobody wrote one for: what `space: auto` stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)
Dimensions = dict[str, dict[str, Any]]
"""Dimensions by name, as a search space's file has them."""


def automatic(
    *,
    width: int | None = None,
    depth: int | None = None,
    heads: int | Sequence[int] | None = None,
    ffn_ratio: float | Sequence[float] | None = None,
    width_step: int = 2,
) -> Dimensions:
    """Dimensions around a transformer encoder's full values; what is None has no dimension.

    Width: four steps from half to all, in multiples of `width_step` and, from 64 on, of 8. Depth:
    every number from half to all. Heads: three steps from a third to all. Feed-forward ratio:
    half, three quarters, all. The full value is always a choice. One list of choices serves every
    layer, so of layers that differ the narrowest decides.
    """
    found: Dimensions = {}
    if width is not None:
        multiple = math.lcm(width_step, 8) if width >= 64 else width_step
        found["width"] = {"choices": steps(width, width / 2, 4, multiple)}
    if depth is not None:
        found["depth"] = {"choices": list(range(math.ceil(depth / 2), depth + 1))}
    per = {"per": "depth"} if depth is not None else {}
    if heads is not None:
        most = _least(heads)
        found["heads"] = {"choices": steps(most, most / 3, 3), **per}
    if ffn_ratio is not None:
        ratio = _least(ffn_ratio)
        found["ffn_ratio"] = {"choices": [ratio / 2, ratio * 3 / 4, ratio], **per}
    return found


def automatic_for(full: Mapping[str, Any], width_step: int = 2) -> Dimensions:
    """`automatic` around a full configuration; genes it has no rule for are left out."""
    known = ("width", "depth", "heads", "ffn_ratio")
    values = {name: full[name] for name in known if name in full}
    return automatic(**values, width_step=width_step)


def steps(full: int, low: float, count: int, multiple: int = 1) -> list[int]:
    """At most `count` whole numbers, evenly from `low` up to `full`, rising, `full` the last.

    All but `full` are multiples of `multiple`, none below `low` or 1.
    """
    least = max(multiple, math.ceil(low / multiple - 1e-9) * multiple)
    gap = (full - least) / max(1, count - 1)
    inner = (round((least + gap * i) / multiple) * multiple for i in range(count - 1))
    return [*sorted({value for value in inner if least <= value < full}), full]


def kernels(full: int) -> list[int]:
    """Odd kernel sizes from about half of an odd `full` up to it: of 7 they are 3, 5 and 7."""
    return list(range(full // 2 | 1, full + 1, 2))


def _least(values: Number | Sequence[Number]) -> Number:
    return min(values) if isinstance(values, Sequence) else values
