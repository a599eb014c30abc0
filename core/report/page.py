"""The page: one HTML text with style, script and drawings inside; it requests nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined

from stillhouse.core.report import architecture, exhibits, growth, machine, scatter, tips
from stillhouse.core.report.agreement import agreement, pairs
from stillhouse.core.report.anatomy import anatomy
from stillhouse.core.report.checks import checks, dropped
from stillhouse.core.report.configuration import value_text
from stillhouse.core.report.costs import Cost, known_views, named
from stillhouse.core.report.frame import NARROW, WIDE
from stillhouse.core.report.numerals import finite, rough, seconds
from stillhouse.core.report.plot import plot
from stillhouse.core.report.predicted import predicted
from stillhouse.core.report.progress import progress
from stillhouse.core.report.quality import primary
from stillhouse.core.report.rows import headings, lines
from stillhouse.core.report.snippets import ONNX, load_snippet, onnx_snippet
from stillhouse.core.report.verdict import tiles, verdict
from stillhouse.core.run.summary import Certificate, RunSummary

_SHARES: Final = ("mape", "margin", "within_10_percent")
"""Figures of the latency predictor that are shares."""


@dataclass(frozen=True)
class View:
    """The front against one cost, drawn twice: for wide screens and for narrow ones."""

    cost: Cost
    wide: str
    narrow: str
    note: str


def render(summary: RunSummary) -> str:
    """The whole report as one HTML text; every text from the summary is escaped."""
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html")
    parts = (_header(summary), _plots(summary), exhibits.shown(summary), _facts(summary))
    return template.render({name: value for part in parts for name, value in part.items()})


def _resource(name: str) -> str:
    return files("stillhouse.core.report").joinpath(name).read_text(encoding="utf-8")


def _header(summary: RunSummary) -> dict[str, Any]:
    quality = primary(summary)
    return {
        "style": _resource("page.css"),
        "script": _resource("page.js"),
        "summary": summary,
        "objectives": ", ".join(map(_objective, summary.objectives)),
        "date": summary.certificate.date.replace("T", " ").partition("+")[0].partition(".")[0],
        "machine_line": machine.short(summary.certificate),
        "verdict": verdict(summary),
        "tiles": tiles(summary),
        "checks": checks(summary.certificate),
        "headings": headings(quality),
        "lines": lines(summary),
        "finalists": lines(summary, ("finalist",)),
    }


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
        "predictor": [_reported(name, value) for name, value in summary.predictor.items()],
        "anatomy": drawn,
        "architecture_wide": architecture.architecture(drawn, architecture.WIDE),
        "architecture_narrow": architecture.architecture(drawn, architecture.NARROW),
    }


def _view(summary: RunSummary, cost: Cost) -> View:
    gathered = plot(summary, cost)
    return View(
        cost=cost,
        wide=scatter.scatter(gathered, WIDE),
        narrow=scatter.scatter(gathered, NARROW),
        note=gathered.note,
    )


def _facts(summary: RunSummary) -> dict[str, Any]:
    certificate = summary.certificate
    longest = max((finite(s) or 0.0 for s in summary.stages.values()), default=0.0)
    stages = [
        (name, seconds(finite(spent)), 100 * (finite(spent) or 0.0) / longest if longest else 0.0)
        for name, spent in summary.stages.items()
    ]
    return {
        "dropped": dropped(certificate),
        "conditions": _conditions(certificate),
        "measured": _measured(certificate),
        "machine": machine.facts(certificate),
        "difference": rough(certificate.max_difference),
        "stages": stages,
        "total": seconds(sum(finite(s) or 0.0 for s in summary.stages.values())),
        "load_snippet": load_snippet(summary),
        "onnx_snippet": onnx_snippet(summary) if certificate.artefact.endswith(ONNX) else "",
    }


def _objective(objective: Mapping[str, Any]) -> str:
    return f"{'maximize' if objective['maximize'] else 'minimize'} {objective['name']}"


def _conditions(certificate: Certificate) -> str:
    """What disturbed the measurement, if anything."""
    return (
        "" if certificate.conditions == "quiet" else f" (the machine was {certificate.conditions})"
    )


def _measured(certificate: Certificate) -> dict[str, str]:
    """Measured values by title; of a size in several units the first."""
    found: dict[str, str] = {}
    for name, value in certificate.measured.items():
        found.setdefault(named(name).title, named(name).exact(finite(value)))
    return found


def _reported(name: str, value: Any) -> str:
    """A figure of the predictor in words."""
    number = finite(value)
    title = name.replace("_", " ").replace("mape", "MAPE").replace(" percent", " %")
    if number is None:
        return f"{title} {value_text(None if isinstance(value, float) else value)}"
    return f"{title} {100 * number:.1f} %" if name in _SHARES else f"{title} {number:.4g}"
