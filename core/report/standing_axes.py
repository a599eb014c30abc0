"""Where the standings of an ensemble are drawn: axes that one bad model does not spoil."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stillhouse.core.report.axis import Axis, axis
from stillhouse.core.report.ensemble import MEMBER, Ensemble, Standing
from stillhouse.core.report.spans import Span

_WIDE: Final = 8.0
"""Scores that spread over more than this factor go on a logarithmic axis."""
_FAR: Final = 8.0
"""A row further behind than so many times the mixtures is drawn at the edge."""
_ALONE: Final = (MEMBER, "teacher")


def alone(row: Standing) -> bool:
    """A single model that is shown beside the mixtures."""
    return row.role in _ALONE


def score_axis(found: Ensemble, start: float, end: float) -> Axis:
    """For the metric that is drawn. On a logarithmic axis, ends at or under 0 are cut off."""
    spans = list(found.spans(found.metric))
    means = [one.mean for one in spans]
    low, high = min(means), max(means)
    log = not found.quality(found.metric).percent and 0 < low * _WIDE < high
    reached = [*means, *(end for one in spans for end in one.ends)]
    if log:
        reached = [value for value in reached if value > low / 2]
    return axis(reached, start, end, log=log, pad=0.06)


def behind_axis(found: Ensemble, start: float, end: float) -> Axis | None:
    """For what every row is behind; None where nothing is known. Nothing is always on it."""
    rows = [row for row in found.others if row.behind is not None]
    if not rows:
        return None
    reach = max((_reach(row.behind) for row in rows if not alone(row)), default=0.0)
    near = [row for row in rows if not alone(row) or _reach(row.behind) <= _FAR * reach]
    if 2 * len(near) < len(rows) or not reach:
        near = rows
    ends = [end for row in near if row.behind for end in row.behind.ends]
    return axis([0.0, *ends], start, end, log=False, pad=0.06)


def _reach(behind: Span | None) -> float:
    return max(map(abs, behind.ends)) if behind else 0.0


def ordered(found: Ensemble) -> tuple[Sequence[Standing], Sequence[Standing]]:
    """Mixtures with the best single model, the chosen one first; then every model alone."""
    together = [row for row in found.rows if not alone(row)]
    return together, [row for row in found.rows if alone(row)]
