"""What does the example run find, over several seeds, beside networks that need no search?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from record import arguments, averaged, parser, save, show, shown

from stillhouse.core.cli.progress import bars
from stillhouse.core.config import RunFile, load
from stillhouse.core.cost.limits import Limit, Relation
from stillhouse.core.errors import RunDirectoryError, StillhouseError
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RUN_FILE, RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary

EXAMPLE = Path(__file__).parents[1] / "examples" / "spoken_digits.yaml"
ROLES = {
    "teacher": "teacher",
    "found": "found",
    "scratch": "from scratch",
    "scaled": "scaled down",
}


def configured(given: argparse.Namespace, catalogue: Catalogue, seed: int) -> RunFile:
    """The run file with this seed, and a device file of its own: no timing serves two seeds."""
    device = (given.runs / f"device-seed-{seed}.json").absolute()
    own = [f"search.seed={seed}", f"target.device={json.dumps(str(device))}"]
    return load(given.run_file, catalogue, sets=[*given.sets, *own])


def finished(given: argparse.Namespace, catalogue: Catalogue, seed: int) -> RunSummary:
    """The seed's summary: read if it is there, else from a run begun or continued."""
    run = configured(given, catalogue, seed)
    directory = begun(given.runs / f"seed-{seed}", run.to_yaml())
    if directory.summary.is_file():
        return RunSummary.from_json(directory.summary.read_text("utf-8"))
    with directory, bars() as progress:
        return execute(make_plan(run, catalogue), catalogue, directory, progress)


def begun(folder: Path, resolved: str) -> RunDirectory:
    """The folder's run if it is the same one, else a fresh one in an empty folder."""
    if not (folder / RUN_FILE).is_file():
        return RunDirectory.create(folder, resolved)
    directory = RunDirectory.existing(folder)
    if directory.run_file.read_text("utf-8") != resolved:
        raise RunDirectoryError(
            f"{folder}: holds a run with other settings; choose another folder with --runs"
        )
    return directory


def every_seed(given: argparse.Namespace) -> tuple[dict[str, RunSummary], dict[str, str]]:
    """By seed, what the finished runs say, and why the others failed."""
    catalogue = Catalogue.discover()
    done: dict[str, RunSummary] = {}
    failed: dict[str, str] = {}
    for seed in given.seeds:
        print(f"seed {seed}", file=sys.stderr, flush=True)
        try:
            done[str(seed)] = finished(given, catalogue, seed)
        except StillhouseError as error:
            failed[str(seed)] = str(error)
            print(f"seed {seed} failed: {error}", file=sys.stderr, flush=True)
    return done, failed


def told(done: Mapping[str, RunSummary]) -> dict[str, Any]:
    """Of each finished seed: its figures, what it found, the limits that broke, its notes."""
    return {
        seed: {
            "figures": figures(summary),
            "found": dict(summary.found),
            "broken_limits": broken(summary),
            "notes": list(summary.notes),
        }
        for seed, summary in done.items()
    }


def figures(summary: RunSummary) -> dict[str, float]:
    """The table's figures of one run, by the names of its lines."""
    rows = {row.role: row for row in summary.rows if row.role in ROLES}
    teacher, found = rows["teacher"], rows["found"]
    metric = str(summary.objectives[0]["name"])
    test = {role: row.test[metric] for role, row in rows.items()}
    out = {f"test {metric}: {ROLES[role]}": value for role, value in test.items()}
    for role in ("scratch", "scaled"):
        if role in test:
            out[f"  found minus {ROLES[role]}"] = test["found"] - test[role]
    for role in [role for role in rows if role != "teacher"]:
        of = f" of the teacher's: {ROLES[role]}"
        out[f"size{of}"] = rows[role].size_bytes / teacher.size_bytes
        out[f"latency{of}"] = rows[role].latency_ms / teacher.latency_ms
    out["size in kB: found"] = found.size_bytes / 1e3
    out["latency in ms: found"] = found.latency_ms
    out["every limit met (1 yes, 0 no)"] = float(not broken(summary))
    out |= {f"seconds: {stage}": spent for stage, spent in summary.stages.items()}
    return out | {"seconds: all stages": sum(summary.stages.values())}


def broken(summary: RunSummary) -> list[str]:
    """The limits that the measured artefact breaks, as text."""
    certificate = summary.certificate
    limits = [
        Limit(line.cost, cast("Relation", line.relation), line.bound) for line in certificate.limits
    ]
    return [
        str(limit)
        for limit in limits
        if limit.excess(np.array([certificate.measured[limit.cost]]))[0] > 0
    ]


def table_rows(runs: Sequence[Mapping[str, float]], averages: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name, average in averages.items():
        digits = 1 if name.startswith("seconds") else 4
        cells = [f"{run[name]:.{digits}f}" if name in run else "–" for run in runs]
        rows.append([name, *cells, shown(average, digits)])
    return rows


def main() -> None:
    made = parser(__doc__ or "", "10-12", "demo_seeds.json")
    made.add_argument("--runs", type=Path, default=Path("runs/demo-seeds"), metavar="DIR")
    made.add_argument("--run-file", type=Path, default=EXAMPLE, metavar="RUN.yaml")
    made.add_argument(
        "--set", action="append", default=[], dest="sets", metavar="KEY=VALUE",
        help="override a key of the run file, e.g. search.evaluations=20",
    )  # fmt: skip
    given = arguments(made)
    done, failed = every_seed(given)
    runs = [figures(summary) for summary in done.values()]
    names = dict.fromkeys(name for run in runs for name in run)
    averages = {name: averaged(run[name] for run in runs if name in run) for name in names}
    show(
        f"{given.run_file.name}, {len(done)} of {len(given.seeds)} seeds finished",
        ["", *(f"seed {seed}" for seed in done), "mean ± standard error"],
        table_rows(runs, averages),
    )
    save(given, {"results": averages, "runs": told(done), "failed": failed})
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
