"""One page for each kind of plugin but methods: what is built in and what it can be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.records import (
    LossInfo,
    ModelInfo,
    Record,
    SamplerInfo,
    SpaceInfo,
    TaskInfo,
)
from stillhouse.core.reference.markdown import code, listed, page, table
from stillhouse.core.reference.parameters import parameters

TITLES: Final[Mapping[RecordKind, tuple[str, str, str]]] = {
    "model": ("models", "Model families", "`teacher: {model: NAME}` and `student:` of a run file"),
    "task": ("tasks", "Tasks", "`task:` of a run file"),
    "space": ("spaces", "Search spaces", "`supernet: {space: NAME}`"),
    "target": ("targets", "Targets", "`target: {runtime: NAME}` of a run file"),
    "sampler": ("samplers", "Samplers", "`search: {sampler: NAME}` of a run file"),
    "reporter": ("reporters", "Reporters", "no run file: every one writes when a run has ended"),
    "loss": ("losses", "Distillation losses", "`hints: {loss: NAME}`"),
    "similarity": ("similarities", "Similarities", "`hints: {similarity: NAME}`"),
}
"""By kind: the page's file, its title, and where a run file names such a plugin."""


def kind_page(kind: RecordKind, catalogue: Catalogue) -> str:
    """The page of a kind; raises PluginError where a plugin cannot describe itself."""
    _, title, where = TITLES[kind]
    records = [catalogue.record(kind, name) for name in catalogue.names(kind)]
    about = f"Named in {where}. To add one, see [](../add-a-{kind}.md)."
    return page(title, about, _overview(records), *_details(records))


def _overview(records: Sequence[Record]) -> str:
    own = list(dict.fromkeys(name for record in records for name in _own(record)))
    extras = ["extra"] if any(record.extra for record in records) else []
    rows = [
        (
            code(record.name),
            record.summary,
            *(_own(record)[name] for name in own),
            *(code(record.extra or "") for _ in extras),
        )
        for record in records
    ]
    return table(("name", "what it is", *own, *extras), rows)


def _own(record: Record) -> dict[str, str]:
    """What only this kind of record says."""
    if isinstance(record, ModelInfo):
        offers = "yes" if record.space else ""
        return {"`space: auto`": offers, "translates": listed(record.converts)}
    if isinstance(record, TaskInfo):
        measures = ", ".join(code(metric.name) for metric in record.metrics)
        return {"measures": measures, "licence": record.licence}
    if isinstance(record, SpaceInfo):
        return {"family": code(record.family)}
    if isinstance(record, SamplerInfo):
        return {"objectives": record.objectives}
    return {"compares": record.compares} if isinstance(record, LossInfo) else {}


def _details(records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        if told := parameters(record.params):
            yield f"## {record.name}\n\n{told}"
