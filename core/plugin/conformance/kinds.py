"""What is expected of plugins of the other kinds: their code, and one behaviour that is cheap."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.records import Record, SpaceInfo

Body = Callable[[Record, Setup, Catalogue], None]
Named = tuple[str, Callable[[], None]]

_PACKAGE: Final = "stillhouse.core.plugin.conformance"
_TITLES: Final[Mapping[RecordKind, tuple[str, str, str]]] = {
    "loss": ("losses", "code", "value and slope"),
    "similarity": ("similarities", "code", "matrix"),
    "model": ("families", "code", "networks"),
    "task": ("tasks", "code", "splits"),
    "sampler": ("samplers", "code", "proposals"),
    "target": ("targets", "code", "artefact"),
}
"""By kind: the module with `check_code` and `check_behaviour`, and what they are called."""


def others(kind: RecordKind, record: Record, setup: Setup, catalogue: Catalogue) -> Iterator[Named]:
    """The checks of a plugin that is no method. Imports nothing until one of them runs."""
    if isinstance(record, SpaceInfo):
        yield "file", lambda: _check_space(record, catalogue)
        return
    if kind == "reporter":
        yield "code", lambda: _check_reporter(record, catalogue)
        return
    module, code, behaviour = _TITLES[kind]

    def run(function: str) -> None:
        found = importlib.import_module(f"{_PACKAGE}.{module}")
        cast(Body, getattr(found, function))(record, setup, catalogue)

    yield code, lambda: run("check_code")
    yield behaviour, lambda: run("check_behaviour")


def _check_space(record: SpaceInfo, catalogue: Catalogue) -> None:
    """The file is a space of a family that is there, with something to choose from."""
    from stillhouse.core.space.text import load_space

    catalogue.model(record.family)
    space = load_space(catalogue.space_text(record), record.name)
    if space.size() < 2:
        unmet("a space of two configurations or more", space.size(), "add dimensions to the file")


def _check_reporter(record: Record, catalogue: Catalogue) -> None:
    """The code can be called with parameters, a summary and the run's folder."""
    write = catalogue.resolve(record)
    if not callable(write):
        unmet("build to name something to call", repr(write), "name a function")
    try:
        inspect.signature(write).bind(record.params(), None, None)
    except TypeError as error:
        unmet("a call with (params, summary, folder)", error, "take these three arguments")
