"""stillhouse as a contestant: one run from its cost stage to its certificate, all of it charged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from spoken.clock import Clock, Instant, Stamps
from spoken.entrant import Entrant
from spoken.judging import Answer, Candidate, Jury
from stillhouse.core.cli.progress import bars
from stillhouse.core.config import RunFile
from stillhouse.core.evaluate import Silent, Student
from stillhouse.core.evaluate.evaluator import Evaluator
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.costing import open_device, settle_costs
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.run.teaching import initial_state, settle_goals, train_teacher


def longer(run: RunFile, factor: float) -> list[str]:
    """Overrides that multiply the recipe's epochs and the evaluations; the teacher stays."""
    sets = [f"search.evaluations={round(factor * run.search.evaluations)}"]
    for use in run.recipe:
        epochs = {name: use.fixed[name] for name in ("epochs", "full_epochs") if name in use.fixed}
        sets += [f"recipe.{use.name}.{k}={round(factor * v)}" for k, v in epochs.items()]
    return sets


def contest(entrant: Entrant, run: RunFile, catalogue: Catalogue) -> dict[str, Any]:
    """Run it from nothing and say what it had at each of the entrant's times."""
    plan, folder = make_plan(run, catalogue), entrant.folder
    with RunDirectory.create(folder, run.to_yaml(), overwrite=True) as directory, bars() as shown:
        entrant.device.unlink(missing_ok=True)
        clock = Clock()
        stamps = Stamps(clock, shown)
        summary = execute(plan, catalogue, directory, stamps)
        end = clock.now()
        opened = open_run(plan, catalogue, directory, Silent())
        return _told(entrant, opened, summary, stamps.evaluations, end)


def _told(
    entrant: Entrant, opened: Opened, summary: RunSummary, times: Sequence[Instant], end: Instant
) -> dict[str, Any]:
    teacher, device = train_teacher(opened), open_device(opened)
    candidates = _candidates(opened, teacher, summary, times)
    costing, goals = settle_costs(opened, device), settle_goals(opened, teacher)
    with entrant.passing() as folder:
        jury = Jury(opened, device, costing, goals, entrant.base, folder)
        answers: dict[str, Answer | None] = {
            mark: _certified(summary, end)
            if end.on(entrant.base) <= seconds
            else jury.answer(candidates, seconds)
            for mark, seconds in entrant.marks.items()
        }
        lines = jury.lines(candidates)
    return {
        "answers": answers,
        "end": asdict(end),
        "stages": dict(summary.stages),
        "limits": [str(limit) for limit in costing.limits],
        "notes": list(summary.notes),
        "candidates": lines,
    }


def _candidates(
    opened: Opened, teacher: Student, summary: RunSummary, times: Sequence[Instant]
) -> Sequence[Candidate]:
    """The search's evaluations with the weights they were judged by, from the run's artefacts."""
    state = initial_state(opened, teacher)
    evaluator = Evaluator(opened.steps, state, opened.context, opened.store, opened.origin)
    entries = [
        Entry(e.number, e.key, e.configuration, e.costs, e.values, e.seconds, "", e.fidelity)
        for e in summary.evaluations
    ]
    return [
        Candidate(at, entry, partial(_student, opened, evaluator, entry))
        for at, entry in zip(times, entries, strict=True)
    ]


def _student(opened: Opened, evaluator: Evaluator, entry: Entry) -> Student:
    only = opened.plan.run.search.rungs[0]
    fidelity = only if entry.fidelity is None else entry.fidelity
    student = evaluator.realise(entry.configuration, fidelity).student
    assert student is not None
    return student


def _certified(summary: RunSummary, end: Instant) -> dict[str, Any]:
    """The model in `best/`; it met every limit when measured, or the run had failed."""
    (row,) = [row for row in summary.rows if row.role == "found"]
    return {
        **asdict(end),
        "configuration": dict(summary.found),
        "validation": dict(row.validation),
        "test": dict(row.test),
        "latency_ms": row.latency_ms,
        "size_kb": row.size_bytes / 1e3,
        "passed_over": len(summary.certificate.dropped),
        "certified": True,
    }
