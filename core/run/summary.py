"""What a finished run says about itself: the one record that results and reports are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stillhouse.core import plain_json
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.typed import typed

PREDICTED = "predicted"
"""The `conditions` of a latency that nobody measured: the device is another machine."""


@dataclass(frozen=True)
class ModelRow:
    """One line of the closing table.

    `role` is teacher, found, inherited, tuned, scratch, scaled or finalist.
    """

    role: str
    label: str
    structure: Mapping[str, Any]
    test: Mapping[str, float]
    validation: Mapping[str, float]
    parameters: int
    size_bytes: int
    macs: int
    memory_bytes: int
    latency_ms: float
    p95_ms: float
    median_ms: float
    updates: int = 0


@dataclass(frozen=True)
class Evaluation:
    """One line of the ledger: a candidate, its known costs and its measured quality."""

    number: int
    key: str
    configuration: Mapping[str, Any]
    costs: Mapping[str, float]
    values: Mapping[str, float]
    seconds: float
    on_front: bool = False
    fidelity: float | None = None
    """Share of the full budget spent on it, where a run has several."""


@dataclass(frozen=True)
class LimitLine:
    """A limit as it was applied, on a cost or a metric of this name.

    `text` is what the user wrote, `bound` the absolute number.
    """

    cost: str
    relation: str
    bound: float
    text: str


@dataclass(frozen=True)
class Certificate:
    """What was measured on the exported artefact of the model that is returned."""

    artefact: str
    sha256: str
    measured: Mapping[str, float]
    limits: Sequence[LimitLine]
    max_difference: float
    exporter: str
    machine: Mapping[str, Any]
    date: str
    dropped: Sequence[Mapping[str, Any]] = ()
    """Finalists that broke a limit when measured: configuration, cost, bound, measured."""
    conditions: str = "quiet"
    """What the machine was doing meanwhile, see `core.measure.latency`; or "predicted"."""

    @property
    def certified(self) -> bool:
        """Whether the latency was measured, and not only predicted for another device."""
        return self.conditions != PREDICTED


@dataclass(frozen=True)
class RunSummary:
    """Everything the report shows. Saved as `summary.json`; holds no tensors and no paths."""

    name: str
    task: str
    objectives: Sequence[Mapping[str, Any]]
    limits: Sequence[LimitLine]
    sampler: str
    seed: int
    space_size: str
    evaluations: Sequence[Evaluation]
    latency_pairs: Sequence[Mapping[str, Any]]
    """Predicted against measured: `{"predicted_ms", "measured_ms", "label", "held_out"}`."""
    predictor: Mapping[str, float]
    rows: Sequence[ModelRow]
    full: Mapping[str, Any]
    """The full configuration of the space, e.g. width 96, depth 6, heads [6, ...]."""
    found: Mapping[str, Any]
    """The chosen configuration, same keys as `full`."""
    certificate: Certificate
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds each stage of the run took."""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    metrics: Sequence[Mapping[str, Any]] = ()
    """What the task measures: `{"name", "maximize"}`."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """What a model takes: `dtype`, `ids` (see `core.measure.inputs`), `preparation` in words; where
    it sees only some, `channels` as places on the last axis `of` so many."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """What a model gives, where it is not one class a sample: `several` is true, `labels`."""
    exhibits: Sequence[Mapping[str, Any]] = ()
    """What a method shows of its own, by `kind`: "layer-similarity" is read by
    `core.report.similarity`, "arms" by `core.report.arms`, "ensemble" by
    `core.report.ensemble`; others are kept and not drawn."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, allow_nan=False)

    @staticmethod
    def read(path: Path) -> RunSummary:
        """The summary in a file; RunDirectoryError for a damaged or foreign one.

        Raises FileNotFoundError where there is none.
        """
        try:
            return typed(RunSummary, plain_json.read(path))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError) as error:
            raise RunDirectoryError(f"{path}: not a run summary ({error})") from None

    @staticmethod
    def from_json(text: str) -> RunSummary:
        """Rebuild from `summary.json`; raises ValueError or TypeError on foreign content."""
        return typed(RunSummary, plain_json.parsed(text))
