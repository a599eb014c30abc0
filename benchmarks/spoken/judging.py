"""What a contestant could have handed in at a given time, measured after its clock had stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from spoken.clock import Base, Instant
from stillhouse.core.evaluate import Student
from stillhouse.core.evaluate.evaluator import predict
from stillhouse.core.measure import DeviceFile, ExportError
from stillhouse.core.run.certifying import broken
from stillhouse.core.run.costing import Costing, measured_costs
from stillhouse.core.run.goals import Goals, known_of, ranked
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.measuring import export, measure_artefacts
from stillhouse.core.run.opened import Opened

Answer = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One evaluation, when it was over, and how to have its network; `entry.values` as judged."""

    at: Instant
    entry: Entry
    student: Callable[[], Student]


@final
class Jury:
    """Exports, measures and tests candidates; every candidate once. Nothing of it is charged."""

    def __init__(
        self,
        opened: Opened,
        device: DeviceFile,
        costing: Costing,
        goals: Goals,
        base: Base,
        folder: Path,
    ) -> None:
        self._opened, self._device, self._base, self._folder = opened, device, base, folder
        self._goals, self._order = goals, [limit.cost for limit in costing.limits]
        self._limits = (*costing.limits, *goals.outcomes)
        self._measured: dict[tuple[str, float | None], Mapping[str, float] | None] = {}

    def answer(self, candidates: Sequence[Candidate], seconds: float) -> Answer | None:
        """The best by validation of those over in time that meets every limit when measured.

        A better one that breaks a limit is passed over, as in the finalists of a run.
        """
        in_time = {_name(c.entry): c for c in candidates if c.at.on(self._base) <= seconds}
        order = ranked([c.entry for c in in_time.values()], self._goals, self._order)
        for passed_over, entry in enumerate(order):
            known = self._known(in_time[_name(entry)])
            if known is not None and broken(self._limits, known) is None:
                return self._told(in_time[_name(entry)], known, passed_over)
        return None

    def lines(self, candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
        """Every candidate as plain data, with its metrics on the test split."""
        return [
            {
                **asdict(c.at),
                "key": c.entry.key,
                "fidelity": c.entry.fidelity,
                "predicted": dict(c.entry.costs),
                "validation": dict(c.entry.values),
                "test": self._test(c) if c.entry.values else {},
                "error": c.entry.error,
            }
            for c in candidates
        ]

    def _known(self, candidate: Candidate) -> Mapping[str, float] | None:
        """Costs, measured where they can be, and validation metrics; None without an export."""
        name = _name(candidate.entry)
        if name not in self._measured:
            self._measured[name] = self._measure(candidate)
        return self._measured[name]

    def _measure(self, candidate: Candidate) -> Mapping[str, float] | None:
        student = candidate.student()
        try:
            artefact = export(self._opened, student, self._folder)
        except ExportError:
            return None
        expected = [candidate.entry.costs["latency_ms"]]
        pairs = [(student, artefact)]
        (numbers,) = measure_artefacts(self._opened, self._device, pairs, expected)
        return {**known_of(candidate.entry), **measured_costs(numbers)}

    def _told(
        self, candidate: Candidate, known: Mapping[str, float], passed_over: int
    ) -> dict[str, Any]:
        return {
            **asdict(candidate.at),
            "configuration": dict(candidate.entry.configuration),
            "validation": dict(candidate.entry.values),
            "test": self._test(candidate),
            "latency_ms": known["latency_ms"],
            "size_kb": known["size_kb"],
            "passed_over": passed_over,
            "certified": False,
        }

    def _test(self, candidate: Candidate) -> dict[str, float]:
        split = self._opened.task.data.test
        return dict(self._opened.task.score(predict(candidate.student(), split), split.targets))


def _name(entry: Entry) -> tuple[str, float | None]:
    """A candidate is evaluated once on each rung of a ladder."""
    return entry.key, entry.fidelity
