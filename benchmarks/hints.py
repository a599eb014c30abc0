"""Are searched hints worth it? Against no hints, evenly spaced layers and stage ends.

One search a data set and a seed, by the example run: every arm trains as many steps, several times
over, and the engine returns what is best on validation. Test losses are read once.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from demo_seeds import begun
from record import arguments, over_seeds, parser, save, show, with_half

from stillhouse.core.cli.progress import bars
from stillhouse.core.config import RunFile, load
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
DATA: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "spoken digits, convolutional": ("hints_digits.yaml", ()),
    "MNIST-5k, convolutional": (
        "hints_digits.yaml",
        (
            "task=mnist-5k",
            "teacher.dimensions=2",
            "teacher.strides=[2,2,2]",
            "teacher.width=12",
            "teacher.depth=3",
            "teacher.epochs=6",
            "student.dimensions=2",
            "student.strides=[2,2,2]",
            "student.width=4",
            "recipe.distil.epochs=5",
            "search.fidelity=[0.4, 1]",
        ),
    ),
    "spoken digits, transformer": ("hints_speech.yaml", ()),
}
ROLES: Final = {
    "found": "searched",
    "no-hints": "no hints",
    "uniform-spacing": "uniform spacing",
    "stage-ends": "stage ends",
}


def configured(given: argparse.Namespace, catalogue: Catalogue, data: str, seed: int) -> RunFile:
    """The example with this seed, and one device file for all seeds of a data set."""
    file, sets = DATA[data]
    device = json.dumps(str((given.runs / f"device-{_slug(data)}.json").absolute()))
    own = [*sets, *given.sets, f"search.seed={seed}", f"target.device={device}"]
    return load(EXAMPLES / file, catalogue, sets=own)


def finished(given: argparse.Namespace, catalogue: Catalogue, data: str, seed: int) -> RunSummary:
    run = configured(given, catalogue, data, seed)
    directory: RunDirectory = begun(given.runs / f"{_slug(data)}-{seed}", run.to_yaml())
    if directory.summary.is_file():
        return RunSummary.from_json(directory.summary.read_text("utf-8"))
    with directory, bars() as progress:
        return execute(make_plan(run, catalogue), catalogue, directory, progress)


def cell(summary: RunSummary) -> dict[str, Any]:
    """Test log-loss of every arm, mean over its trainings, and what was found and returned."""
    shown = next(e for e in summary.exhibits if e["kind"] == "arms")
    layers = next(e for e in summary.exhibits if e["kind"] == "layer-similarity")
    arms = {arm["role"]: float(np.mean(arm["test"])) for arm in shown["arms"]}
    teacher = next(row for row in summary.rows if row.role == "teacher")
    return {
        "arms": arms,
        "validation": {a["role"]: float(np.mean(a["validation"])) for a in shown["arms"]},
        "returned": arms[shown["chosen"]],
        "chosen": shown["chosen"],
        "repeats": shown["repeats"],
        "found": dict(summary.found),
        "centres": layers["centres"],
        "teacher": teacher.test["log_loss"],
        "seconds": sum(summary.stages.values()),
    }


def compared(cells: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each line of a data set's table."""
    out = {
        f"test log-loss: {name}": [c["arms"][role] for c in cells] for role, name in ROLES.items()
    }
    out["test log-loss: returned"] = [c["returned"] for c in cells]
    for role in list(ROLES)[1:]:
        out[f"  searched less {ROLES[role]}"] = [
            c["arms"]["found"] - c["arms"][role] for c in cells
        ]
    out["  returned less no hints"] = [c["returned"] - c["arms"]["no-hints"] for c in cells]
    out["test log-loss: teacher"] = [c["teacher"] for c in cells]
    out["seconds"] = [c["seconds"] for c in cells]
    return {name: over_seeds(values) for name, values in out.items()}


def row(name: str, line: Mapping[str, Any]) -> list[str]:
    digits = 0 if name == "seconds" else 4
    return [
        name,
        *(f"{v:.{digits}f}" for v in line["per_seed"]),
        with_half(line, digits),
    ]


def given_arguments() -> argparse.Namespace:
    made = parser(re.sub(r"\s+", " ", __doc__ or ""), "0-4", "hints.json")
    made.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA), metavar="NAME")
    made.add_argument("--runs", type=Path, default=Path("runs/hints"), metavar="DIR")
    made.add_argument(
        "--set", action="append", default=[], dest="sets", metavar="KEY=VALUE",
        help="override a key of the run files, e.g. search.evaluations=20",
    )  # fmt: skip
    return arguments(made)


def _slug(data: str) -> str:
    return re.sub(r"\W+", "-", data.lower())


def main() -> None:
    given, catalogue = given_arguments(), Catalogue.discover()
    results: dict[str, Any] = {}
    for data in given.data:
        cells = []
        for seed in given.seeds:
            print(f"{data}, seed {seed}", file=sys.stderr, flush=True)
            cells.append(cell(finished(given, catalogue, data, seed)))
        lines = compared(cells)
        title = f"{data}: {cells[0]['repeats']} trainings an arm; returned: " + ", ".join(
            c["chosen"] for c in cells
        )
        headings = ["", *map(str, given.seeds), "mean ± half of the 95 % interval"]
        show(title, headings, [row(name, line) for name, line in lines.items()])
        results[data] = {"lines": lines, "runs": cells}
    del given.runs
    save(given, {"results": results})


if __name__ == "__main__":
    main()
