"""Does a student of two leads learn more from two teachers of different leads than from one?

After LRH-Net (arXiv:2204.08000), on simulated heartbeats with any of four findings. The teacher is
given all 12 leads; its assistant, the same large network on the student's I and II, learns from it
and from labels. Three runs a seed, on data of its own; the students of all arms have one shape, and
train three times over by as many updates.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import beats
import numpy as np
import torch
from demo_seeds import begun
from record import arguments, over_seeds, parser, save, show, with_half

from stillhouse.core.cli.progress import bars
from stillhouse.core.config import RunFile
from stillhouse.core.config.runfile import parse
from stillhouse.core.evaluate.multi_label import average_precision
from stillhouse.core.evaluate.prediction_folder import read
from stillhouse.core.evaluate.predictions import Predictions
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.search.ensembles import prune

SAMPLES: Final = 2000
STUDENT_LEADS: Final = [beats.LEADS.index(lead) for lead in ("I", "II")]
RATIO: Final = 50
"""The teacher has at least so many times the student's parameters."""
BIG: Final = (
    "model: cnn, block: residual, stages: 3, strides: [2, 2, 2], width: 16, depth: 1, kernel: 7, "
    "stem: 7, epochs: 10, learning_rate: 8.0e-3"
)
RUN: Final = f"""
name: leads
task: {{npz: {{path: PATH, classes: [{", ".join(beats.FINDINGS)}]}}}}
teacher: {{{BIG}}}
student: {{model: cnn, block: residual, stages: 2, strides: [4, 2], width: 4, depth: 1, kernel: 5,
  stem: 7, channels: {STUDENT_LEADS}}}
recipe:
  - ensemble: {{assistants: [{{{BIG}, name: two-lead, channels: {STUDENT_LEADS}}}],
      topology: flat, include_teacher: true, temperature: 2, weight: 3}}
  - fresh
  - distil: {{epochs: 20, learning_rate: 8.0e-2}}
search: {{maximize: average_precision, evaluations: 1, finalists: 1, repeats: 3}}
target: {{runtime: onnxruntime-cpu, profile: 5, repeats: 5, processes: 1, patience_s: 0,
  device: device.json}}
baselines: false
train: {{threads: 1}}
"""
_PUBLISHED: Final = (
    "recipe.ensemble.form=softmax",
    "recipe.ensemble.temperature=7",
    "recipe.ensemble.squared=false",
    "recipe.ensemble.weight=0.7",
    "recipe.ensemble.weights=given",
    "recipe.ensemble.given=[0.6, 0.4]",
    "recipe.distil.task_weight=0.3",
)
_SEARCHED: Final = (
    "recipe.ensemble.weights=given",
    "recipe.ensemble.given={simplex: 2}",
    "search.evaluations=4",
    "search.fidelity=0.5",
)
RUNS: Final[Mapping[str, Sequence[str]]] = {
    "solved": (),
    "searched": _SEARCHED,
    "published": _PUBLISHED,
}
ROWS: Final[Mapping[str, tuple[str, str]]] = {
    "two teachers, solved weights": ("solved", "found"),
    "two teachers, searched weights": ("searched", "found"),
    "two teachers, equal weights": ("solved", "uniform"),
    "12-lead teacher alone": ("solved", "teacher-alone"),
    "2-lead teacher alone": ("solved", "best-single"),
    "published, two teachers": ("published", "found"),
    "published, 12-lead teacher alone": ("published", "teacher-alone"),
    "published, 2-lead teacher alone": ("published", "best-single"),
    "labels alone": ("solved", "labels-alone"),
}
_TWO: Final = [row for row in ROWS if row.startswith("two teachers")]
AGAINST: Final[Mapping[str, Sequence[str]]] = {
    "labels alone": [row for row in ROWS if row != "labels alone"],
    "12-lead teacher alone": [*_TWO, "2-lead teacher alone"],
    "2-lead teacher alone": _TWO,
    "published, 12-lead teacher alone": ["published, two teachers"],
}
TEACHERS: Final = {"12-lead teacher itself": "teacher", "2-lead teacher itself": "two-lead"}


def configured(given: argparse.Namespace, catalogue: Catalogue, name: str, seed: int) -> RunFile:
    """A way to teach with this seed, its data beside it; one device file for all."""
    path = given.runs / f"beats-{seed}.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        beats.write(path, SAMPLES, seed)
    own = [*RUNS[name], *given.sets, f"search.seed={seed}"]
    text = RUN.replace("PATH", path.name)
    return parse(text, str((given.runs / "leads.yaml").absolute()), catalogue, own)


def finished(given: argparse.Namespace, catalogue: Catalogue, name: str, seed: int) -> RunSummary:
    run = configured(given, catalogue, name, seed)
    directory = begun(given.runs / f"{_slug(name)}-{seed}", run.to_yaml())
    if directory.summary.is_file():
        return RunSummary.from_json(directory.summary.read_text("utf-8"))
    with directory, bars() as progress:
        return execute(make_plan(run, catalogue), catalogue, directory, progress)


def cell(summary: RunSummary, folder: Path) -> dict[str, Any]:
    """Average precision on test of every arm's students and of the teachers; weights found."""
    shown = next(e for e in summary.exhibits if e["kind"] == "arms")
    rows = {row.role: row for row in summary.rows}
    ratio = rows["teacher"].parameters / rows["found"].parameters
    assert ratio >= RATIO, f"expected a teacher {RATIO} times as large as the student, got {ratio}"
    place = next((folder / "artefacts").glob("ensemble-*"))
    best = max(summary.evaluations, key=lambda one: one.values["average_precision"])
    return {
        "arms": {arm["role"]: arm["test"] for arm in shown["arms"]},
        "validation": {arm["role"]: arm["validation"] for arm in shown["arms"]},
        "chosen": shown["chosen"],
        "teachers": _precisions(read(place / "test")),
        "solved": _solved(read(place / "tuning"), summary.seed),
        "searched": best.configuration.get("ensemble.given"),
        "parameters": {role: rows[role].parameters for role in ("teacher", "found")},
        "updates": rows["found"].updates,
        "seconds": sum(summary.stages.values()),
    }


def _precisions(test: Predictions) -> dict[str, float]:
    targets = torch.from_numpy(np.array(test.targets))
    return {
        name: average_precision(torch.from_numpy(np.array(said)), targets)
        for name, said in zip(test.models, test.probabilities, strict=True)
    }


def _solved(tuning: Predictions, seed: int) -> list[float]:
    """Weights of the teacher and of its assistant, as differential evolution and dropping leave.

    The run's own exhibit shows those of the arm that was best.
    """
    found = prune(tuning.probabilities, tuning.targets, seed=seed)
    weights: list[float] = found.solution.weights.tolist()
    return weights


def compared(seeds: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The table's lines, each from the runs of every seed: teachers, students, differences."""
    lines = {
        line: [runs["solved"]["teachers"][name] for runs in seeds]
        for line, name in TEACHERS.items()
    }
    for line, (run, role) in ROWS.items():
        lines[line] = [float(np.mean(runs[run]["arms"][role])) for runs in seeds]
    for other, rows in AGAINST.items():
        for line in rows:
            pairs = zip(lines[line], lines[other], strict=True)
            lines[f"  {line} less {other}"] = [one - less for one, less in pairs]
    for how in ("solved", "searched"):
        weights = [runs[how][how][1] for runs in seeds]
        lines[f"weight of the 2-lead teacher, {how}"] = weights
    lines["seconds"] = [sum(run["seconds"] for run in runs.values()) for runs in seeds]
    return {name: over_seeds(values) for name, values in lines.items()}


def row(name: str, line: Mapping[str, Any]) -> list[str]:
    digits = 0 if name == "seconds" else 3
    return [
        name,
        *(f"{v:.{digits}f}" for v in line["per_seed"]),
        with_half(line, digits),
    ]


def given_arguments() -> argparse.Namespace:
    made = parser(re.sub(r"\s+", " ", __doc__ or ""), "0-4", "leads.json")
    made.add_argument("--runs", type=Path, default=Path("runs/leads"), metavar="DIR")
    made.add_argument(
        "--set", action="append", default=[], dest="sets", metavar="KEY=VALUE",
        help="override a key of the run files, e.g. search.repeats=1",
    )  # fmt: skip
    return arguments(made)


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def main() -> None:
    given, catalogue = given_arguments(), Catalogue.discover()
    seeds: list[dict[str, Any]] = []
    for seed in given.seeds:
        seeds.append({})
        for name in RUNS:
            print(f"seed {seed}: {name}", file=sys.stderr, flush=True)
            summary = finished(given, catalogue, name, seed)
            seeds[-1][name] = cell(summary, given.runs / f"{_slug(name)}-{seed}")
    lines = compared(seeds)
    sizes, updates = seeds[0]["solved"]["parameters"], seeds[0]["solved"]["updates"]
    title = (
        f"average precision on test, means of students, ± half of the 95 % interval over seeds; "
        f"teachers of {sizes['teacher']} parameters, students of {sizes['found']}, {updates} "
        "updates each"
    )
    headings = ["", *map(str, given.seeds), "mean"]
    show(title, headings, [row(name, line) for name, line in lines.items()])
    del given.runs
    save(given, {"results": {"lines": lines, "runs": seeds}})


if __name__ == "__main__":
    main()
