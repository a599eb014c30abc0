"""Students exported and measured: in fresh processes, and where limits ask for more, more."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch

from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.names import P95, base_of, length_of
from stillhouse.core.cost.resident import NAME as RESIDENT
from stillhouse.core.evaluate import Student
from stillhouse.core.evaluate.evaluator import skeleton_of
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.measure import (
    DeviceFile,
    Exported,
    Latency,
    Measured,
    Way,
    measured_artefacts,
    structure_key,
)
from stillhouse.core.measure.bench import export_untrained
from stillhouse.core.measure.inputs import at_length
from stillhouse.core.measure.profile import known_reference
from stillhouse.core.run.elsewhere import kept_model, predicted
from stillhouse.core.run.examples import batch_size, example_of
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.predictor import LATENCY
from stillhouse.core.run.profiled import context_at
from stillhouse.core.run.ways import Ways, at_share, over_samples

_ALIKE: Final = frozenset({P95[LATENCY], "device_ms"})
"""Costs that are the latency, for a network that runs alike for all samples in one place."""


def measured_more(
    opened: Opened, artefacts: Sequence[Exported], limits: Sequence[Limit]
) -> list[dict[str, float]]:
    """Costs that are measured only where a limit names them: peak resident memory."""
    if all(limit.cost != RESIDENT for limit in limits):
        return [{} for _ in artefacts]
    longest = [Ways.of(opened.target, artefact.path, None).paths[-1] for artefact in artefacts]
    peaks = opened.target.peak_memory(longest)
    return [{RESIDENT: peak / 1e3} for peak in peaks]


def timed_more(
    opened: Opened,
    device: DeviceFile,
    measured: Sequence[tuple[Entry, Measured]],
    limits: Sequence[Limit],
) -> list[dict[str, Latency]]:
    """Latencies that limits name otherwise: at other input lengths, and over samples.

    A network that runs alike for all samples, in one place, has its latency under those names too.
    """
    found: list[dict[str, Latency]] = [{} for _ in measured]
    names = {limit.cost for limit in limits}
    for place, (entry, numbers) in zip(found, measured, strict=True):
        for name in _ALIKE & names:
            if entry.costs[name] == entry.costs[LATENCY]:
                place[name] = numbers.latency
        if numbers.ways and P95[LATENCY] in names:
            shares, latencies = zip(*numbers.ways, strict=True)
            place[P95[LATENCY]] = at_share(latencies, shares, 0.95)
    if device.foreign:
        return found
    for name in sorted(names):
        length = length_of(name)
        if length is not None and base_of(name) == LATENCY:
            bounds = [replace(limit, cost=LATENCY) for limit in limits if limit.cost == name]
            entries = [entry for entry, _ in measured]
            for place, latency in zip(
                found, _at_length(opened, device, entries, length, bounds), strict=True
            ):
                place[name] = latency
    return found


def _at_length(
    opened: Opened,
    device: DeviceFile,
    entries: Sequence[Entry],
    length: int,
    limits: Sequence[Limit],
) -> list[Latency]:
    """The candidates' networks for inputs of another length, with random weights, timed."""
    context = context_at(opened, length)
    students = [skeleton_of(opened.steps, entry.configuration, context) for entry in entries]
    example = at_length(opened.task.example(batch_size(opened)), length)
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        pairs = [
            (student, _exported_at(opened, student, example, Path(folder) / str(number)))
            for number, student in enumerate(students)
        ]
        predicted_ms = [entry.costs[LATENCY] for entry in entries]
        label = f"@{length}"
        numbers = measure_artefacts(opened, device, pairs, predicted_ms, limits, label)
    return [one.latency for one in numbers]


def _exported_at(opened: Opened, student: Student, example: torch.Tensor, place: Path) -> Exported:
    return export_untrained(
        description(student),
        lambda described, generator: skeleton(described, generator, opened.catalogue),
        opened.target,
        example,
        place.with_suffix(opened.target.suffix),
    )


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
    example = example_of(opened, description(student))
    return opened.target.export(student.module.cpu(), example, place)


def measure_artefacts(
    opened: Opened,
    device: DeviceFile,
    artefacts: Sequence[tuple[Student, Exported]],
    predicted_ms: Sequence[float],
    limits: Sequence[Limit] = (),
    label: str = "",
    inputs: torch.Tensor | None = None,
) -> list[Measured]:
    """Timings of finished artefacts, in order; longer ones where they must decide about `limits`.

    They are stored in the device file under the artefact's shape and the number of processes, so
    the same shape on the same device has one number, in this run and the next; the size is the
    file's own. On a device that is not this machine nothing can be timed: there the predictions
    hold. Of an artefact that runs differently from sample to sample each way has its number; the
    latency is the mean over the samples `inputs`, or without any that of the longest way.
    """
    if device.foreign:
        model = kept_model(opened)
        pairs = zip(artefacts, predicted_ms, strict=True)
        return [Measured(predicted(model, ms), file.size_bytes) for (_, file), ms in pairs]
    processes = opened.plan.run.target.processes
    keys = [
        f"artefact{label}-{processes}x-{structure_key(opened.family.name, description(student))}"
        for student, _ in artefacts
    ]
    ways = [Ways.of(opened.target, artefact.path, inputs) for _, artefact in artefacts]
    files = {
        name: replace(artefact, path=path)
        for key, (_, artefact), way in zip(keys, artefacts, ways, strict=True)
        for name, path in zip(_keys(key, artefact, way), way.paths, strict=True)
    }
    with known_reference(opened.target, device):
        numbers = measured_artefacts(
            files,
            lambda described, generator: skeleton(described, generator, opened.catalogue),
            opened.target,
            opened.task.example(batch_size(opened)),
            device,
            repeats=opened.plan.run.target.repeats,
            family=opened.family.name,
            seed=opened.context.root_seed,
            anchors=opened.directory.anchors,
            processes=processes,
            undecided=lambda latency: undecided(limits, latency),
        )
    return [
        _measured(key, artefact, way, numbers)
        for key, (_, artefact), way in zip(keys, artefacts, ways, strict=True)
    ]


def _measured(
    key: str, artefact: Exported, ways: Ways, numbers: Mapping[str, Measured]
) -> Measured:
    found = [numbers[name].latency for name in _keys(key, artefact, ways)]
    each = [Way(*pair) for pair in zip(ways.shares, found, strict=True)]
    latency = over_samples(found, ways.shares)
    return Measured(latency, artefact.size_bytes, tuple(each) if ways.dynamic else ())


def _keys(key: str, artefact: Exported, ways: Ways) -> list[str]:
    """What the device file calls the ways: an artefact that has but one, by its own key."""
    return [key if path == artefact.path else f"{key}-{_place(path)}" for path in ways.paths]


def _place(path: Path) -> str:
    return path.stem.rpartition("-")[2]


def undecided(limits: Sequence[Limit], latency: Latency) -> bool:
    """Whether a limit lies inside the interval, so that more measuring could decide."""
    return any(
        latency.low_ms <= limit.bound < latency.high_ms
        if limit.relation == "<="
        else latency.low_ms < limit.bound <= latency.high_ms
        for limit in limits
        if limit.cost == LATENCY
    )
