"""The last stage: realise finalists, export, measure, drop what breaks a limit, choose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stillhouse.core.cost.limits import Limit
from stillhouse.core.evaluate import Artefact, Rebuild, Student
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator, predict
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.measure import (
    DeviceFile,
    Exported,
    ExportError,
    Measured,
    measured_artefacts,
    structure_key,
)
from stillhouse.core.run.costing import batch_size, measured_costs
from stillhouse.core.run.goals import Goals, ranked, varied
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.unmet import none_passed


@dataclass(frozen=True, eq=False)
class Finalist:
    """A realised candidate: its artefact in the target's format, measured."""

    entry: Entry
    student: Student
    validation: Mapping[str, float]
    artefact: Exported
    measured: Measured

    @property
    def known(self) -> dict[str, float]:
        """Costs, measured where they can be, and metrics on the validation split."""
        return {**self.entry.costs, **measured_costs(self.measured), **self.validation}


@dataclass(frozen=True, eq=False)
class Certified:
    """The finalists that meet every limit when measured, best first, and those dropped."""

    passed: Sequence[Finalist]
    dropped: Sequence[Mapping[str, Any]]


def restored(
    opened: Opened,
    label: str,
    key: str,
    make: Callable[[], Student],
    checkpoints: Path | None = None,
) -> Student:
    """A student whose weights are kept as an artefact, made by `make()` if they are not there."""

    def store() -> Artefact:
        student = make()
        facts = {**description(student), "updates": student.updates}
        return Artefact(student.module.state_dict(), facts)

    kept = opened.store.memo(label, key, store, checkpoints)
    module = skeleton(kept.record, torch.Generator().manual_seed(0), opened.catalogue)
    module.load_state_dict(dict(kept.tensors), strict=True)
    return Student(
        kept.record["family"],
        kept.record["structure"],
        module.eval(),
        kept.record["updates"],
        tuple(Rebuild(**change) for change in kept.record["rebuilds"]),
    )


def realised(opened: Opened, evaluator: Evaluator, entry: Entry) -> Student:
    """The candidate at full fidelity."""

    def make() -> Student:
        student = evaluator.realise(entry.configuration, 1.0).student
        assert student is not None  # noqa: S101 - `values` refused such a recipe in the search
        return student

    key = fingerprint(evaluator.origin, recipe_facts(opened), entry.configuration)
    return restored(opened, "finalist", key, make)


def recipe_facts(opened: Opened) -> Any:
    """The recipe as plain data, for keys."""
    return json.loads(
        json.dumps([[b.step.name, b.version, dict(b.step.fixed)] for b in opened.steps])
    )


def counts(costs: Mapping[str, float]) -> dict[str, int]:
    """A cost table's exact counts, as whole numbers."""
    return {
        "parameters": round(costs["parameters"]),
        "macs": round(costs["macs"]),
        "memory_bytes": round(costs["memory_kb"] * 1e3),
    }


def broken(limits: Sequence[Limit], known: Mapping[str, float]) -> Limit | None:
    """The first limit that measured costs or metrics break, or None."""
    return next((lim for lim in limits if lim.excess(np.array([known[lim.cost]]))[0] > 0), None)


def certify(
    opened: Opened,
    evaluator: Evaluator,
    device: DeviceFile,
    entries: Sequence[Entry],
    limits: Sequence[Limit],
    goals: Goals,
    folder: Path,
) -> Certified:
    """Take the best candidates, export and measure them, keep those within every limit.

    `limits` are those on costs; the goals' limits on metrics hold on the validation split. A
    candidate that breaks one is dropped and the next one is tried, up to ten times as many as the
    run asks for.

    Raises:
        LimitError: none of them meets the limits when measured; names the nearest miss.
    """
    wanted = opened.plan.run.search.finalists
    best = ranked(entries, goals, [limit.cost for limit in limits])
    order = varied(best, goals)[: wanted * 10]
    passed: list[Finalist] = []
    dropped: list[dict[str, Any]] = []
    with opened.context.task_progress("finalists", wanted) as progress:
        while order and len(passed) < wanted:
            group, order = order[: wanted - len(passed)], order[wanted - len(passed) :]
            found, failed = _measured_group(opened, evaluator, device, group, folder)
            dropped += failed
            for finalist in found:
                limit = broken((*limits, *goals.outcomes), finalist.known)
                if limit is None:
                    passed.append(finalist)
                    progress.advance()
                else:
                    dropped.append(_miss(finalist, limit))
    if not passed:
        raise none_passed(entries, dropped, goals, opened.directory.folder)
    passed.sort(key=lambda f: (*goals.standing(f.known), *_measured_standing(f), f.entry.key))
    return Certified(passed, dropped)


def _measured_standing(finalist: Finalist) -> tuple[float, float]:
    return finalist.measured.latency.latency_ms, float(finalist.measured.size_bytes)


def _measured_group(
    opened: Opened,
    evaluator: Evaluator,
    device: DeviceFile,
    entries: Sequence[Entry],
    folder: Path,
) -> tuple[list[Finalist], list[dict[str, Any]]]:
    """Finalists realised, exported and measured; and what is to be said of those that failed."""
    ready: list[tuple[Entry, Student, Exported]] = []
    failed = []
    for entry in entries:
        try:
            student = realised(opened, evaluator, entry)
            ready.append((entry, student, export(opened, student, folder)))
        except (CandidateError, ExportError) as error:
            failed.append({"configuration": entry.configuration, "error": str(error)})
    numbers = measure_artefacts(opened, device, [(s, a) for _, s, a in ready])
    validation = opened.task.data.validation
    finalists = []
    for (entry, student, artefact), measured in zip(ready, numbers, strict=True):
        values = dict(opened.task.score(predict(student, validation), validation.targets))
        finalists.append(Finalist(entry, student, values, artefact, measured))
    return finalists, failed


def _miss(finalist: Finalist, limit: Limit) -> dict[str, Any]:
    return {
        "configuration": finalist.entry.configuration,
        "cost": limit.cost,
        "relation": limit.relation,
        "bound": limit.bound,
        "measured": finalist.known[limit.cost],
        "predicted_ms": finalist.entry.costs["latency_ms"],
        "measured_ms": finalist.measured.latency.latency_ms,
    }


def weights_key(student: Student) -> str:
    """Names an artefact by shape and weights."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in student.module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def export(opened: Opened, student: Student, folder: Path) -> Exported:
    """A student's artefact with its own weights, its outputs compared with torch's."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{weights_key(student)}{opened.target.suffix}"
    example = opened.task.example(batch_size(opened))
    return opened.target.export(student.module.cpu(), example, place)


def measure_artefacts(
    opened: Opened, device: DeviceFile, artefacts: Sequence[tuple[Student, Exported]]
) -> list[Measured]:
    """Timings of finished artefacts, in order.

    They are stored in the device file under the artefact's shape, so the same shape on the same
    device has one number, in this run and the next; the size is the file's own.
    """
    keys = [
        f"artefact-{structure_key(opened.family.name, description(student))}"
        for student, _ in artefacts
    ]
    files = [artefact for _, artefact in artefacts]
    numbers = measured_artefacts(
        dict(zip(keys, files, strict=True)),
        lambda described, generator: skeleton(described, generator, opened.catalogue),
        opened.target,
        opened.task.example(batch_size(opened)),
        device,
        repeats=opened.plan.run.target.repeats,
        family=opened.family.name,
        seed=opened.context.root_seed,
    )
    return [
        numbers[key]._replace(size_bytes=file.size_bytes)
        for key, file in zip(keys, files, strict=True)
    ]
