"""Configurations as text: short names, lists in brackets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stillhouse.core.report.numerals import MISSING, finite, significant


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each name without its method's prefix, where that leaves it distinct from the others."""
    full = list(dict.fromkeys(names))
    stems = [name.rpartition(".")[2] for name in full]
    return {
        name: stem if stem and stems.count(stem) == 1 else name
        for name, stem in zip(full, stems, strict=True)
    }


def value_text(value: Any) -> str:
    """A gene's value: `48`, `[2, 3, 1]`, `mel`."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    if value is None:
        return MISSING
    if isinstance(value, float):
        number = finite(value)
        return f"{number:.4g}" if number is not None and abs(number) < 1e4 else significant(number)
    return str(value)


def lines(configuration: Mapping[str, Any]) -> list[str]:
    """One `name value` an entry."""
    names = short_names(configuration)
    return [f"{names[name]} {value_text(value)}" for name, value in configuration.items()]


def one_line(configuration: Mapping[str, Any]) -> str:
    return ", ".join(lines(configuration))
