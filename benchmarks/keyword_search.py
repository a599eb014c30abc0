"""Spoken digits: stillhouse, or Optuna training every candidate from scratch, in equal time?"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from record import arguments, averaged, parser, save, show, shown
from spoken import optuna_scratch, ours
from spoken.entrant import Entrant

from stillhouse.core.config import RunFile, load
from stillhouse.core.errors import StillhouseError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory

EXAMPLE = Path(__file__).parents[1] / "examples" / "spoken_digits.yaml"
LONG: Final = "stillhouse-long"
OPTUNA: Final[Mapping[str, Mapping[str, int]]] = {
    # Tries enough that Optuna's own proposals are used and not a random feasible candidate.
    "optuna-tpe": {"tries": 100},
    "optuna-nsga2": {"tries": 100, "population": 20},
}
CONTESTANTS: Final = ("stillhouse", LONG, *OPTUNA)


def configured(given: argparse.Namespace, catalogue: Catalogue, entrant: Entrant) -> RunFile:
    """The run file for this contestant and seed: one thread, no controls, its own device file."""
    sets = [
        *given.sets, f"search.seed={entrant.seed}", "baselines=false", "train.threads=1",
        f"target.device={json.dumps(str(entrant.device))}",
    ]  # fmt: skip
    if entrant.label == LONG:
        sets += ours.longer(load(given.run_file, catalogue, sets=given.sets), given.longer)
    if entrant.label in OPTUNA:
        sets.append(f"search.sampler={entrant.label}")
        params = OPTUNA[entrant.label].items()
        sets += [f"search.sampler.{entrant.label}.{name}={value}" for name, value in params]
    return load(given.run_file, catalogue, sets=sets)


def result_of(given: argparse.Namespace, catalogue: Catalogue, label: str, seed: int) -> Any:
    """The contestant's result on this seed: read if it is there, else obtained and written."""
    marks = {f"{minutes:g}": 60.0 * minutes for minutes in given.minutes}
    entrant = Entrant(label, seed, given.runs, given.clock, marks)
    run = configured(given, catalogue, entrant)
    asked = {"epochs": given.epochs, "learning_rate": given.learning_rate}
    settings = {"run file": run.to_yaml(), "minutes": list(marks), "clock": given.clock}
    settings |= asked if label in OPTUNA else {}
    kept = entrant.kept(settings)
    if kept is not None:
        return kept
    if label in OPTUNA:
        source = limits_of(given, catalogue, seed)
        told = optuna_scratch.contest(entrant, run, catalogue, source, asked)
    else:
        told = ours.contest(entrant, run, catalogue)
    load_average = list(os.getloadavg())
    result = {"contestant": label, "seed": seed, "settings": settings, "load": load_average, **told}
    entrant.keep(result)
    return result


def limits_of(given: argparse.Namespace, catalogue: Catalogue, seed: int) -> RunDirectory:
    """The finished stillhouse run of this seed, whose limits and cost models hold for all."""
    entrant = Entrant("stillhouse", seed, given.runs, given.clock, {})
    result_of(given, catalogue, entrant.label, seed)
    return RunDirectory.existing(entrant.folder)


def everyone(given: argparse.Namespace) -> tuple[dict[str, list[Any]], list[str]]:
    """Results by contestant in the order of seeds, and what failed; stillhouse goes first."""
    catalogue = Catalogue.discover()
    results: dict[str, list[Any]] = {label: [] for label in CONTESTANTS if label in given.only}
    failed = []
    for seed in given.seeds:
        for label, done in results.items():
            print(f"{label}, seed {seed}", file=sys.stderr, flush=True)
            try:
                done.append(result_of(given, catalogue, label, seed))
            except StillhouseError as error:
                failed.append(f"{label}, seed {seed}: {error}")
                print(failed[-1], file=sys.stderr, flush=True)
    return results, failed


def told(given: argparse.Namespace, results: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Of each contestant and time: test metric of its answers, candidates by then; its end."""
    out: dict[str, Any] = {}
    for label, done in results.items():
        by_mark = {
            f"{minutes:g}": at_mark(done, f"{minutes:g}", 60 * minutes, given.clock, given.metric)
            for minutes in given.minutes
        }
        ends = {
            name: averaged(one["end"][name] for one in done) if done else None
            for name in ("wall_s", "cpu_s")
        }
        out[label] = {"seeds": [one["seed"] for one in done], "at": by_mark, "end": ends}
    return out


def at_mark(
    done: Sequence[Any], mark: str, seconds: float, clock: str, metric: str
) -> dict[str, Any]:
    answers = [one["answers"][mark] for one in done]
    found = [answer["test"][metric] for answer in answers if answer]
    evaluated = [sum(line[f"{clock}_s"] <= seconds for line in one["candidates"]) for one in done]
    return {
        "answered": len(found),
        "test": averaged(found) if found else None,
        "per_seed": [answer["test"][metric] if answer else None for answer in answers],
        "candidates": averaged(evaluated) if evaluated else None,
    }


def table_row(label: str, result: Mapping[str, Any]) -> list[str]:
    cells, seeds = [], len(result["seeds"])
    for at in result["at"].values():
        partly = "" if at["answered"] == seeds else f" ({at['answered']} of {seeds})"
        cells.append(f"{shown(at['test'], 4)}{partly}" if at["test"] else "none yet")
    last = [at["candidates"] for at in result["at"].values()][-1]
    ends = [shown(result["end"][name], 0) if seeds else "–" for name in ("wall_s", "cpu_s")]
    return [label, *cells, shown(last, 0) if last else "–", *ends]


def main() -> None:
    made = parser(__doc__ or "", "20-22", "keyword_search.json")
    made.add_argument("--minutes", nargs="+", type=float, default=[1, 2, 5, 15], metavar="M")
    made.add_argument(
        "--only", nargs="+", choices=CONTESTANTS, default=["stillhouse", *OPTUNA],
        help="contestants to run; Optuna's are preceded by their seed's stillhouse run",
    )  # fmt: skip
    made.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="seconds counted")
    made.add_argument("--runs", type=Path, default=Path("runs/keyword-search"), metavar="DIR")
    made.add_argument("--run-file", type=Path, default=EXAMPLE, metavar="RUN.yaml")
    made.add_argument(
        "--set", action="append", default=[], dest="sets", metavar="KEY=VALUE",
        help="override a key of the run file for every contestant",
    )  # fmt: skip
    made.add_argument("--epochs", type=int, help="of Optuna's candidates; default: the teacher's")
    made.add_argument(
        "--learning-rate", type=float, default=2e-3,
        help="of Optuna's candidates; the example's students have the same",
    )  # fmt: skip
    made.add_argument(
        "--longer", type=float, default=5.0, metavar="FACTOR",
        help=f"{LONG}: epochs of the recipe and evaluations, times this",
    )  # fmt: skip
    given = arguments(made)
    given.minutes = sorted(set(given.minutes))
    if given.minutes[0] <= 0:
        made.error(f"--minutes: expected positive numbers, got {given.minutes[0]:g}")
    if os.environ.get("OMP_NUM_THREADS") != "1":
        made.error("every contestant has one thread: set OMP_NUM_THREADS=1")
    objective = load(given.run_file, Catalogue.discover(), sets=given.sets).search
    given.metric = (*objective.maximize, *objective.minimize)[0]
    results, failed = everyone(given)
    summary = told(given, results)
    show(
        f"Test {given.metric} within the limits after so many {given.clock} minutes",
        ["contestant", *(f"{m:g} min" for m in given.minutes), "candidates", "wall s", "CPU s"],
        (table_row(label, result) for label, result in summary.items()),
    )
    save(given, {"results": summary, "failed": failed})
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
