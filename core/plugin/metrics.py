"""What tasks measure, by name and direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Metric:
    """A quality by name, with its direction and, where it has one, its best possible value."""

    name: str
    better: Literal["higher", "lower"]
    best: float | None = None


CLASSIFICATION: Final = (Metric("accuracy", "higher", 1.0), Metric("log_loss", "lower", 0.0))
"""What `core.evaluate.Classification` measures."""

MULTI_LABEL: Final = (
    Metric("average_precision", "higher", 1.0),
    Metric("log_loss", "lower", 0.0),
    Metric("accuracy", "higher", 1.0),
)
"""What `core.evaluate.MultiLabel` measures."""
