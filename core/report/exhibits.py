"""What methods show of their own, ready for the page and the model card."""

from __future__ import annotations

from dataclasses import dataclass

from stillhouse.core.report import grid, hints, interval_plot, pairing
from stillhouse.core.report.arms import Comparison, comparisons
from stillhouse.core.report.gains import figures, sentence
from stillhouse.core.report.heat_map import heat_map
from stillhouse.core.report.interval_plot import gains_plot, scores_plot
from stillhouse.core.report.rows import Line
from stillhouse.core.report.similarity import LayerSimilarity, similarities
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
    """The arms of a method: drawings, table and sentence. `chosen` is a role."""

    method: str
    repeats: int
    chosen: str
    sentence: str
    scores: str
    gains: str
    headings: tuple[str, ...]
    lines: list[Line]


def shown(summary: RunSummary) -> dict[str, list[Alike] | list[Compared]]:
    """The page's parts by the names that its template knows; empty lists without exhibits."""
    return {
        "similarities": [_alike(found) for found in similarities(summary)],
        "comparisons": [_compared(one) for one in comparisons(summary)],
    }


def in_words(summary: RunSummary) -> list[str]:
    """One sentence an exhibit: the hints chosen, the gain against the control arms."""
    said = [hints.chosen_hints(found) for found in similarities(summary)]
    return [*said, *(gain for one in comparisons(summary) if (gain := sentence(one)))]


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


def _compared(one: Comparison) -> Compared:
    metric = f"{one.quality.title} %" if one.quality.percent else one.quality.title
    gain = f"gain of {one.chosen.label}"
    return Compared(
        method=one.method,
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
