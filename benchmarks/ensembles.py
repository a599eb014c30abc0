"""Weights of assistants on real data, and what a student gains from learning of their mixture.

One run of the example a data set and a split: a teacher, its assistants, a search, and students
that learnt from the mixture found, the uniform one, the best assistant, the teacher, and labels
alone, several trainings each. Weights are solved again from the run's cached predictions by every
solver, on the tuning split, and tested once.
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
from stillhouse.core.evaluate.prediction_folder import read
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.search.ensembles import loss, mixed, solve

EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "ta_ensemble_digits.yaml"
LADDER: Final = (
    "recipe.ensemble.assistants=["
    "{model: plain-cnn, size: 6, width: 8, epochs: 10, learning_rate: 3.0e-3}, "
    "{model: plain-cnn, name: wide-4, size: 4, width: 8, epochs: 10, learning_rate: 4.0e-3}, "
    "{model: resnet, size: 8, width: 4, epochs: 8, learning_rate: 4.0e-3}, "
    "{model: plain-cnn, size: 4, width: 4, epochs: 10, learning_rate: 5.0e-3}]"
)
DATA: Final[Mapping[str, Sequence[str]]] = {
    "spoken digits": (),
    "MNIST-5k": (
        "teacher={model: plain-cnn, size: 8, width: 16, epochs: 15, learning_rate: 2.0e-3}",
        "student={model: plain-cnn, size: 2, width: 4}",
        LADDER,
        "recipe.distil.epochs=10",
        "recipe.distil.learning_rate=1.0e-2",
        "search.evaluations=6",
        "search.finalists=1",
        "search.repeats=2",
    ),
}
TASKS: Final = {"spoken digits": "spoken-digits", "MNIST-5k": "mnist-5k"}
SOLVERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "differential evolution": {},
    "EM": {"solver": "em"},
    "differential evolution, calibrated": {"temperature": "search"},
    "differential evolution, logits": {"mixing": "logits"},
    "greedy": {"solver": "greedy"},
    "stacking": {"solver": "stacking"},
    "differential evolution, accuracy": {"objective": "accuracy"},
    "uniform": {"solver": "uniform"},
    "best single": {"solver": "best-single"},
}
ROLES: Final = {
    "found": "searched mixture",
    "uniform": "uniform mixture",
    "best-single": "best single assistant",
    "teacher-alone": "teacher",
    "labels-alone": "labels alone",
}


def configured(given: argparse.Namespace, catalogue: Catalogue, data: str, seed: int) -> RunFile:
    """The example on this split, with this seed; one device file for all of a data set."""
    device = json.dumps(str((given.runs / f"device-{_slug(data)}.json").absolute()))
    task = f"task={{{TASKS[data]}: {{split_seed: {seed}}}}}"
    own = [task, *DATA[data], *given.sets, f"search.seed={seed}", f"target.device={device}"]
    return load(EXAMPLE, catalogue, sets=own)


def finished(given: argparse.Namespace, catalogue: Catalogue, data: str, seed: int) -> RunSummary:
    run = configured(given, catalogue, data, seed)
    directory: RunDirectory = begun(given.runs / f"{_slug(data)}-{seed}", run.to_yaml())
    if directory.summary.is_file():
        return RunSummary.from_json(directory.summary.read_text("utf-8"))
    with directory, bars() as progress:
        return execute(make_plan(run, catalogue), catalogue, directory, progress)


def weighed(folder: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Losses in nats of every solver's weights for the assistants of a run."""
    place = next((folder / "artefacts").glob("ensemble-*"))
    tuning, test = read(place / "tuning"), read(place / "test")
    own, other = tuning.probabilities[1:], test.probabilities[1:]
    found = {}
    for name, settings in SOLVERS.items():
        one = solve(own, tuning.targets, seed=seed, **settings)
        said = (
            mixed(other, one.weights, one.mixing, one.temperature)
            if one.stack is None
            else one.stack.predict(other)
        )
        found[name] = {
            "tuning": one.value if one.stack else _nats(own, tuning.targets, one),
            "test": loss(said[None], test.targets, np.ones(1)),
            "weights": one.weights.tolist(),
            "temperature": one.temperature,
        }
    found["teacher"] = {
        "tuning": loss(tuning.probabilities[:1], tuning.targets, np.ones(1)),
        "test": loss(test.probabilities[:1], test.targets, np.ones(1)),
    }
    return found


def _nats(own: Any, targets: Any, one: Any) -> float:
    return loss(own, targets, one.weights, mixing=one.mixing, temperature=one.temperature)


def cell(summary: RunSummary, folder: Path, seed: int) -> dict[str, Any]:
    """Losses of every solver, test scores of every arm's students, what was found."""
    shown = next(e for e in summary.exhibits if e["kind"] == "arms")
    ensemble = next(e for e in summary.exhibits if e["kind"] == "ensemble")
    return {
        "solvers": weighed(folder, seed),
        "arms": {arm["role"]: float(np.mean(arm["test"])) for arm in shown["arms"]},
        "validation": {a["role"]: float(np.mean(a["validation"])) for a in shown["arms"]},
        "chosen": shown["chosen"],
        "repeats": shown["repeats"],
        "found": dict(summary.found),
        "members": {m["name"]: m["weight"] for m in ensemble["members"]},
        "gap": ensemble["gap"],
        "seconds": sum(summary.stages.values()),
    }


def solver_lines(cells: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    out = {}
    for name in [*SOLVERS, "teacher"]:
        out[f"{name}: test"] = [c["solvers"][name]["test"] for c in cells]
    chosen = [c["solvers"]["differential evolution"]["test"] for c in cells]
    for other in ("uniform", "best single", "EM", "stacking"):
        theirs = [c["solvers"][other]["test"] for c in cells]
        out[f"  differential evolution less {other}"] = [
            a - b for a, b in zip(chosen, theirs, strict=True)
        ]
    return {name: over_seeds(values) for name, values in out.items()}


def student_lines(cells: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    trained = [role for role in ROLES if all(role in c["arms"] for c in cells)]
    out = {f"student of {ROLES[role]}": [c["arms"][role] for c in cells] for role in trained}
    for role in trained[1:]:
        out[f"  searched mixture less {ROLES[role]}"] = [
            c["arms"]["found"] - c["arms"][role] for c in cells
        ]
    out["seconds"] = [c["seconds"] for c in cells]
    return {name: over_seeds(values) for name, values in out.items()}


def row(name: str, line: Mapping[str, Any]) -> list[str]:
    digits = 0 if name == "seconds" else 4
    return [
        name,
        with_half(line, digits),
        f"{line['median']:.{digits}f}",
        f"{min(line['per_seed']):.{digits}f}",
        f"{max(line['per_seed']):.{digits}f}",
    ]


def given_arguments() -> argparse.Namespace:
    made = parser(re.sub(r"\s+", " ", __doc__ or ""), "0-9", "ensembles.json")
    made.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA), metavar="NAME")
    made.add_argument("--runs", type=Path, default=Path("runs/ensembles"), metavar="DIR")
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
            print(f"{data}, split {seed}", file=sys.stderr, flush=True)
            summary = finished(given, catalogue, data, seed)
            cells.append(cell(summary, given.runs / f"{_slug(data)}-{seed}", seed))
        lines = {"weights": solver_lines(cells), "students": student_lines(cells)}
        headings = ["", "mean ± half of the 95 % interval", "median", "least", "most"]
        for title, some in lines.items():
            said = (
                f"{data}: {title}, nats a sample, {len(cells)} splits "
                f"({cells[0]['repeats']} trainings a student)"
            )
            show(said, headings, [row(name, line) for name, line in some.items()])
        results[data] = {**lines, "runs": cells}
    del given.runs
    save(given, {"results": results})


if __name__ == "__main__":
    main()
