"""How well does the latency model predict subnets that it was not fitted to?"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from record import arguments, averaged, parser, save, show, shown

from stillhouse.core.cli.progress import bars
from stillhouse.core.cost.latency import LEAST_MEASURED, FittedLatency, spearman
from stillhouse.core.cost.model import counted
from stillhouse.core.errors import StillhouseError, UserError
from stillhouse.core.evaluate import ModelFamily
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.measure import DeviceFile, Target, measured
from stillhouse.core.plugin import Catalogue
from stillhouse.core.space import Codes, Space, load_space

Array = NDArray[np.float64]

ROWS = {
    "mape": "mean absolute error",
    "spearman": "rank correlation (Spearman)",
    "within_10_percent": "share within ±10 %",
    "within_margin": "share not above the safety margin",
    "margin": "the model's safety margin",
    "cross_validated_mape": "error the model itself reports (cross-validated)",
    "macs_only_mape": "error of a straight line in MACs",
    "macs_only_spearman": "rank correlation of MACs alone",
    "seconds_measuring": "seconds to export and measure all",
}
PERCENT = {"mape", "within_10_percent", "within_margin", "margin"}
PERCENT |= {"cross_validated_mape", "macs_only_mape"}


@dataclass(frozen=True, eq=False)
class Bench:
    """What is measured: subnets of a space, as they would come out of `full`, on a target."""

    space: Space
    family: ModelFamily
    full: Structure
    target: Target

    @staticmethod
    def of(given: argparse.Namespace) -> Bench:
        catalogue = Catalogue.discover()
        space, target = catalogue.space(given.space), catalogue.target(given.target)
        model = catalogue.model(space.family)
        family = cast("type[ModelFamily]", catalogue.resolve(model))()
        return Bench(
            load_space(catalogue.space_text(space), space.name),
            family,
            family.structure(model.params(), tuple(given.input_shape), given.outputs),
            cast("Callable[[Any], Target]", catalogue.resolve(target))(target.params()),
        )

    def drawn(self, count: int, rng: np.random.Generator) -> Codes:
        """Distinct candidates, drawn evenly over all configurations."""
        codes = self.space.unique(self.space.sample(16 * count, rng))[:count]
        if len(codes) < count:
            raise UserError(
                f"expected a space of well over {count} configurations, drew {len(codes)} distinct "
                "ones; choose another with --space, or fewer with --fit and --held-out"
            )
        return codes

    def milliseconds(self, codes: Codes, repeats: int, seed: int) -> Array:
        """Every candidate exported and timed, with nothing known from before."""
        shapes = [self.family.subnet(self.full, self.space.decode(row)) for row in codes]
        with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder, bars() as progress:
            found = measured(
                shapes,
                self.family.build,
                self.target,
                torch.zeros(1, *self.full["input_shape"]),
                DeviceFile.open(Path(folder) / "device.json", self.target.identity()),
                progress,
                repeats,
                family=self.family.name,
                seed=seed,
            )
        return np.array([one.latency.latency_ms for one in found])


def one_seed(bench: Bench, given: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Measure, fit to the first subnets, judge on the others."""
    codes = bench.drawn(given.fit + given.held_out, np.random.default_rng(seed))
    began = time.perf_counter()
    milliseconds = bench.milliseconds(codes, given.repeats, seed)
    measuring = time.perf_counter() - began
    sheets = [
        bench.family.sheet(bench.full, bench.space.columns(part))
        for part in (codes[: given.fit], codes[given.fit :])
    ]
    seen, unseen = milliseconds[: given.fit], milliseconds[given.fit :]
    model = FittedLatency.fit(sheets[0], seen)
    predicted = model.predict(sheets[1])
    macs = [counted(sheet)["macs"] for sheet in sheets]
    fitted = np.polyfit(macs[0], seen, 1, w=1 / seen)
    line = np.asarray(np.polyval(fitted, macs[1]), np.float64)
    return {
        **judged(predicted, unseen),
        "within_margin": float((unseen <= predicted * (1 + model.margin)).mean()),
        "margin": model.margin,
        "cross_validated_mape": model.report.mape,
        **{f"macs_only_{name}": value for name, value in judged(line, unseen).items()},
        "seconds_measuring": measuring,
        "held_out_ms": {"measured": unseen.tolist(), "predicted": predicted.tolist()},
        "model": {"coefficients": dict(model.coefficients), "report": asdict(model.report)},
    }


def judged(predicted: Array, measured_ms: Array) -> dict[str, float]:
    error = np.abs(predicted / measured_ms - 1)
    return {
        "mape": float(error.mean()),
        "spearman": spearman(predicted, measured_ms),
        "within_10_percent": float((error <= 0.1).mean()),
    }


def table_row(name: str, average: Mapping[str, Any]) -> list[str]:
    if name in PERCENT:
        percent = averaged(100 * value for value in average["per_seed"])
        return [ROWS[name], shown(percent, 1) + " %"]
    return [ROWS[name], shown(average, 3)]


def main() -> None:
    made = parser(__doc__ or "", "0-2", "latency_predictor.json")
    made.add_argument("--fit", type=int, default=40, help="subnets the model is fitted to")
    made.add_argument("--held-out", type=int, default=24, help="subnets it is judged on")
    made.add_argument("--repeats", type=int, default=200, help="timed runs of each subnet")
    made.add_argument("--space", default="keyword-transformer-small")
    made.add_argument("--target", default="onnxruntime-cpu")
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
    averages = {name: averaged(one[name] for one in seeds) for name in ROWS}
    show(
        f"{given.held_out} held-out subnets of {given.space} on {given.target}, predicted from "
        f"{given.fit} others; {len(given.seeds)} seeds",
        ["", "mean ± standard error"],
        (table_row(name, average) for name, average in averages.items()),
    )
    identity = dict(bench.target.identity())
    save(given, {"target": identity, "results": averages, "per_seed": seeds})


if __name__ == "__main__":
    main()
