"""What tasks measure, by name and direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Metric:
    """A quality by name, with its direction."""

    name: str
    better: Literal["higher", "lower"]


CLASSIFICATION: Final = (Metric("accuracy", "higher"), Metric("log_loss", "lower"))
"""What `core.evaluate.Classification` measures."""
