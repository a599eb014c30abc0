"""The kinds of plugin: what each is called in metadata, in pluggy and in Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from stillhouse.core.plugin.records import (
    LossInfo,
    MethodInfo,
    ModelInfo,
    Record,
    ReporterInfo,
    SamplerInfo,
    SimilarityInfo,
    SpaceInfo,
    TargetInfo,
    TaskInfo,
)

RecordKind = Literal[
    "method", "model", "task", "space", "target", "sampler", "reporter", "loss", "similarity"
]


@dataclass(frozen=True)
class Door:
    """How one kind comes in: its entry-point group, its hook, the record the hook returns."""

    kind: RecordKind
    group: str
    hook: str
    info: type[Record]


DOORS: Final[tuple[Door, ...]] = (
    Door("method", "stillhouse.methods", "stillhouse_methods", MethodInfo),
    Door("model", "stillhouse.models", "stillhouse_models", ModelInfo),
    Door("task", "stillhouse.tasks", "stillhouse_tasks", TaskInfo),
    Door("space", "stillhouse.spaces", "stillhouse_search_spaces", SpaceInfo),
    Door("target", "stillhouse.targets", "stillhouse_targets", TargetInfo),
    Door("sampler", "stillhouse.samplers", "stillhouse_samplers", SamplerInfo),
    Door("reporter", "stillhouse.reporters", "stillhouse_reporters", ReporterInfo),
    Door("loss", "stillhouse.losses", "stillhouse_losses", LossInfo),
    Door("similarity", "stillhouse.similarities", "stillhouse_similarities", SimilarityInfo),
)
KINDS: Final[tuple[RecordKind, ...]] = tuple(door.kind for door in DOORS)
BY_KIND: Final = {door.kind: door for door in DOORS}
BY_GROUP: Final = {door.group: door for door in DOORS}
BY_INFO: Final = {door.info: door for door in DOORS}
