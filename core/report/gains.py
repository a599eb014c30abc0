"""Gains of the chosen arm in figures and in one honest sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import final

from stillhouse.core.report.arms import FOUND, SPLITS, Arm, Comparison
from stillhouse.core.report.intervals import Interval
from stillhouse.core.report.numerals import MISSING, NBSP
from stillhouse.core.report.quality import Quality
from stillhouse.core.report.rows import Figure


def sentence(comparison: Comparison) -> str:
    """What the chosen arm gains against every other; says so where that is nothing.

    Told on the test split, which had no part in the choice; else on validation. Empty where there
    is no other arm.
    """
    chosen, split = comparison.chosen, comparison.decisive
    told = [_against(comparison, arm, split) for arm in comparison.others]
    parts = [] if chosen.role == FOUND else [_returned(comparison)]
    if told:
        where = "the test split" if split == "test" else "validation, which also chose"
        parts.append(f"On {where}, {_over(comparison)}, {_arm(chosen)} {'; '.join(told)}.")
    return " ".join(parts)


def _returned(comparison: Comparison) -> str:
    """Why a control was returned, as far as the validation scores say so."""
    label, returned = comparison.chosen.label, f"{_arm(comparison.chosen)} was returned."
    found = next((arm for arm in comparison.arms if arm.role == FOUND), None)
    gain = comparison.gain(found, "validation") if found else None
    if gain is None:
        return f"{returned[0].upper()}{returned[1:]}"
    if gain.mean >= 0:
        return f"What the search found was not better than “{label}” on validation, so {returned}"
    wording = Wording.of(comparison)
    by = f"{wording.bare(-gain.mean)}{wording.unit}"
    return f"What the search found was better than “{label}” on validation by {by}, yet {returned}"


def _over(comparison: Comparison) -> str:
    if comparison.repeats == 1:
        return "in one repeat, which gives no interval"
    return f"over {comparison.repeats} repeats"


def _arm(arm: Arm) -> str:
    return "what the search found" if arm.role == FOUND else f"the arm “{arm.label}”"


def _against(comparison: Comparison, arm: Arm, split: str) -> str:
    gain, wording = comparison.gain(arm, split), Wording.of(comparison)
    other = _arm(arm) if arm.role == FOUND else f"“{arm.label}”"
    if gain is None:
        return f"was not measured beside {other}"
    if gain.half is None and gain.mean == 0:
        return f"shows no gain against {other}: the same scores"
    if gain.half is not None and gain.holds_zero:
        held = f"{wording.range(gain)}{wording.unit}"
        return f"shows no gain against {other}: the interval, {held}, holds 0"
    word = "better" if gain.mean > 0 else "worse"
    by = f"is {word} than {other} by {wording.bare(abs(gain.mean))}{wording.unit}"
    if gain.half is not None:
        side = gain if gain.mean > 0 else Interval(-gain.mean, gain.half, gain.count)
        return f"{by} (95{NBSP}% interval {wording.range(side)})"
    return by if gain.count == 1 else f"{by}, the same in all {gain.count}, so without an interval"


def figures(comparison: Comparison, arm: Arm) -> list[Figure]:
    """Four cells of a table: both means, then both gains of the chosen arm; intervals small."""
    wording = Wording.of(comparison)
    means = [wording.mean(arm.mean(split)) for split in SPLITS]
    if arm is comparison.chosen:
        return [*means, Figure("", ""), Figure("", "")]
    return [*means, *(wording.gain(comparison.gain(arm, split)) for split in SPLITS)]


@final
@dataclass(frozen=True)
class Wording:
    """How the numbers of one comparison are written: shares in points, all to as many places."""

    quality: Quality
    places: int

    @staticmethod
    def of(comparison: Comparison) -> Wording:
        """As many places as leave two digits of the half of a typical interval."""
        quality = comparison.quality
        found = [arm.mean(split) for arm in comparison.arms for split in SPLITS]
        found += [comparison.gain(arm, s) for arm in comparison.others for s in SPLITS]
        halves = [one.half for one in found if one is not None and one.half]
        scale = 100 if quality.percent else 1
        if not halves:
            return Wording(quality, 2 if quality.percent else 4)
        typical = scale * median(halves)
        return Wording(quality, max(0, min(6, 1 - math.floor(math.log10(typical)))))

    def bare(self, value: float) -> str:
        """The number alone."""
        shown = f"{value * (100 if self.quality.percent else 1):,.{self.places}f}"
        return shown.replace("-", "−") if shown.strip("-0.,") else shown.lstrip("-")

    def range(self, found: Interval) -> str:
        return f"{self.bare(found.low)} to {self.bare(found.high)}"

    @property
    def unit(self) -> str:
        """Of a difference, to stand behind it."""
        return f"{NBSP}points" if self.quality.percent else f" in {self.quality.title}"

    def mean(self, found: Interval | None) -> Figure:
        if found is None:
            return Figure(MISSING, "")
        return Figure(self.bare(found.mean), self._small(found))

    def gain(self, found: Interval | None) -> Figure:
        if found is None:
            return Figure(MISSING, "")
        shown = self.bare(found.mean)
        signed = f"+{shown}" if found.mean > 0 and shown.strip("0.") else shown
        return Figure(signed, self._small(found))

    def _small(self, found: Interval) -> str:
        return "" if found.half is None else self.range(found)
