"""Certification: finalists measured as they would be shipped; those within every limit kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from stillhouse.core.cost.limits import Limit
from stillhouse.core.evaluate.evaluator import Evaluator
from stillhouse.core.measure import DeviceFile, Latency
from stillhouse.core.run.finalists import Finalist, measured_group
from stillhouse.core.run.goals import Goals, ranked, varied
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.predictor import LATENCY
from stillhouse.core.run.unmet import none_passed

_TRIES: Final = 10
"""Times as many candidates are tried at most as finalists are wanted."""


@dataclass(frozen=True, eq=False)
class Certified:
    """The finalists that meet every limit when measured, best first, and those dropped."""

    passed: Sequence[Finalist]
    dropped: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()


@final
@dataclass
class LearntMargin:
    """How far above its prediction a latency turns out, learnt from finalists once one has missed.

    `share` is the mean over all finalists measured so far, of the upper end of the interval: the
    next candidate at that distance passes one time in two. 0 before the first miss.
    """

    share: float = 0.0
    passed_over: int = 0
    """Better candidates that were left for later."""
    _seen: list[float] = field(default_factory=list, init=False)

    def learn(self, finalist: Finalist, *, missed: bool) -> None:
        """Take note of a measured finalist; `missed`: it may break the limit on latency."""
        predicted = finalist.entry.costs[LATENCY]
        self._seen.append(finalist.measured.latency.high_ms / predicted - 1)
        if missed or self.share:
            self.share = max(0.0, sum(self._seen) / len(self._seen))

    def allows(self, entry: Entry, limits: Sequence[Limit]) -> bool:
        """Whether a candidate's predicted latency leaves that much room."""
        value = np.array([entry.costs[LATENCY] * (1 + self.share)])
        upper = (lim for lim in limits if (lim.cost, lim.relation) == (LATENCY, "<="))
        return all(lim.excess(value)[0] == 0 for lim in upper)

    def notes(self) -> tuple[str, ...]:
        if not self.passed_over:
            return ()
        return (
            f"{self.passed_over} candidates were passed over: finalists were measured up to "
            f"{self.share:.1%} above their predicted latency on average, interval included, and "
            "these were predicted nearer to the limit than that",
        )


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
    latency is within its limit when the whole interval is: a new process must be expected to meet
    it. A candidate that breaks a limit is dropped and the next one is tried, up to ten times as
    many as the run asks for; those that the misses so far speak against come last.

    Raises:
        LimitError: none of them meets the limits when measured; names the nearest miss.
    """
    wanted = opened.plan.run.search.finalists
    best = ranked(entries, goals, [limit.cost for limit in limits])
    order, margin = varied(best, goals), LearntMargin()
    passed: list[Finalist] = []
    dropped: list[dict[str, Any]] = []
    tried = 0
    with opened.context.task_progress("finalists", wanted) as progress:
        while order and len(passed) < wanted and tried < _TRIES * wanted:
            group, order = _next(order, margin, limits, wanted - len(passed))
            tried += len(group)
            found, failed = measured_group(opened, evaluator, device, group, folder, limits)
            dropped += failed
            for finalist in found:
                limit = broken((*limits, *goals.outcomes), finalist.known, finalist.latencies)
                late = limit is not None and (limit.cost, limit.relation) == (LATENCY, "<=")
                margin.learn(finalist, missed=late)
                if limit is None:
                    passed.append(finalist)
                    progress.advance()
                else:
                    dropped.append(_miss(finalist, limit))
    if not passed:
        raise none_passed(entries, dropped, goals, opened.directory.folder)
    passed.sort(key=lambda f: (*goals.standing(f.known), *_measured_standing(f), f.entry.key))
    return Certified(passed, dropped, margin.notes())


def _next(
    order: Sequence[Entry], margin: LearntMargin, limits: Sequence[Limit], count: int
) -> tuple[list[Entry], list[Entry]]:
    """The next candidates to try, those that the margin allows first, and the others."""
    allowed = [margin.allows(entry, limits) for entry in order]
    places = sorted(range(len(order)), key=lambda place: not allowed[place])[:count]
    margin.passed_over = sum(not ok for ok in allowed[: max(places, default=-1) + 1])
    return [order[i] for i in places], [e for i, e in enumerate(order) if i not in places]


def broken(
    limits: Sequence[Limit],
    known: Mapping[str, float],
    latencies: Mapping[str, Latency] | None = None,
) -> Limit | None:
    """The first limit that measured costs or metrics are not certain to meet, or None.

    A cost that is one of the `latencies` meets a limit when the whole interval does, and needs no
    margin then.
    """
    for limit in limits:
        latency = (latencies or {}).get(limit.cost)
        value = known[limit.cost]
        if latency:
            value = latency.high_ms if limit.relation == "<=" else latency.low_ms
            limit = replace(limit, margin=0.0)
        if limit.excess(np.array([value]))[0] > 0:
            return limit
    return None


def _measured_standing(finalist: Finalist) -> tuple[float, float]:
    return finalist.measured.latency.latency_ms, float(finalist.measured.size_bytes)


def _miss(finalist: Finalist, limit: Limit) -> dict[str, Any]:
    latency = finalist.measured.latency
    return {
        "configuration": finalist.entry.configuration,
        "cost": limit.cost,
        "relation": limit.relation,
        "bound": limit.bound,
        "measured": finalist.known[limit.cost],
        "predicted_ms": finalist.entry.costs[LATENCY],
        "measured_ms": latency.latency_ms,
        "low_ms": latency.low_ms,
        "high_ms": latency.high_ms,
    }
