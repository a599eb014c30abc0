"""The task in memory that plugins are tried out on, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.entries import Extra
from stillhouse.core.plugin.markers import hookimpl
from stillhouse.core.plugin.metrics import CLASSIFICATION
from stillhouse.core.plugin.params import Params, param
from stillhouse.core.plugin.records import Provenance, TaskInfo

TASK: Final = "conformance"
_KIT: Final = Provenance("stillhouse-conformance", "1", "stillhouse.tasks: conformance")
_TASK: Final[Extra] = ("task", TASK, "stillhouse.core.plugin.conformance.info", _KIT)


class ConformanceParams(Params):
    """What the inputs look like."""

    shape: list[int] = param((8, 5), searchable=False, help="shape of an input")
    tokens: int = param(0, low=0, searchable=False, help="whole numbers below this; 0: floats")


@hookimpl
def stillhouse_tasks() -> Iterator[TaskInfo]:
    yield TaskInfo(
        name=TASK,
        summary="Three labels, told apart by the mean of the inputs",
        build="stillhouse.core.plugin.conformance.waves:conformance_task",
        params=ConformanceParams,
        metrics=CLASSIFICATION,
    )


def discover(file: Path | None = None) -> Catalogue:
    """What is installed, and the task in memory; and what a file supplies, whose code this runs."""
    catalogue = Catalogue.discover(extra=[_TASK])
    return catalogue if file is None else catalogue.beside(file)
