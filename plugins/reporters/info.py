"""The built-in reporters, described without importing what they need."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import ReporterInfo, hookimpl


@hookimpl
def stillhouse_reporters() -> Iterator[ReporterInfo]:
    yield ReporterInfo(
        name="html",
        summary="report.html: one self-contained page with plots, figures and the certificate",
        build="stillhouse.plugins.reporters.html:write",
    )
    yield ReporterInfo(
        name="csv",
        summary="results.csv with every evaluation, and pareto.json with the front",
        build="stillhouse.plugins.reporters.csv:write",
    )
