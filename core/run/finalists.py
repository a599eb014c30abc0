"""Finalists: candidates realised at full fidelity, exported and measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    Latency,
    Measured,
    measured_artefacts,
    structure_key,
)
from stillhouse.core.measure.profile import known_reference
from stillhouse.core.run.costing import measured_costs
from stillhouse.core.run.elsewhere import kept_model, predicted
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.predictor import LATENCY, batch_size


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


def measured_group(
    opened: Opened,
    evaluator: Evaluator,
    device: DeviceFile,
    entries: Sequence[Entry],
    folder: Path,
    limits: Sequence[Limit],
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
    known_ms = [entry.costs[LATENCY] for entry, *_ in ready]
    numbers = measure_artefacts(opened, device, [(s, a) for _, s, a in ready], known_ms, limits)
    validation = opened.task.data.validation
    finalists = []
    for (entry, student, artefact), measured in zip(ready, numbers, strict=True):
        values = dict(opened.task.score(predict(student, validation), validation.targets))
        finalists.append(Finalist(entry, student, values, artefact, measured))
    return finalists, failed


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
    opened: Opened,
    device: DeviceFile,
    artefacts: Sequence[tuple[Student, Exported]],
    predicted_ms: Sequence[float],
    limits: Sequence[Limit] = (),
) -> list[Measured]:
    """Timings of finished artefacts, in order; longer ones where they must decide about `limits`.

    They are stored in the device file under the artefact's shape, so the same shape on the same
    device has one number, in this run and the next; the size is the file's own. On a device that
    is not this machine nothing can be timed: there the predictions hold.
    """
    if device.foreign:
        model = kept_model(opened)
        pairs = zip(artefacts, predicted_ms, strict=True)
        return [Measured(predicted(model, ms), file.size_bytes) for (_, file), ms in pairs]
    keys = [
        f"artefact-{structure_key(opened.family.name, description(student))}"
        for student, _ in artefacts
    ]
    files = [artefact for _, artefact in artefacts]
    with known_reference(opened.target, device):
        numbers = measured_artefacts(
            dict(zip(keys, files, strict=True)),
            lambda described, generator: skeleton(described, generator, opened.catalogue),
            opened.target,
            opened.task.example(batch_size(opened)),
            device,
            repeats=opened.plan.run.target.repeats,
            family=opened.family.name,
            seed=opened.context.root_seed,
            anchors=opened.directory.anchors,
            processes=opened.plan.run.target.processes,
            undecided=lambda latency: undecided(limits, latency),
        )
    return [
        numbers[key]._replace(size_bytes=file.size_bytes)
        for key, file in zip(keys, files, strict=True)
    ]


def undecided(limits: Sequence[Limit], latency: Latency) -> bool:
    """Whether a limit lies inside the interval, so that more measuring could decide."""
    return any(
        latency.low_ms <= limit.bound < latency.high_ms
        if limit.relation == "<="
        else latency.low_ms < limit.bound <= latency.high_ms
        for limit in limits
        if limit.cost == LATENCY
    )
