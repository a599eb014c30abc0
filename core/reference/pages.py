"""All pages of the reference that are a function of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.entries import HOST
from stillhouse.core.reference.commands import commands_page
from stillhouse.core.reference.coverage import coverage
from stillhouse.core.reference.hooks import hooks_page
from stillhouse.core.reference.kinds import TITLES, kind_page
from stillhouse.core.reference.methods import methods_page

COMMAND: Final = "python -m stillhouse.core.reference docs tests"


def built_ins() -> Catalogue:
    """The catalogue of what stillhouse itself supplies, whatever else is installed."""
    from importlib.metadata import distribution

    return Catalogue.discover({}, [distribution(HOST)])


def pages(catalogue: Catalogue, docs: Path, tests: Path) -> Mapping[str, str]:
    """Markdown by file name; `docs` and `tests` are read for what covers a hook.

    Raises PluginError where a plugin cannot describe itself.
    """
    return {
        "hooks.md": hooks_page(catalogue, coverage(docs, tests)),
        "methods.md": methods_page(catalogue),
        **{f"{file}.md": kind_page(kind, catalogue) for kind, (file, *_) in TITLES.items()},
        "commands.md": commands_page(),
    }
