"""What methods show of their own, ready for the page and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stillhouse.core.report import ensemble_words, grid, hints, interval_plot, pairing, taught
from stillhouse.core.report.arms import Comparison, comparisons
from stillhouse.core.report.ensemble import Ensemble, ensembles
from stillhouse.core.report.ensemble_settings import settings
from stillhouse.core.report.gains import figures, sentence
from stillhouse.core.report.heat_map import heat_map
from stillhouse.core.report.interval_plot import gains_plot, scores_plot
from stillhouse.core.report.rows import Line
from stillhouse.core.report.similarity import LayerSimilarity, similarities
from stillhouse.core.report.standing_plot import standing_plot
from stillhouse.core.report.standing_table import standing_table
from stillhouse.core.report.sweep import Swept, sweeps
from stillhouse.core.report.weight_bars import Bars, bars
from stillhouse.core.run.summary import RunSummary


@dataclass(frozen=True)
class Alike:
    """A similarity matrix, drawn for wide screens and for narrow ones; `width` in pixels."""

    similarity: LayerSimilarity
    lead: str
    tips: str
    headings: list[str]
    table: list[list[str]]
    wide: str
    narrow: str
    below: str
    width: int


@dataclass(frozen=True)
class Compared:
    """The arms of a method: drawings, table and sentence. `chosen` is a role.

    `taught` says what the arms are where they differ in what taught the student; else empty.
    """

    method: str
    taught: str
    repeats: int
    chosen: str
    sentence: str
    scores: str
    gains: str
    headings: tuple[str, ...]
    lines: list[Line]


@dataclass(frozen=True)
class Mixed:
    """An ensemble: its members as bars, the standings drawn and as a table, and settings."""

    method: str
    heading: str
    lead: str
    bars: Bars
    settings: list[tuple[str, str]]
    splits: list[str]
    tuned: bool
    standings: str
    headings: Sequence[str]
    lines: Sequence[Line]


def shown(
    summary: RunSummary,
) -> dict[str, list[Alike] | list[Mixed] | list[Compared] | list[Swept]]:
    """The page's parts by the names that its template knows; empty lists without exhibits."""
    return {
        "similarities": [_alike(found) for found in similarities(summary)],
        "mixtures": [_mixed(found) for found in _mixtures(summary)],
        "sweeps": sweeps(summary),
        "comparisons": [_compared(one) for one in comparisons(summary)],
    }


def in_words(summary: RunSummary) -> list[str]:
    """One sentence an exhibit: hints chosen, mixture found, gain against the control arms."""
    said = [hints.chosen_hints(found) for found in similarities(summary)]
    said += [ensemble_words.sentence(one) for one in _mixtures(summary)]
    gains = (sentence(taught.named(one)) for one in comparisons(summary))
    return [*said, *(gain for gain in gains if gain)]


def _alike(found: LayerSimilarity) -> Alike:
    wide = grid.Grid(found, grid.WIDE)
    return Alike(
        similarity=found,
        lead=hints.lead(found),
        tips=hints.tips_json(found),
        headings=hints.headings(found),
        table=hints.table(found),
        wide=heat_map(wide, pairing.beside(wide)),
        narrow=heat_map(grid.Grid(found, grid.NARROW)),
        below=pairing.below(found),
        width=round(wide.width),
    )


def _mixtures(summary: RunSummary) -> list[Ensemble]:
    """The ensembles; unused where the arms say that the student without any was returned."""
    unused = taught.by_labels(comparisons(summary))
    return [replace(found, unused=found.unused or unused) for found in ensembles(summary)]


def _mixed(found: Ensemble) -> Mixed:
    headings, lines = standing_table(found)
    return Mixed(
        method=found.method,
        heading=_heading(found),
        lead=ensemble_words.lead(found),
        bars=bars(found),
        settings=settings(found),
        splits=found.splits,
        tuned=found.tuned,
        standings=standing_plot(found),
        headings=headings,
        lines=lines,
    )


def _heading(found: Ensemble) -> str:
    if found.deployed:
        return "The mixture that is the model"
    return "The mixture" if found.unused else "The mixture that taught the student"


def _compared(found: Comparison) -> Compared:
    one = taught.named(found)
    metric = f"{one.quality.title} %" if one.quality.percent else one.quality.title
    gain = f"gain of {one.chosen.label}"
    return Compared(
        method=one.method,
        taught=taught.introduction(one),
        repeats=one.repeats,
        chosen=one.chosen.role,
        sentence=sentence(one),
        scores=scores_plot(one, interval_plot.WIDE) + scores_plot(one, interval_plot.NARROW),
        gains=gains_plot(one, interval_plot.WIDE) + gains_plot(one, interval_plot.NARROW),
        headings=(
            f"validation {metric}", f"test {metric}", f"{gain}, validation", f"{gain}, test",
        ),
        lines=[Line(arm.role, arm.label, figures(one, arm)) for arm in one.arms],
    )  # fmt: skip
