"""Control arms: what a search chose against plainer choices, over repeats, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from stillhouse.core.errors import UserError
from stillhouse.core.report.intervals import Interval, interval
from stillhouse.core.report.numerals import finite
from stillhouse.core.report.quality import Quality
from stillhouse.core.run.summary import RunSummary

KIND: Final = "arms"
FOUND: Final = "found"
"""The role of what the search found; all other arms are controls."""
SPLITS: Final = ("validation", "test")

Scores = Sequence[float | None]


@final
@dataclass(frozen=True)
class Arm:
    """One setting, trained once a repeat. `scores` by split; None where a repeat has none."""

    role: str
    label: str
    scores: Mapping[str, Scores]

    def known(self, split: str) -> list[float]:
        return [score for score in self.scores[split] if score is not None]

    def mean(self, split: str) -> Interval | None:
        return interval(self.known(split))


@final
@dataclass(frozen=True)
class Comparison:
    """The arms of a method, all trained on the same repeats; `chosen` is the one returned."""

    method: str
    quality: Quality
    repeats: int
    chosen: Arm
    arms: Sequence[Arm]

    @property
    def others(self) -> list[Arm]:
        return [arm for arm in self.arms if arm is not self.chosen]

    @property
    def decisive(self) -> str:
        """The split that gains are told on: the test split, which chose nothing, if it is known."""
        known = any(arm.known("test") for arm in self.others) and self.chosen.known("test")
        return "test" if known else "validation"

    def gains(self, arm: Arm, split: str) -> list[float]:
        """By how much the chosen arm is better, repeat by repeat; above 0 is better."""
        sign = 1 if self.quality.maximize else -1
        both = zip(self.chosen.scores[split], arm.scores[split], strict=True)
        return [sign * (a - b) for a, b in both if a is not None and b is not None]

    def gain(self, arm: Arm, split: str) -> Interval | None:
        """The mean gain, paired by repeat, with its interval."""
        return interval(self.gains(arm, split))


def comparisons(summary: RunSummary) -> list[Comparison]:
    """One for each exhibit of kind "arms"; UserError where the chosen arm is not among them."""
    return [_comparison(one) for one in summary.exhibits if one.get("kind") == KIND]


def _comparison(exhibit: Mapping[str, Any]) -> Comparison:
    repeats = int(exhibit["repeats"])
    arms = [
        Arm(str(arm["role"]), str(arm["label"]), {s: _scores(arm, s, repeats) for s in SPLITS})
        for arm in exhibit["arms"]
    ]
    role = str(exhibit["chosen"])
    chosen = next((arm for arm in arms if arm.role == role), None)
    if chosen is None:
        raise UserError(
            f"summary: exhibit 'arms' of {exhibit['method']} says that '{role}' was chosen, "
            f"expected one of its arms: {', '.join(arm.role for arm in arms) or 'it has none'}. "
            "Run the search again, or remove the exhibit from summary.json"
        )
    maximize = bool(exhibit["maximize"])
    seen = list(_seen(arms))
    percent = maximize and bool(seen) and all(0 <= value <= 1 for value in seen)
    quality = Quality(str(exhibit["metric"]), maximize, percent)
    return Comparison(str(exhibit["method"]), quality, repeats, chosen, arms)


def _scores(arm: Mapping[str, Any], split: str, repeats: int) -> list[float | None]:
    """One score a repeat; a split that nobody measured is empty and has none."""
    scores = [finite(score) for score in arm.get(split, ())]
    if scores and len(scores) != repeats:
        raise UserError(
            f"summary: arm '{arm['label']}' has {len(scores)} {split} scores, expected one for "
            f"each of {repeats} repeats. Write null where a repeat has none"
        )
    return scores or [None] * repeats


def _seen(arms: Sequence[Arm]) -> Iterator[float]:
    for arm in arms:
        for split in SPLITS:
            yield from arm.known(split)
