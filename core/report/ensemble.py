"""An ensemble: who is in it and with what weight, and how it stands beside plainer mixtures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from stillhouse.core.errors import UserError
from stillhouse.core.report.numerals import finite, positive
from stillhouse.core.report.quality import Quality
from stillhouse.core.report.spans import Span, span
from stillhouse.core.run.summary import RunSummary

KIND: Final = "ensemble"
CHOSEN: Final = "chosen"
"""The role of the weights that the student learnt from; its row comes first."""
MEMBER: Final = "member"
LOSS: Final = "log_loss"
SPLITS: Final = ("tuning", "test")
_LOWER: Final = (LOSS, "brier", "error")
"""Metrics that are better when they are lower."""
_UNTUNED: Final = ("uniform", "given", "teacher-alone")
_ROUNDING: Final = 1e-6
_SAME: Final = 1e-12


@final
@dataclass(frozen=True)
class Member:
    """A model of the mixture; `weight` is 0..1 and `rise` in units of the objective.

    `rise` is by how much the tuning value rose when the model was dropped, None while it is in.
    `learnt_from` are names, `channels` those of the inputs that it sees, empty for all.
    """

    name: str
    weight: float
    parameters: float | None
    macs: float | None
    source: str
    channels: Sequence[int]
    learnt_from: Sequence[str]
    dropped: bool
    rise: float | None


@final
@dataclass(frozen=True)
class Standing:
    """How a mixture or a single model does, by split and metric.

    `behind` is its log-loss less the chosen mixture's, in nats, paired by sample: above 0 is worse.
    """

    role: str
    label: str
    scores: Mapping[str, Mapping[str, Span]]
    behind: Span | None

    def of(self, split: str, metric: str) -> Span | None:
        return self.scores[split].get(metric)


@final
@dataclass(frozen=True)
class Ensemble:
    """Everything that an exhibit of kind "ensemble" says; losses are nats a sample.

    `gap` is the tuning loss less the exact referee's. `samples` counts a split's, None where it was
    not looked at. With `several`, a sample has any number of labels and losses are a label's.
    `unused` where the student that was returned learnt from something else; `deployed` where the
    mixture itself was returned.
    """

    method: str
    solver: str
    objective: str
    mixing: str
    temperature: float | None
    distil_temperature: float | None
    topology: str
    gap: float | None
    referee: str
    evaluations: int
    samples: Mapping[str, int | None]
    several: bool
    metric: str
    unused: bool
    deployed: bool
    members: Sequence[Member]
    rows: Sequence[Standing]

    @property
    def chosen(self) -> Standing:
        return self.rows[0]

    @property
    def others(self) -> Sequence[Standing]:
        return self.rows[1:]

    @property
    def tuned(self) -> bool:
        """Whether the tuning split set the weights."""
        return len(self.members) > 1 and self.solver not in _UNTUNED

    @property
    def splits(self) -> list[str]:
        """The splits that any row was measured on."""
        return [split for split in SPLITS if any(row.scores[split] for row in self.rows)]

    @property
    def decisive(self) -> str:
        """The split that `behind` was measured on: test, which tuned nothing, if it is known."""
        return "test" if self.chosen.scores["test"] else "tuning"

    @property
    def metrics(self) -> list[str]:
        """The metric drawn first, then the others, in the order of their first row."""
        found = (name for row in self.rows for split in SPLITS for name in row.scores[split])
        return list(dict.fromkeys([self.metric, *found]))

    def quality(self, metric: str) -> Quality:
        maximize = metric not in _LOWER
        shares = maximize and all(0 <= one.mean <= 1 for one in self.spans(metric))
        return Quality(metric, maximize, shares)

    def spans(self, metric: str) -> Iterator[Span]:
        """Every row's, on every split."""
        found = (row.of(split, metric) for row in self.rows for split in SPLITS)
        return (one for one in found if one is not None)


def ensembles(summary: RunSummary) -> list[Ensemble]:
    """One for each exhibit of kind "ensemble"; UserError where its parts do not fit."""
    return [_ensemble(one) for one in summary.exhibits if one.get("kind") == KIND]


def _ensemble(exhibit: Mapping[str, Any]) -> Ensemble:
    found = Ensemble(
        method=str(exhibit["method"]),
        solver=str(exhibit["weights"]),
        objective=str(exhibit["objective"]),
        mixing=str(exhibit["mixing"]),
        temperature=finite(exhibit.get("temperature")),
        distil_temperature=finite(exhibit.get("distil_temperature")),
        topology=str(exhibit.get("topology") or ""),
        gap=finite(exhibit.get("gap")),
        referee=str(exhibit.get("referee") or ""),
        evaluations=int(exhibit.get("evaluations") or 0),
        samples={split: exhibit["samples"].get(split) for split in SPLITS},
        several=bool(exhibit.get("several")),
        metric=str(exhibit.get("metric") or LOSS),
        unused=bool(exhibit.get("unused")),
        deployed=bool(exhibit.get("deployed")),
        members=[_member(one) for one in exhibit["members"]],
        rows=[_standing(one) for one in exhibit["rows"]],
    )
    _check(found)
    return found


def _member(one: Mapping[str, Any]) -> Member:
    dropped = one.get("dropped")
    weight = finite(one["weight"])
    return Member(
        name=str(one["name"]),
        weight=-1.0 if weight is None else weight,
        parameters=positive(one.get("parameters")),
        macs=positive(one.get("macs")),
        source=str(one.get("source") or ""),
        channels=[int(channel) for channel in one.get("channels") or ()],
        learnt_from=[str(name) for name in one.get("learnt_from") or ()],
        dropped=dropped is not None,
        rise=finite(dropped.get("rise")) if isinstance(dropped, Mapping) else None,
    )


def _standing(row: Mapping[str, Any]) -> Standing:
    scores = {
        split: {str(name): one for name, record in (row.get(split) or {}).items()
                if (one := span(record)) is not None}
        for split in SPLITS
    }  # fmt: skip
    return Standing(str(row["role"]), str(row["label"]), scores, _behind(row))


def _behind(row: Mapping[str, Any]) -> Span | None:
    """Differences that only rounding makes are none."""
    found = span(row.get("behind"))
    if found and max(abs(found.mean), *map(abs, found.ends)) < _SAME:
        return Span(0.0, 0.0, 0.0)
    return found


def _check(found: Ensemble) -> None:
    weights = [member.weight for member in found.members]
    first = found.rows[0].role if found.rows else "none"
    for fits, expected, came in (
        (bool(weights), "at least one member", "none"),
        (min(weights, default=0.0) >= 0 and abs(sum(weights) - 1) <= _ROUNDING,
         "weights of at least 0 that sum to 1", f"{weights}"),
        (first == CHOSEN, f"a first row of role '{CHOSEN}'", f"'{first}'"),
        (not found.rows or found.chosen.of("tuning", found.metric) is not None,
         f"{found.metric} on the tuning split in the first row", "none that is finite"),
    ):  # fmt: skip
        if not fits:
            raise UserError(
                f"summary: exhibit '{KIND}' of {found.method}: expected {expected}, got {came}. "
                "Run the search again, or remove the exhibit from summary.json"
            )
