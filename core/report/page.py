"""The page: one HTML text with style, script and drawings inside; it requests nothing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from stillhouse.core.report import architecture, growth, scatter, tips
from stillhouse.core.report.agreement import agreement, pairs
from stillhouse.core.report.anatomy import anatomy
from stillhouse.core.report.checks import checks, dropped
from stillhouse.core.report.configuration import value_text
from stillhouse.core.report.costs import Cost, known_views
from stillhouse.core.report.frame import NARROW, WIDE
from stillhouse.core.report.numerals import finite, seconds, significant
from stillhouse.core.report.predicted import predicted
from stillhouse.core.report.progress import progress
from stillhouse.core.report.quality import primary
from stillhouse.core.report.rows import headings, lines
from stillhouse.core.report.snippets import ONNX, load_snippet, onnx_snippet
from stillhouse.core.report.verdict import tiles, verdict
from stillhouse.core.run.summary import RunSummary


@dataclass(frozen=True)
class View:
    """The front against one cost, drawn twice: for wide screens and for narrow ones."""

    cost: Cost
    wide: str
    narrow: str
    indices: str
    marks: tuple[str, ...]


def render(summary: RunSummary) -> str:
    """The whole report as one HTML text; every text from the summary is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_resource("page.html"))
    return template.render(**_header(summary), **_plots(summary), **_facts(summary))


def _resource(name: str) -> str:
    return files("stillhouse.core.report").joinpath(name).read_text(encoding="utf-8")


def _header(summary: RunSummary) -> dict[str, Any]:
    quality = primary(summary)
    return {
        "style": _resource("page.css"),
        "script": _resource("page.js"),
        "summary": summary,
        "date": summary.certificate.date.replace("T", " ").partition("+")[0].partition(".")[0],
        "machine_line": _machine_line(summary),
        "verdict": verdict(summary),
        "tiles": tiles(summary),
        "headings": headings(quality),
        "lines": lines(summary),
        "finalists": lines(summary, ("finalist",)),
    }


def _machine_line(summary: RunSummary) -> list[str]:
    """What the latencies hold for, short enough for a line: texts as they are, numbers named."""
    return [
        value if isinstance(value, str) else f"{value_text(value)} {name}"
        for name, value in summary.certificate.machine.items()
        if isinstance(value, (str, int, float)) and len(str(value)) <= 48
    ]


def _plots(summary: RunSummary) -> dict[str, Any]:
    known = known_views(summary)
    followed = progress(summary)
    volume = followed.volume
    measured = pairs(summary)
    drawn = anatomy(summary.full, summary.found)
    return {
        "views": [_view(summary, cost) for cost in known],
        "tips": tips.tips_json(summary, known),
        "failed": len(summary.evaluations) - len(followed.qualities),
        "progress": followed,
        "best_so_far": growth.best_so_far(followed),
        "hypervolume": growth.hypervolume_chart(followed, volume) if volume else "",
        "predicted": predicted(measured),
        "agreements": {
            "held out": agreement([pair for pair in measured if pair.held_out]),
            "training": agreement([pair for pair in measured if not pair.held_out]),
        },
        "predictor": {name: _plain(value) for name, value in summary.predictor.items()},
        "anatomy": drawn,
        "architecture_wide": architecture.architecture(drawn, architecture.WIDE),
        "architecture_narrow": architecture.architecture(drawn, architecture.NARROW),
    }


def _view(summary: RunSummary, cost: Cost) -> View:
    plot = scatter.plot(summary, cost)
    return View(
        cost=cost,
        wide=scatter.scatter(plot, WIDE),
        narrow=scatter.scatter(plot, NARROW),
        indices=tips.indices_json([point.index for point in plot.drawn]),
        marks=tuple(dict.fromkeys(mark.role for mark in plot.marks)),
    )


def _facts(summary: RunSummary) -> dict[str, Any]:
    certificate = summary.certificate
    longest = max((finite(s) or 0.0 for s in summary.stages.values()), default=0.0)
    stages = [
        (name, seconds(finite(spent)), 100 * (finite(spent) or 0.0) / longest if longest else 0.0)
        for name, spent in summary.stages.items()
    ]
    return {
        "checks": checks(certificate),
        "dropped": dropped(certificate),
        "measured": {name: _plain(value) for name, value in certificate.measured.items()},
        "machine": {name: value_text(value) for name, value in certificate.machine.items()},
        "difference": f"{certificate.max_difference:.2g}",
        "stages": stages,
        "total": seconds(sum(finite(s) or 0.0 for s in summary.stages.values())),
        "load_snippet": load_snippet(summary),
        "onnx_snippet": onnx_snippet(summary) if certificate.artefact.endswith(ONNX) else "",
    }


def _plain(value: Any) -> str:
    number = finite(value)
    return significant(number, 4) if number is not None else value_text(value)
