"""The chart of predicted against measured latency."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.core.report import svg
from stillhouse.core.report.agreement import Pair
from stillhouse.core.report.axis import Axis, axis
from stillhouse.core.report.costs import LATENCY
from stillhouse.core.report.frame import SQUARE, Titles, frame


def predicted(pairs: Sequence[Pair]) -> str:
    """Both axes alike, with the identity line and a band of 10 % around it."""
    if not pairs:
        return ""
    values = [value for pair in pairs for value in (pair.predicted_ms, pair.measured_ms)]
    x = axis(values, *SQUARE.across, pad=0.06)
    y = Axis(x.low, x.high, *SQUARE.upward, log=x.log)
    titles = Titles(f"predicted, ms{' (logarithmic)' if x.log else ''}", "measured, ms")
    parts = [_band(x, y), frame(SQUARE, x, y, titles), _identity(x, y)]
    for held_out, class_ in ((False, "training"), (True, "held-out")):
        parts += [_dot(pair, x, y, class_) for pair in pairs if pair.held_out == held_out]
    said = f"Measured against predicted latency of {len(pairs)} networks"
    return svg.drawing(SQUARE.width, SQUARE.height, said, *parts, class_="square")


def _dot(pair: Pair, x: Axis, y: Axis, class_: str) -> str:
    said = (
        f"{pair.label}: predicted {LATENCY.text(pair.predicted_ms)}, "
        f"measured {LATENCY.text(pair.measured_ms)}"
    )
    at = {"cx": x.at(pair.predicted_ms), "cy": y.at(pair.measured_ms)}
    return svg.element("circle", svg.title(said), **at, r=4.0, class_=class_)


def _identity(x: Axis, y: Axis) -> str:
    ends = {"x1": x.at(x.low), "y1": y.at(y.low), "x2": x.at(x.high), "y2": y.at(y.high)}
    return svg.element("line", **ends, class_="identity")


def _band(x: Axis, y: Axis) -> str:
    """Where the prediction is within 10 % of the measurement."""
    steps = [x.between(i / 60) for i in range(61)]
    above = [(x.at(v), y.inside(v / 0.9)) for v in steps]
    below = [(x.at(v), y.inside(v / 1.1)) for v in reversed(steps)]
    shape = " ".join(f"{svg.number(a)},{svg.number(b)}" for a, b in above + below)
    return svg.element("polygon", points=shape, class_="band")
