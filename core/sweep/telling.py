"""What a finished sweep says of itself: its best trial's summary, its trials as evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stillhouse.core.run.goals import Goals, front_of, known_of
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.summary import Evaluation, RunSummary
from stillhouse.core.sweep.directory import SweepDirectory
from stillhouse.core.sweep.finishing import Finished, folder_of
from stillhouse.core.sweep.importance import importance
from stillhouse.core.sweep.space import goals_of, space_of
from stillhouse.core.sweep.trial import Trials


def summarise(
    directory: SweepDirectory,
    trials: Trials,
    entries: Sequence[Entry],
    finished: Sequence[Finished],
    notes: Sequence[str],
    name: str,
) -> RunSummary:
    """The summary that the sweep's reports are made from."""
    section, goals = trials.section, goals_of(trials.section)
    front = front_of(entries, goals, ())
    size = space_of(section.parameters).size()
    failed = [entry for entry in entries if entry.error]
    said = [f"{len(failed)} trials failed; the first: {failed[0].error}"] if failed else []
    return replace(
        finished[0].summary,
        name=name,
        objectives=[{"name": o.name, "maximize": o.maximize} for o in goals.objectives],
        sampler=section.sampler.name,
        seed=section.seed,
        space_size=f"{size:,}" if isinstance(size, int) else "infinitely many",
        evaluations=[_evaluation(e, on) for e, on in zip(entries, front, strict=True)],
        stages={"trials": sum(entry.seconds for entry in entries)},
        notes=[*said, *notes, *finished[0].summary.notes],
        exhibits=[
            _exhibit(directory, trials, entries, finished, goals),
            *finished[0].summary.exhibits,
        ],
    )


def _evaluation(e: Entry, on_front: bool) -> Evaluation:
    return Evaluation(
        e.number, e.key, e.configuration, e.costs, e.values, e.seconds, on_front, e.fidelity
    )


def _exhibit(
    directory: SweepDirectory,
    trials: Trials,
    entries: Sequence[Entry],
    finished: Sequence[Finished],
    goals: Goals,
) -> dict[str, Any]:
    section = trials.section
    done = {one.folder for one in finished}
    first = goals.objectives[0].name
    lowest = {entry.key: entry for entry in reversed(entries) if first in known_of(entry)}
    told = [lowest[key] for key in sorted(lowest)]
    return {
        "kind": "sweep",
        "best": finished[0].entry.key,
        "objectives": [o.name for o in goals.objectives],
        "limits": [str(limit) for limit in goals.outcomes],
        "scheduler": section.scheduler.name,
        "budget": section.budget.parameter if section.budget else "",
        "mattered": importance(
            [entry.configuration for entry in told],
            [known_of(entry)[first] for entry in told],
            section.parameters,
        ),
        "rungs": _rungs(entries, goals),
        "trials": [
            {
                "key": entry.key,
                "rung": entry.fidelity,
                "folder": (folder := folder_of(entry, directory, trials).folder.name),
                "reported": folder in done,
                "values": dict(entry.configuration),
                "known": _shown(entry, goals),
                "meets": bool(known_of(entry)) and goals.violation(known_of(entry)) == 0,
                "error": entry.error,
            }
            for entry in entries
        ],
    }


def _shown(entry: Entry, goals: Goals) -> dict[str, float]:
    names = dict.fromkeys([o.name for o in goals.objectives] + [g.cost for g in goals.outcomes])
    known = known_of(entry)
    return {name: known[name] for name in (*names, "seconds") if name in known}


def _rungs(entries: Sequence[Entry], goals: Goals) -> list[Mapping[str, Any]]:
    """How many trials reached each rung, and the best first objective there."""
    first = goals.objectives[0]
    found: list[Mapping[str, Any]] = []
    for rung in sorted({entry.fidelity for entry in entries if entry.fidelity is not None}):
        known = [known_of(entry) for entry in entries if entry.fidelity == rung]
        values = [one[first.name] for one in known if math.isfinite(one.get(first.name, math.nan))]
        best = min(values, key=lambda value: first.sign * value, default=None)
        found.append({"rung": rung, "trials": len(known), "best": best})
    return found
