"""Which layers stay, where their shapes leave a choice."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def most_important(
    shapes: Sequence[Hashable], wanted: Sequence[Hashable], scores: Sequence[float], fixed: int
) -> list[int]:
    """Rising places of layers with the wanted shapes in their order, of the largest total score.

    The first `fixed` layers stay. Exact, by dynamic programming over places; of equal totals the
    earlier layers. Raises ValueError where the layers do not hold the wanted shapes in order.
    """
    best: list[tuple[float, list[int]] | None] = [(0.0, [])] + [None] * len(wanted)
    for place, (shape, score) in enumerate(zip(shapes, scores, strict=True)):
        for count in range(min(place + 1, len(wanted)), 0, -1):
            before = best[count - 1]
            found = None
            if before is not None and wanted[count - 1] == shape:
                found = (before[0] + score, [*before[1], place])
            if place < fixed:
                best[count] = found if count == place + 1 else None
            elif found is not None:
                best[count] = _better(best[count], found)
        if place < fixed:
            best[0] = None
    if (end := best[-1]) is None:
        raise ValueError(f"expected layers of shapes {list(wanted)} in order, came {list(shapes)}")
    return end[1]


def _better(
    one: tuple[float, list[int]] | None, other: tuple[float, list[int]]
) -> tuple[float, list[int]]:
    return other if one is None or other[0] > one[0] else one
