"""What the genes mean: width, depth, and for each layer heads and ffn_ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError, nearest

GENES: Final = ("width", "depth", "heads", "ffn_ratio")


def hidden_width(ffn_ratio: Any, width: Any) -> Any:
    """Hidden features: the whole part of ratio times width, at least 1; numbers or arrays.

    The millionth undoes rounding, so that a hidden width divided by the width comes back whole.
    """
    return np.maximum(1, np.floor(np.multiply(ffn_ratio, width) + 1e-6))


def gene_values(structure: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a plain structure amounts to."""
    return {
        "width": structure["width"],
        "depth": structure["depth"],
        "heads": list(structure["heads"]),
        "ffn_ratio": [hidden / structure["width"] for hidden in structure["hidden"]],
    }


def complete(configuration: Mapping[str, Any], full: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with absent genes taken from `full`, per-layer genes as lists.

    Raises `UserError` for an unknown gene, too great a depth, or a list that does not fit it.
    """
    for name in configuration:
        if name not in GENES:
            raise UserError(
                f"keyword-transformer has no gene '{name}'{nearest(name, GENES)}; "
                f"its genes are {', '.join(GENES)}"
            )
    genes = {**full, **configuration}
    depth = genes["depth"]
    if not 1 <= depth <= full["depth"]:
        raise UserError(f"depth: expected 1 to {full['depth']} (the full network's), came {depth}")
    for name in ("heads", "ffn_ratio"):
        genes[name] = _per_layer(name, genes[name], depth, given=name in configuration)
    return genes


def _per_layer(name: str, value: Any, depth: int, *, given: bool) -> list[Any]:
    if not isinstance(value, Sequence):
        return [value] * depth
    if given and len(value) != depth:
        raise UserError(f"{name}: expected one value for each of {depth} layers, came {value}")
    return list(value[:depth])


def gene_columns(structures: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """Columns of plain structures: width and depth (n,), heads and ffn_ratio (n, deepest)."""
    genes = [gene_values(structure) for structure in structures]
    deepest = max((g["depth"] for g in genes), default=1)
    columns = {name: np.array([g[name] for g in genes], np.float64) for name in ("width", "depth")}
    for name in ("heads", "ffn_ratio"):
        columns[name] = np.full((len(genes), deepest), np.nan)
        for row, g in zip(columns[name], genes, strict=True):
            row[: g["depth"]] = g[name]
    return columns
