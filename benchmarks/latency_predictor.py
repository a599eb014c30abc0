"""How well do the latency models predict subnets that none of them has seen?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from predictors.bench import Bench, Measurements
from predictors.contestants import contestants, outcome, straight_line
from record import arguments, averaged, parser, save, show, shown

from stillhouse.core.cost.latency import LEAST_MEASURED
from stillhouse.core.errors import StillhouseError

COLUMNS = {
    "mape": "error",
    "spearman": "Spearman",
    "kendall": "Kendall",
    "within_10_percent": "within ±10 %",
    "margin": "margin",
    "covered": "covered by it",
    "slack": "slack",
    "seconds": "seconds",
}
PERCENT = {"mape", "within_10_percent", "margin", "covered", "slack"}


def one_seed(bench: Bench, given: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Measure everything once, fit, judge all models on the same unseen subnets."""
    found = Measurements.of(bench, given, seed)
    unseen, ms = bench.sheet(found.codes["held out"]), found.milliseconds["held out"]
    models = contestants(bench, found)
    predicted = {name: model.predict(unseen) for name, (model, _) in models.items()}
    results = {
        name: outcome(predicted[name], ms, model.margin, seconds)
        for name, (model, seconds) in models.items()
    }
    line = straight_line(bench, found, unseen)
    results["straight line in MACs"] = outcome(line, ms, None, 0.0)
    return {
        "results": results,
        "held_out_ms": ms.tolist(),
        "predicted_ms": {name: values.tolist() for name, values in predicted.items()},
        "seconds_a_part": dict(found.seconds),
    }


def summary(seeds: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Averages by model; what `auto` took may differ from seed to seed."""
    found: dict[str, list[Mapping[str, float]]] = {}
    for seed in seeds:
        for name, values in seed["results"].items():
            found.setdefault(name.partition(":")[0], []).append(values)
    return {
        name: {column: averaged(one[column] for one in each) for column in each[0]}
        for name, each in found.items()
    }


def table_row(name: str, averages: Mapping[str, Any]) -> list[str]:
    return [name, *(cell(column, averages.get(column)) for column in COLUMNS)]


def cell(column: str, average: Mapping[str, Any] | None) -> str:
    if average is None:
        return "-"
    if column in PERCENT:
        return shown(averaged(100 * value for value in average["per_seed"]), 1) + " %"
    return (
        shown({**average, "standard_error": None}, 0) if column == "seconds" else shown(average, 3)
    )


def main() -> None:
    made = parser(__doc__ or "", "0-4", "latency_predictor.json")
    made.add_argument("--fit", type=int, default=100, help="subnets the fitted model sees")
    made.add_argument("--held-out", type=int, default=100, help="subnets all are judged on")
    made.add_argument("--repeats", type=int, default=100, help="timed runs of each subnet")
    made.add_argument("--space", default="keyword-transformer")
    made.add_argument("--target", default="onnxruntime-cpu")
    made.add_argument("--threads", type=int, default=1, help="threads of the target")
    made.add_argument("--input-shape", nargs="+", type=int, default=[32, 13], metavar="N")
    made.add_argument("--outputs", type=int, default=10)
    given = arguments(made)
    if given.fit < LEAST_MEASURED or given.held_out < 2 or given.repeats < 1:
        made.error(f"expected --fit from {LEAST_MEASURED}, --held-out from 2, --repeats from 1")
    torch.set_num_threads(1)
    try:
        bench = Bench.of(given)
        seeds = [one_seed(bench, given, seed) for seed in given.seeds]
    except StillhouseError as error:
        raise SystemExit(f"{made.prog}: {error}") from None
    averages = summary(seeds)
    show(
        f"{given.held_out} held-out subnets of {given.space} on {given.target}, "
        f"{len(given.seeds)} seeds: mean ± standard error",
        ["", *COLUMNS.values()],
        (table_row(name, values) for name, values in averages.items()),
    )
    identity = dict(bench.target.identity())
    save(given, {"target": identity, "results": averages, "per_seed": seeds})


if __name__ == "__main__":
    main()
