"""Does a student of Whisper's encoder understand a speaker that nobody trained it on?

One search a held-out speaker of the Free Spoken Digit Dataset, by the example run for raw audio:
the speaker's 500 clips are the test split, the other five speakers are divided among the rest. The
found model stands beside its teacher and beside networks that need no search, and one of its own
shape that has neither: trained from scratch for as many updates on the labels alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from demo_seeds import begun, broken, table_rows
from record import arguments, averaged, parser, save, show

from stillhouse.core.atomic import write_atomically
from stillhouse.core.cli.progress import bars
from stillhouse.core.config import RunFile, load
from stillhouse.core.distill.scratch import train_from_scratch
from stillhouse.core.errors import StillhouseError
from stillhouse.core.evaluate import Progress, State, Student
from stillhouse.core.evaluate.evaluator import predict
from stillhouse.core.plan import Plan, make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.opened import open_run
from stillhouse.core.run.summary import ModelRow, RunSummary
from stillhouse.core.run.teaching import training_settings

EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "spoken_digits_raw.yaml"
FOLDER: Final = "STILLHOUSE_FSDD"
SPEAKERS: Final = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
ROLES: Final = {
    "teacher": "teacher",
    "found": "found",
    "scratch": "same shape, from scratch, taught",
    "untaught": "same shape, from scratch, labels alone",
    "scaled": "scaled down, from scratch, taught",
}
GAPS: Final = ("teacher", "scratch", "untaught", "scaled")
Cell = Mapping[str, Any]


def cell(given: argparse.Namespace, catalogue: Catalogue, speaker: str, seed: int) -> Cell:
    """What one run came to, kept beside its folder; read if the same run has ended before."""
    run = configured(given, catalogue, speaker, seed)
    folder = given.runs / f"{speaker}-{seed}"
    directory, kept = begun(folder, run.to_yaml()), given.runs / f"{speaker}-{seed}.json"
    if not kept.is_file():
        began, busy = time.monotonic(), time.process_time()
        plan = make_plan(run, catalogue)
        with directory, bars() as progress:
            summary = finished(plan, catalogue, directory, progress)
            alone = untaught(plan, catalogue, directory, progress, row(summary, "found"))
        spent = {
            "this process, CPU": time.process_time() - busy,
            "all, wall": time.monotonic() - began,
        }
        told = {**told_by(summary), "untaught": alone, "spent": spent}
        write_atomically(kept, json.dumps(told, indent=1, allow_nan=False))
    found: Cell = json.loads(kept.read_text("utf-8"))
    return found


def configured(given: argparse.Namespace, catalogue: Catalogue, speaker: str, seed: int) -> RunFile:
    """The run file for a speaker and a seed; one device file serves all, their shapes are one."""
    device = (given.runs / "device.json").absolute()
    own = {
        "task.fsdd-dir.path": given.data.absolute(),
        "task.fsdd-dir.held_out": speaker,
        "search.seed": seed,
        "target.device": device,
    }
    sets = [f"{key}={json.dumps(str(value))}" for key, value in own.items() if key != "search.seed"]
    return load(given.run_file, catalogue, sets=[*given.sets, *sets, f"search.seed={seed}"])


def finished(
    plan: Plan, catalogue: Catalogue, directory: RunDirectory, progress: Progress
) -> RunSummary:
    if directory.summary.is_file():
        return RunSummary.from_json(directory.summary.read_text("utf-8"))
    return execute(plan, catalogue, directory, progress)


def row(summary: RunSummary, role: str) -> ModelRow:
    return next(line for line in summary.rows if line.role == role)


def untaught(
    plan: Plan, catalogue: Catalogue, directory: RunDirectory, progress: Progress, found: ModelRow
) -> dict[str, dict[str, float]]:
    """Scores of the found shape with fresh weights, trained without teacher or terms."""
    opened = open_run(plan, catalogue, directory, progress)
    context = replace(opened.context, checkpoints=None)
    generator = torch.Generator().manual_seed(context.seed("untaught", "weights"))
    module = opened.family.build(found.structure, generator)
    student = train_from_scratch(
        Student(opened.family.name, found.structure, module),
        found.updates,
        State({}, opened.task.data),
        context,
        training_settings(opened),
        "untaught",
    )
    splits = (opened.task.data.validation, opened.task.data.test)
    return {s.name: dict(opened.task.score(predict(student, s), s.targets)) for s in splits}


def told_by(summary: RunSummary) -> dict[str, Any]:
    """A finished run's rows by role, what it found and what it says about itself."""
    rows = {
        line.role: {
            "test": dict(line.test),
            "validation": dict(line.validation),
            "parameters": line.parameters,
            "size_kb": line.size_bytes / 1e3,
            "latency_ms": line.latency_ms,
            "updates": line.updates,
        }
        for line in summary.rows
    }
    return {
        "rows": rows,
        "found": dict(summary.found),
        "limits": [f"{line.text} = {line.bound:.4g}" for line in summary.limits],
        "broken_limits": broken(summary),
        "stages": dict(summary.stages),
        "notes": list(summary.notes),
    }


def figures(told: Cell) -> dict[str, float]:
    """The table's figures of one run, by the names of its lines."""
    scores = {role: told["rows"][role] for role in ROLES if role in told["rows"]}
    scores["untaught"] = told["untaught"]
    out = {f"test accuracy, %: {ROLES[r]}": 100 * scores[r]["test"]["accuracy"] for r in ROLES}
    for role in GAPS:
        ahead = scores["found"]["test"]["accuracy"] - scores[role]["test"]["accuracy"]
        out[f"  found minus {ROLES[role]}"] = 100 * ahead
    for split in ("validation", "test"):
        out |= {f"{split} log-loss: {ROLES[r]}": scores[r][split]["log_loss"] for r in ROLES}
    for name in ("parameters", "size_kb", "latency_ms"):
        out |= {f"{name}: {ROLES[r]}": told["rows"][r][name] for r in ("teacher", "found")}
    out["every limit met (1 yes, 0 no)"] = float(not told["broken_limits"])
    out |= {f"seconds: {stage}": spent for stage, spent in told["stages"].items()}
    return out | {f"seconds: {name}": spent for name, spent in told["spent"].items()}


def over_seeds(cells: Mapping[str, Cell], seeds: list[int], speaker: str) -> dict[str, float]:
    """A speaker's figures, means over the seeds that finished."""
    found = [figures(cells[f"{speaker}-{seed}"]) for seed in seeds if f"{speaker}-{seed}" in cells]
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def every_cell(given: argparse.Namespace) -> tuple[dict[str, Cell], dict[str, str]]:
    """By speaker and seed, what the finished runs say, and why the others failed."""
    catalogue = Catalogue.discover()
    cells: dict[str, Cell] = {}
    failed: dict[str, str] = {}
    for name, speaker, seed in [(f"{s}-{i}", s, i) for s in given.speakers for i in given.seeds]:
        print(name, file=sys.stderr, flush=True)
        try:
            cells[name] = cell(given, catalogue, speaker, seed)
        except StillhouseError as error:
            failed[name] = str(error)
            print(f"{name} failed: {error}", file=sys.stderr, flush=True)
    return cells, failed


def given_arguments() -> argparse.Namespace:
    made = parser(re.sub(r"\s+", " ", __doc__ or ""), "0", "speakers.json")
    made.add_argument(
        "--data", type=Path, default=os.environ.get(FOLDER), metavar="DIR",
        help=f"the data set's folder, or its recordings; else as in {FOLDER}",
    )  # fmt: skip
    made.add_argument("--speakers", nargs="+", default=SPEAKERS, choices=SPEAKERS, metavar="NAME")
    made.add_argument("--runs", type=Path, default=Path("runs/speakers"), metavar="DIR")
    made.add_argument("--run-file", type=Path, default=EXAMPLE, metavar="RUN.yaml")
    made.add_argument(
        "--set", action="append", default=[], dest="sets", metavar="KEY=VALUE",
        help="override a key of the run file, e.g. search.evaluations=20",
    )  # fmt: skip
    given = arguments(made)
    if given.data is None:
        made.error(f"--data: expected the folder of the recordings, here or in {FOLDER}")
    return given


def main() -> None:
    given = given_arguments()
    cells, failed = every_cell(given)
    speakers = [s for s in given.speakers if any(f"{s}-{seed}" in cells for seed in given.seeds)]
    columns = [over_seeds(cells, given.seeds, speaker) for speaker in speakers]
    names = list(columns[0]) if columns else []
    averages = {name: averaged(column[name] for column in columns) for name in names}
    show(
        f"{given.run_file.name}, {len(speakers)} of {len(given.speakers)} held-out speakers",
        ["", *speakers, "mean ± standard error"],
        table_rows(columns, averages),
    )
    told = {"speakers": speakers, "results": averages, "runs": cells, "failed": failed}
    # Where the data and the runs lie on this machine is nobody else's concern.
    del given.data, given.runs
    given.run_file = given.run_file.name
    save(given, told)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
