"""Names of layers, short enough to stand beside a drawing, and which of them there is room for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def short(names: Sequence[str], letters: int) -> list[str]:
    """Names without the last parts that all share, and without first parts that do not fit.

    Parts are what dots separate. What was left out in front becomes an ellipsis.
    """
    parts = [name.split(".") for name in names]
    while len(parts) > 1 and all(len(p) > 1 for p in parts) and len({p[-1] for p in parts}) == 1:
        parts = [p[:-1] for p in parts]
    return [_fitted(p, letters) for p in parts]


def _fitted(parts: Sequence[str], letters: int) -> str:
    for skipped in range(len(parts)):
        shown = ("…" if skipped else "") + ".".join(parts[skipped:])
        if len(shown) <= letters:
            return shown
    return f"…{parts[-1][-(letters - 1) :]}"


def readable(count: int, step: float, least: float, first: Iterable[int] = ()) -> list[int]:
    """Which of `count` labels, `step` pixels apart, to write so that `least` lie between them.

    `first` come before all others, in their order; then the two ends, then every n-th.
    """
    if count == 0:
        return []
    stride = max(1, math.ceil(least / step))
    kept: list[int] = []
    for index in (*first, 0, count - 1, *range(0, count, stride)):
        if all(index != other and abs(index - other) * step >= least for other in kept):
            kept.append(index)
    return sorted(kept)
