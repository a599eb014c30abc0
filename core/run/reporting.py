"""Hand a finished run to every reporter that is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from stillhouse.core.errors import PluginError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.summary import RunSummary

Reporter = Callable[[Any, RunSummary, Path], None]


def write_reports(catalogue: Catalogue, summary: RunSummary, folder: Path) -> None:
    """Call each reporter with its default parameters; one that fails is named, after the rest."""
    failures = []
    for name in catalogue.names("reporter"):
        try:
            record = catalogue.reporter(name)
            cast("Reporter", catalogue.resolve(record))(record.params(), summary, folder)
        except Exception as error:
            failures.append(f"reporter '{name}' failed: {type(error).__name__}: {error}")
    if failures:
        raise PluginError("; ".join(failures))
