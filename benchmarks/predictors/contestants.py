"""The latency models that are compared, and what each is worth on subnets it has not seen."""

from __future__ import annotations

import numpy as np

from predictors.bench import Array, Bench, Measurements
from stillhouse.core.cost.latency import FittedLatency, LatencyModel, adapted, chosen, judged
from stillhouse.core.cost.latency.roofline import Roofline
from stillhouse.core.cost.latency.table import BlockTable
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.terms import macs


def contestants(bench: Bench, found: Measurements) -> dict[str, tuple[LatencyModel, float]]:
    """Each model and the seconds its measurements took."""

    def seen(part: str) -> tuple[OperatorSheet, Array, float]:
        codes, ms = found.codes[part], found.milliseconds[part]
        return bench.sheet(codes), ms, len(codes) * found.seconds["subnet"]

    many, many_ms, many_seconds = seen("many")
    few, few_ms, few_seconds = seen("few")
    ten, ten_ms, ten_seconds = seen("ten")
    roofline, table = Roofline.fit(found.general), BlockTable.fit(found.blocks)
    general_seconds = found.seconds["general"]
    table_seconds = general_seconds + found.seconds["table"]
    auto = chosen([table, roofline], many, many_ms)
    made: dict[str, tuple[LatencyModel, float]] = {
        f"fitted to {len(many_ms)}": (FittedLatency.fit(many, many_ms), many_seconds),
        f"fitted to {len(few_ms)}": (FittedLatency.fit(few, few_ms), few_seconds),
        f"auto: {next(iter(auto.reports))}": (auto.model, many_seconds + table_seconds),
        "table": (table, table_seconds),
        "roofline": (roofline, general_seconds),
        "table adapted to 10": (adapted(table, ten, ten_ms), table_seconds + ten_seconds),
        "fitted to 10": (FittedLatency.fit(ten, ten_ms), ten_seconds),
    }
    if "elsewhere" in found.milliseconds:
        there = FittedLatency.fit(few, found.milliseconds["elsewhere"])
        made["other threads adapted to 10"] = adapted(there, ten, ten_ms), ten_seconds
    return made


def straight_line(bench: Bench, found: Measurements, unseen: OperatorSheet) -> Array:
    ms = found.milliseconds["many"]
    line = np.polyfit(macs(bench.sheet(found.codes["many"])), ms, 1, w=1 / ms)
    return np.asarray(np.polyval(line, macs(unseen)), np.float64)


def outcome(
    predicted: Array, measured_ms: Array, margin: float | None, seconds: float
) -> dict[str, float]:
    report = judged(predicted, measured_ms)
    plain = {
        "mape": report.mape,
        "spearman": report.spearman,
        "kendall": report.kendall,
        "within_10_percent": report.within_10_percent,
        "seconds": seconds,
    }
    if margin is None:
        return plain
    allowed = predicted * (1 + margin)
    slack = {"slack": float(np.median(1 - measured_ms / allowed))}
    covered = {"covered": float((measured_ms <= allowed).mean())}
    return {**plain, "margin": margin, **covered, **slack}
