"""What a finished run tells: the summary, and `best/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.core.cost.names import is_cost
from stillhouse.core.evaluate import ModelFamily, Student
from stillhouse.core.evaluate.evaluator import predict
from stillhouse.core.measure import DeviceFile, Exported, Measured
from stillhouse.core.measure.inputs import facts
from stillhouse.core.report.card import model_card
from stillhouse.core.run.arms import Arms
from stillhouse.core.run.certifying import Certified
from stillhouse.core.run.controls import LABELS, Control
from stillhouse.core.run.costing import Costing, counted_structure
from stillhouse.core.run.elsewhere import predicted_ms
from stillhouse.core.run.energy_used import used_mj
from stillhouse.core.run.finalists import Finalist, counts
from stillhouse.core.run.goals import Goals, front_of
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.measuring import export, measure_artefacts
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.saving import needed_code, save_model, sha256
from stillhouse.core.run.summary import (
    Certificate,
    Evaluation,
    LimitLine,
    ModelRow,
    RunSummary,
)
from stillhouse.core.search import on_front


@dataclass(frozen=True, eq=False)
class Told:
    """Everything a run ended with."""

    opened: Opened
    device: DeviceFile
    costing: Costing
    goals: Goals
    entries: Sequence[Entry]
    teacher: Student
    certified: Certified
    controls: Sequence[Control]
    exports: Path
    notes: Sequence[str] = ()
    arms: Arms = field(default_factory=Arms)
    exhibits: Sequence[Mapping[str, Any]] = ()


def summarise(told: Told, stages: Mapping[str, float]) -> RunSummary:
    """Measure teacher and controls beside the found model, read the test split, put it together.

    This is the only place that looks at the test split, and it looks once.
    """
    opened, run = told.opened, told.opened.plan.run
    rows = _rows(told)
    return RunSummary(
        name=run.name,
        task=run.task.name,
        objectives=[{"name": o.name, "maximize": o.maximize} for o in told.goals.objectives],
        limits=limit_lines(told),
        sampler=run.search.sampler.name,
        seed=run.search.seed,
        space_size=_size(opened.plan.space.size()),
        evaluations=_evaluations(told),
        latency_pairs=[*told.costing.pairs, *_finalist_pairs(told)],
        predictor=told.costing.predictor,
        rows=rows,
        full=_full(opened),
        found=_genes(told.certified.passed[0].entry.configuration),
        certificate=_certificate(told),
        stages=stages,
        versions=_versions(),
        notes=_notes(told),
        metrics=[{"name": m.name, "maximize": m.better == "higher"} for m in opened.task.metrics],
        inputs=_inputs(opened),
        outputs=_outputs(opened),
        exhibits=[*told.exhibits, *_arms(told)],
    )


def save_best(told: Told, summary: RunSummary) -> None:
    """Write `best/`: the measured artefact, weights, structure and record, model card.

    With several objectives the other certified models go to `front/2`, `front/3` and so on.
    """
    best, opened = told.certified.passed[0], told.opened
    extra = {
        "task": opened.task.name,
        "data": opened.task.viewed(()).data.sha256,
        "labels": list(opened.task.labels),
        "input_shape": list(opened.task.input_shape),
        "inputs": dict(summary.inputs),
        **({"channels": list(opened.task.channels)} if opened.task.channels else {}),
        **({"outputs": dict(summary.outputs)} if summary.outputs else {}),
        "configuration": dict(best.entry.configuration),
        "policy": _policy(best),
        "certificate": asdict(summary.certificate),
        "stillhouse": version("stillhouse"),
    }
    card = model_card(summary)
    artefact, family = best.artefact.path, opened.family
    code = needed_code(best.student, opened.catalogue)
    save_model(opened.directory.best, best.student, artefact, card, extra, family, code)
    for number, other in enumerate(_along_the_front(told), 2):
        folder = opened.directory.folder / "front" / str(number)
        folder.parent.mkdir(exist_ok=True)
        extra |= {
            "configuration": dict(other.entry.configuration),
            "policy": _policy(other),
            "certificate": {
                "measured": _measured(told, other),
                "sha256": sha256(other.artefact.path),
                "front": number,
            },
        }
        text = f"# front {number}\n\nOne of several certified models; see `../../best/README.md`.\n"
        code = needed_code(other.student, opened.catalogue)
        save_model(folder, other.student, other.artefact.path, text, extra, code=code)


def _policy(found: Finalist) -> dict[str, Any]:
    """How a model answers; where samples differ, the share and the latency of each way to run."""
    ways = [
        {"share": way.share, "latency_ms": way.latency.latency_ms} for way in found.measured.ways
    ]
    return {**asdict(found.policy), **({"ways": ways} if ways else {})}


def _arms(told: Told) -> list[dict[str, Any]]:
    """Every arm's first objective that is a metric, on validation and test, each repeat."""
    metrics = {metric.name: metric for metric in told.opened.task.metrics}
    objectives = (o.name for o in told.goals.objectives if o.name in metrics)
    metric = metrics[next(objectives, next(iter(metrics)))]
    arms = told.arms.arms
    if not arms:
        return []
    shown = [
        {
            "role": arm.role,
            "label": arm.label,
            "validation": [values[metric.name] for values in arm.validation],
            "test": [_score(told, student, "test")[metric.name] for student in arm.students],
        }
        for arm in arms
    ]
    return [
        {
            "kind": "arms",
            "method": next((arm.method for arm in arms if arm.method), ""),
            "metric": metric.name,
            "maximize": metric.better == "higher",
            "repeats": len(arms[0].students),
            "chosen": told.arms.chosen,
            "arms": shown,
        }
    ]


def _inputs(opened: Opened) -> dict[str, Any]:
    said = opened.task.preparation
    known = facts(opened.task.data.validation.inputs)
    if channels := opened.task.channels:
        known |= {"channels": list(channels), "of": opened.task.viewed(()).input_shape[-1]}
    return {**known, "preparation": said} if said else known


def _outputs(opened: Opened) -> dict[str, Any]:
    task = opened.task
    return {"several": True, "labels": list(task.labels)} if task.several else {}


def limit_lines(told: Told) -> list[LimitLine]:
    """The limits as the user wrote them beside the numbers they came to."""
    search = told.opened.plan.run.search
    written = (*search.cost_limits, *search.outcome_limits)
    pairs = zip(written, (*told.costing.limits, *told.goals.outcomes), strict=True)
    lines = {a: LimitLine(a.cost, a.relation, b.bound, a.text) for a, b in pairs}
    return [lines[limit] for limit in search.limits]


def _rows(told: Told) -> list[ModelRow]:
    best = told.certified.passed[0]
    others = [("teacher", "teacher", told.teacher)]
    others += [(c.role, c.label, c.student) for c in told.controls]
    students = [student for *_, student in others]
    files = [export(told.opened, student, told.exports) for student in students]
    pairs = list(zip(students, files, strict=True))
    expected = [_expected_ms(told, student) for student in students]
    inputs = told.opened.task.data.validation.inputs
    measured = measure_artefacts(told.opened, told.device, pairs, expected, inputs=inputs)
    rows = [
        _row(told, role, label, student, artefact, numbers)
        for (role, label, student), artefact, numbers in zip(others, files, measured, strict=True)
    ]
    chosen = _row(told, "found", "found", best.student, best.artefact, best.measured, best.entry)
    along = [
        _row(told, "finalist", f"front {i}", f.student, f.artefact, f.measured, f.entry)
        for i, f in enumerate(_along_the_front(told), 2)
    ]
    return [rows[0], chosen, *rows[1:], *along]


def _along_the_front(told: Told) -> Sequence[Finalist]:
    """Certified models beside the best that none dominates, for several objectives."""
    objectives, passed = told.goals.objectives, told.certified.passed
    values = np.array([told.goals.values(finalist.known) for finalist in passed])
    on = on_front(values, [objective.maximize for objective in objectives])
    pairs = list(zip(passed, on, strict=True))[1:] if len(objectives) > 1 else []
    return [finalist for finalist, keep in pairs if keep]


def _row(
    told: Told,
    role: str,
    label: str,
    student: Student,
    artefact: Exported,
    numbers: Measured,
    entry: Entry | None = None,
) -> ModelRow:
    return ModelRow(
        role=role,
        label=label,
        structure=dict(student.structure),
        test=_score(told, student, "test", role),
        validation=_score(told, student, "validation", role),
        size_bytes=artefact.size_bytes,
        latency_ms=numbers.latency.latency_ms,
        p95_ms=numbers.latency.p95_ms,
        median_ms=numbers.latency.median_ms,
        updates=student.updates,
        **counts(entry.costs if entry else _counted(told, role, student)),
    )


def _counted(told: Told, role: str, student: Student) -> Mapping[str, float]:
    """Exact costs: those of the found model's twin are its candidate's."""
    if role in ("scratch", *LABELS):
        return told.certified.passed[0].entry.costs
    return counted_structure(_family(told, student), student.structure)


def _family(told: Told, student: Student) -> ModelFamily:
    opened = told.opened
    return opened.family if student.family == opened.family.name else opened.teacher_family


def _expected_ms(told: Told, student: Student) -> float:
    """What stands for a latency that cannot be measured here."""
    if not told.device.foreign:
        return 0.0
    return predicted_ms(_family(told, student), told.costing.latency, student.structure)


def _score(told: Told, student: Student, name: Any, role: str = "") -> dict[str, float]:
    """Every metric of a network on a split as it sees it."""
    opened = told.opened
    split = (opened.teacher_task if role == "teacher" else opened.task).data.split(name)
    return dict(opened.task.score(predict(student, split), split.targets))


def _evaluations(told: Told) -> list[Evaluation]:
    front = _front(told)
    return [
        Evaluation(e.number, e.key, e.configuration, e.costs, e.values, e.seconds, on, e.fidelity)
        for e, on in zip(told.entries, front, strict=True)
    ]


def _front(told: Told) -> list[bool]:
    """The front in the objectives and the limited costs, or where there is none, parameters."""
    costs = list(dict.fromkeys(limit.cost for limit in told.costing.limits))
    cheap = any(is_cost(o.name) for o in told.goals.objectives)
    return front_of(told.entries, told.goals, costs or ([] if cheap else ["parameters"]))


def _finalist_pairs(told: Told) -> list[dict[str, Any]]:
    """Every finalist that was measured, those dropped included."""
    if told.device.foreign:
        return []
    pairs = [
        (f.entry.costs["latency_ms"], f.measured.latency.latency_ms, f"finalist {i}")
        for i, f in enumerate(told.certified.passed, 1)
    ]
    pairs += [
        (d["predicted_ms"], d["measured_ms"], "dropped finalist")
        for d in told.certified.dropped
        if "measured_ms" in d
    ]
    return [
        {"predicted_ms": predicted, "measured_ms": measured, "label": label, "held_out": True}
        for predicted, measured, label in pairs
    ]


def _measured(told: Told, finalist: Finalist) -> dict[str, float]:
    """Everything known of an exported model: counted, measured, and limited metrics."""
    latency, known = finalist.measured.latency, finalist.known
    costs = {name: known[name] for name in known if name not in finalist.validation}
    return {
        **costs,
        **{limit.cost: finalist.validation[limit.cost] for limit in told.goals.outcomes},
        "low_ms": latency.low_ms,
        "high_ms": latency.high_ms,
        "median_ms": latency.median_ms,
        "p95_ms": latency.p95_ms,
        "repeats": latency.repeats,
    }


def _used(told: Told, best: Finalist) -> dict[str, float]:
    """Millijoules an inference takes, where this machine counts them."""
    if told.device.foreign or best.measured.ways:
        return {}
    used = used_mj(told.opened, best.artefact.path, best.measured.latency.latency_ms)
    return {} if used is None else {"used_mj": used}


def _certificate(told: Told) -> Certificate:
    best = told.certified.passed[0]
    latency = best.measured.latency
    return Certificate(
        artefact=f"model{best.artefact.path.suffix}",
        sha256=sha256(best.artefact.path),
        measured={**_measured(told, best), **_used(told, best)},
        limits=limit_lines(told),
        max_difference=best.artefact.max_difference,
        exporter=best.artefact.exporter,
        machine=dict(told.device.identity),
        date=latency.date,
        dropped=told.certified.dropped,
        conditions=latency.conditions,
    )


def _genes(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A joint configuration under short names where they stay unique."""
    short = [name.partition(".")[2] for name in configuration]
    unique = len(set(short)) == len(short)
    return dict(zip(short, configuration.values(), strict=True)) if unique else dict(configuration)


def _full(opened: Opened) -> dict[str, Any]:
    """The largest configuration's genes; a searched parameter has no full value."""
    whole = opened.plan.space.decode(opened.plan.space.corners()[2])
    searched = {f"{step.name}.{name}" for step in opened.plan.steps for name in step.searched}
    genes = zip(whole, _genes(whole).items(), strict=True)
    return dict(short for name, short in genes if name not in searched)


def _size(size: int | float) -> str:
    return f"{size:,}" if isinstance(size, int) else "infinitely many"


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("stillhouse", "torch", "onnxruntime", "numpy")}


def _notes(told: Told) -> list[str]:
    notes = [*told.notes, *_ways(told.certified.passed[0])]
    search = told.opened.plan.run.search
    asked = search.evaluations
    if told.device.foreign:
        notes.insert(0, _uncertified(told))
    if len(search.rungs) > 1:
        notes.append(_ladder(told.entries, search.rungs))
    if len(told.entries) < asked:
        screened = " after screening" if max(search.proposals, search.regressions) > 1 else ""
        notes.append(
            f"the feasible part of the space held {len(told.entries)} of {asked} wanted{screened}"
        )
    failed = [e for e in told.entries if not e.values]
    if failed:
        notes.append(f"{len(failed)} candidates failed; the first: {failed[0].error}")
    return notes


def _ways(found: Finalist) -> Iterator[str]:
    """What to know of a model that runs differently from sample to sample."""
    if ways := found.measured.ways:
        each = ", ".join(f"{w.share:.1%} take {w.latency.latency_ms:.3g} ms" for w in ways)
        yield (
            f"the model stops early where it is sure: of the validation samples {each}; its "
            "latency, its multiply-accumulates and its energy are means over them"
        )


def _uncertified(told: Told) -> str:
    folder = told.opened.directory.folder
    return (
        f"NOT certified: latencies are predicted for {told.device.describe()}, which is not this "
        f"machine. Measure the models there: stillhouse certify {folder} --bundle FOLDER"
    )


def _ladder(entries: Sequence[Entry], rungs: Sequence[float]) -> str:
    """Evaluations by rung; what they come to in evaluations of the last rung."""
    counts = [sum(entry.fidelity == rung for entry in entries) for rung in rungs]
    each = zip(counts, rungs, strict=True)
    said = ", ".join(f"{count} at fidelity {rung:g}" for count, rung in each)
    spent = sum(count * rung for count, rung in zip(counts, rungs, strict=True)) / rungs[-1]
    return (
        f"evaluations climbed a ladder: {said}; their training cost as much as {spent:.3g} "
        f"evaluations at {rungs[-1]:g}. The front is of the highest rung"
    )
