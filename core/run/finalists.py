"""Finalists: candidates realised at full fidelity, exported and measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch

from stillhouse.core.cost.counting import module_sheet
from stillhouse.core.cost.dynamic import with_shares
from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.model import counted
from stillhouse.core.cost.names import P95
from stillhouse.core.evaluate import Artefact, Policy, Rebuild, Student
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator, predict, skeleton_of
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.measure import (
    DeviceFile,
    Exported,
    ExportError,
    Latency,
    Measured,
)
from stillhouse.core.run.costing import energy_table, measured_costs
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.measuring import export, measure_artefacts, measured_more, timed_more
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.predictor import LATENCY
from stillhouse.core.run.profiled import sheet_of

_P95: Final = P95[LATENCY]
_COUNTS: Final = ("parameters", "macs", "memory_kb")
_RUNNING: Final = frozenset({"macs", "macs_p95", "energy", "energy_p95", "energy_mj"})


@dataclass(frozen=True, eq=False)
class Finalist:
    """A realised candidate: its artefact in the target's format, measured."""

    entry: Entry
    student: Student
    validation: Mapping[str, float]
    artefact: Exported
    measured: Measured
    more: Mapping[str, float] = field(default_factory=dict)
    """Other measured costs that a limit names."""
    timed: Mapping[str, Latency] = field(default_factory=dict)
    """Latencies under the other names that a limit has for them, such as `latency_ms@98`."""
    policy: Policy = field(default_factory=Policy)

    @property
    def known(self) -> dict[str, float]:
        """Costs, measured where they can be, and metrics on the validation split."""
        timed = {name: latency.latency_ms for name, latency in self.timed.items()}
        costs = {**self.entry.costs, **measured_costs(self.measured), **self.more, **timed}
        return {**costs, **self.validation}

    @property
    def latencies(self) -> dict[str, Latency]:
        """Every measured latency by the name of its cost."""
        return {**self.timed, LATENCY: self.measured.latency}


def restored(
    opened: Opened,
    label: str,
    key: str,
    make: Callable[[], Student],
    checkpoints: Path | None = None,
) -> Student:
    """A student whose weights are kept as an artefact, made by `make()` if they are not there."""

    def store() -> Artefact:
        return _artefact(make())

    return _student(opened.store.memo(label, key, store, checkpoints, local=True), opened)


def _artefact(student: Student, policy: Policy | None = None) -> Artefact:
    how = {} if policy is None else {"policy": asdict(policy)}
    facts = {**description(student), "updates": student.updates, **how}
    return Artefact(student.module.state_dict(), facts)


def _student(kept: Artefact, opened: Opened) -> Student:
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
    return in_full(opened, evaluator, entry.configuration, "finalist")


def in_full(
    opened: Opened, evaluator: Evaluator, configuration: Mapping[str, Any], label: str
) -> Student:
    """A configuration at full fidelity; `label` tells recipes that differ from the run's."""
    return _student(_in_full(opened, evaluator, configuration, label), opened)


def policy_in_full(opened: Opened, evaluator: Evaluator, entry: Entry) -> Policy:
    """How the candidate answers, as its methods left it at full fidelity."""
    kept = _in_full(opened, evaluator, entry.configuration, "finalist")
    return Policy(**kept.record.get("policy", {}))


def _in_full(
    opened: Opened, evaluator: Evaluator, configuration: Mapping[str, Any], label: str
) -> Artefact:
    def make() -> Artefact:
        state = evaluator.realise(configuration, 1.0)
        assert state.student is not None  # noqa: S101 - `values` refused such a recipe in the search
        return _artefact(state.student, state.policy)

    again = (evaluator.context.repeat,) if evaluator.context.repeat else ()
    key = fingerprint(evaluator.origin, recipe_facts(opened), configuration, *again)
    return opened.store.memo(label, key, make, local=True)


def as_realised(opened: Opened, entry: Entry, student: Student) -> Entry:
    """The entry with the student's own exact counts, where less came out than its skeleton has.

    A method may leave out what turned out to be of no use, such as an ensemble's models of weight
    0. Costs that are predicted, and energy, stay those of the skeleton.
    """
    whole = skeleton_of(opened.steps, entry.configuration, opened.context)
    if _elements(whole) == _elements(student):
        return entry
    exact = counted(module_sheet([student.module], opened.task.example(1)))
    return entry.with_known({n: float(exact[n][0]) for n in _COUNTS})


def as_run(opened: Opened, device: DeviceFile, entry: Entry, numbers: Measured) -> Entry:
    """The entry with the counted costs of running that its measured ways come to."""
    if not numbers.ways:
        return entry
    sheet = sheet_of(opened, opened.plan.space.encode(entry.configuration)[None])
    taken = with_shares(sheet, [way.share for way in numbers.ways])
    exact = counted(taken, energy_table(opened, device.energy))
    return entry.with_known({n: float(exact[n][0]) for n in _RUNNING & exact.keys()})


def _elements(student: Student) -> int:
    return sum(tensor.numel() for tensor in student.module.state_dict().values())


def recipe_facts(opened: Opened) -> Any:
    """The recipe as plain data, with the sources of methods that name files, for keys."""
    space = opened.plan.space
    some = space.decode(space.corners()[0])
    sources = {bound: bound.sources(bound.choice(some).params) for bound in opened.steps}
    facts = [
        [b.step.name, b.version, dict(b.step.fixed), *([] if s is None else [s])]
        for b, s in sources.items()
    ]
    return json.loads(json.dumps(facts))


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
            own = as_realised(opened, entry, student)
            ready.append((own, student, export(opened, student, folder)))
        except (CandidateError, ExportError) as error:
            failed.append({"configuration": entry.configuration, "error": str(error)})
    known_ms = [entry.costs[LATENCY] for entry, *_ in ready]
    validation = opened.task.data.validation
    pairs = [(student, artefact) for _, student, artefact in ready]
    numbers = measure_artefacts(opened, device, pairs, known_ms, limits, inputs=validation.inputs)
    ready = [
        (as_run(opened, device, e, n), s, a) for (e, s, a), n in zip(ready, numbers, strict=True)
    ]
    more = measured_more(opened, [artefact for *_, artefact in ready], limits)
    timed = timed_more(
        opened, device, [(e, n) for (e, *_), n in zip(ready, numbers, strict=True)], limits
    )
    finalists = []
    for place, (entry, student, artefact) in enumerate(ready):
        values = dict(opened.task.score(predict(student, validation), validation.targets))
        policy = policy_in_full(opened, evaluator, entry)
        finalist = Finalist(entry, student, values, artefact, numbers[place], policy=policy)
        finalists.append(replace(finalist, more=more[place], timed=timed[place]))
    return finalists, failed
