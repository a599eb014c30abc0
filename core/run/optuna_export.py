"""A run's ledger written as an Optuna study, without torch and without disturbing the run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.core.cost.limits import column
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.stored import Stored, read_stored
from stillhouse.core.search.optuna_study import Record, write_study


def export_run(
    folder: Path, storage: str, name: str | None, catalogue: Catalogue
) -> tuple[str, int]:
    """Write a finished, interrupted or running run as a new study; returns its name and size.

    The study has the run's name unless `name` is given. A candidate is one trial: complete on the
    highest fidelity that any reached, pruned below it, failed where its evaluation did. Costs,
    further metrics, key, fidelity and seconds are user attributes, limits are constraints.

    Raises:
        RunDirectoryError: the folder holds no run, or a damaged one.
        UserError: the storage cannot be used, or has a study of that name.
    """
    stored = read_stored(folder, (), catalogue)
    rungs = _rungs(stored.entries)
    ledger = folder / "ledger.jsonl"
    ended = dt.datetime.fromtimestamp(ledger.stat().st_mtime) if rungs else None
    records = [_record(stored, climbed) for climbed in rungs.values()]
    chosen = name or stored.plan.run.name
    count = write_study(storage, chosen, stored.plan.space, stored.goals.objectives, records, ended)
    return chosen, count


def _rungs(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The evaluations of each candidate in the order they were made, the lowest rung first."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.key, []).append(entry)
    return found


def _record(stored: Stored, climbed: Sequence[Entry]) -> Record:
    last, names = climbed[-1], [objective.name for objective in stored.goals.objectives]
    ladder = sorted({entry.fidelity for entry in stored.entries if entry.fidelity is not None})
    reached = {e.fidelity: {**e.costs, **e.values} for e in climbed if e.values}
    steps = {
        ladder.index(fidelity): known[names[0]]
        for fidelity, known in reached.items()
        if fidelity is not None and len(names) == 1
    }
    known = reached.get(last.fidelity, {})
    return Record(
        configuration=last.configuration,
        values=[known[name] for name in names] if known else (),
        constraints=_constraints(stored, last),
        attributes=_attributes(last, names),
        seconds=sum(entry.seconds for entry in climbed),
        steps=steps,
        stopped=bool(ladder) and last.fidelity != ladder[-1],
    )


def _constraints(stored: Stored, entry: Entry) -> Mapping[str, float]:
    """Excess over each limit; that on a measured value is unknown where an evaluation failed."""
    table = {name: np.array([cost]) for name, cost in {**entry.costs, **entry.values}.items()}
    # What was evaluated passed with the margin for predicted latencies, or had been measured.
    limits = [replace(limit, margin=0.0) for limit in stored.limits]
    limits += list(stored.goals.outcomes) if entry.values else []
    return {str(m): float(m.signed_excess(column(table, m.cost))[0]) for m in limits}


def _attributes(entry: Entry, objectives: Sequence[str]) -> Mapping[str, Any]:
    facts: dict[str, Any] = {"key": entry.key, "seconds": entry.seconds, **entry.costs}
    facts |= {name: value for name, value in entry.values.items() if name not in objectives}
    if entry.fidelity is not None:
        facts["fidelity"] = entry.fidelity
    return {**facts, "error": entry.error} if entry.error else facts
