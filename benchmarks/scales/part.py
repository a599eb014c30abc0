"""What every part of the benchmark gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Report:
    """One table, the figures behind it, and whether what was to be reached was."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Mapping[str, Any]
    reached: bool
