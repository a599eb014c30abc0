"""Two workers against one: the evaluation part of a search on spoken digits.

Teacher and supernet are trained once a seed and shared by all runs; every candidate is then
fine-tuned for a share of its budget, as a search with a fidelity above 0 does. The evaluation part
is the whole search stage, starting the workers included; with the same `batch` and `ahead` all runs
must come to the same ledger.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from record import over_seeds, with_half

from scales.part import Report

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "spoken_digits.yaml"
SETTINGS: Final = (
    "teacher.epochs=4", "recipe.supernet.full_epochs=1", "recipe.supernet.epochs=4",
    "search.fidelity=0.25", "search.batch=8", "search.ahead=1", "train.threads=1",
)  # fmt: skip
ARMS: Final[Mapping[str, Sequence[str]]] = {
    "inline": (),
    "1 process": ("execute.kind=processes", "execute.workers=1"),
    "2 processes": ("execute.kind=processes", "execute.workers=2"),
}
ASKED: Final = 1.8


def report(given: argparse.Namespace) -> Report:
    """Seconds of the evaluation part for each arm, over seeds."""
    cells = {seed: _cell(seed, given) for seed in given.seeds}
    figures: dict[str, Any] = {"evaluations": given.evaluations, "seeds": cells}
    rows = []
    for name in ARMS:
        seconds = over_seeds([cell[name]["seconds"] for cell in cells.values()])
        inline, one = (_gain(cells, other, name) for other in ("inline", "1 process"))
        figures[name] = {"seconds": seconds, "over_inline": inline, "over_one_process": one}
        rows.append([name, with_half(seconds, 1), with_half(inline, 2), with_half(one, 2)])
    figures["same_ledger"] = all(cell["same_ledger"] for cell in cells.values())
    rows.append(["same ledger", "yes" if figures["same_ledger"] else "NO", "", ""])
    reached = figures["2 processes"]["over_inline"]["mean"] >= ASKED and figures["same_ledger"]
    headings = ["evaluations on", "seconds", "against inline", "against 1 process"]
    title = f"spoken digits, {given.evaluations} evaluations, {len(cells)} seeds"
    return Report(title, headings, rows, figures, reached)


def _gain(cells: Mapping[int, Mapping[str, Any]], base: str, name: str) -> dict[str, Any]:
    """How many times as fast as another arm, over seeds."""
    return over_seeds([cell[base]["seconds"] / cell[name]["seconds"] for cell in cells.values()])


def _cell(seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """The arms of one seed, in an order that turns from seed to seed."""
    work = given.runs.resolve() / f"speedup-{seed}"
    work.mkdir(parents=True, exist_ok=True)
    shared = [
        *SETTINGS, f"search.seed={seed}", f"execute.store={work / 'store'}",
        f"target.device={work / 'device.json'}",
    ]  # fmt: skip
    _explored(work / "prepared", [*shared, "search.evaluations=1"])
    names = list(ARMS)
    turned = names[seed % len(names) :] + names[: seed % len(names)]
    cell: dict[str, Any] = {}
    for name in turned:
        settings = [*shared, f"search.evaluations={given.evaluations}", *ARMS[name]]
        cell[name] = _explored(work / name.replace(" ", "-"), settings)
    ledgers = {json.dumps(cell[name].pop("ledger"), sort_keys=True) for name in names}
    return {**cell, "same_ledger": len(ledgers) == 1}


def _explored(folder: Path, settings: Sequence[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "scales.speedup", str(folder), *settings]
    here = Path(__file__).parents[1]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=here)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(folder: Path, settings: Sequence[str]) -> None:
    """One search without its finalists; prints its seconds and its ledger without times."""
    from stillhouse.core.config.runfile import load_with_plugins
    from stillhouse.core.evaluate import Silent
    from stillhouse.core.plan import make_plan
    from stillhouse.core.plugin import Catalogue
    from stillhouse.core.run.directory import RunDirectory
    from stillhouse.core.run.engine import Stopwatch, explore

    run, catalogue = load_with_plugins(EXAMPLE, Catalogue.discover(), settings)
    directory = RunDirectory.create(folder, run.to_yaml(), overwrite=True)
    watch = Stopwatch(folder / "stages.json", time.monotonic)
    with directory:
        done = explore(make_plan(run, catalogue), catalogue, directory, Silent(), watch)
    ledger = [[e.key, e.fidelity, dict(e.values), e.error] for e in done.entries]
    busy = sum(entry.seconds for entry in done.entries)
    print(json.dumps({"seconds": watch.seconds["search"], "busy_s": busy, "ledger": ledger}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
