"""What the genes mean: width, depth, and for each layer heads and ffn_ratio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.elastic import check_slice
from stillhouse.core.errors import UserError, nearest

LAYER_GENES: Final = ("heads", "ffn_ratio")
GENES: Final = ("width", "depth", *LAYER_GENES)


def check_names(names: Iterable[str]) -> None:
    """Raise `UserError` for the first name that is not one of the genes."""
    for name in names:
        if name not in GENES:
            raise UserError(
                f"keyword-transformer has no gene '{name}'{nearest(name, GENES)}; "
                f"its genes are {', '.join(GENES)}"
            )


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


def complete(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with absent genes taken from the full one, per-layer genes as lists.

    A per-layer gene may be given as one number for all layers. Raises `UserError` for an unknown
    gene and for a list that does not fit the depth.
    """
    check_names(configuration)
    genes = {**full, **configuration}
    depth = int(genes["depth"])
    for name in LAYER_GENES:
        genes[name] = _layers(name, genes[name], depth, given=name in configuration)
    return genes


def _layers(name: str, value: Any, depth: int, *, given: bool) -> list[Any]:
    if np.ndim(value) == 0:
        return [value] * depth
    if len(value) < depth or (given and len(value) != depth):
        raise UserError(f"{name}: expected one value for each of {depth} layers, came {value}")
    return list(value[:depth])


def structured(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The structure of a configuration of any size, see `complete`.

    From `full` come absent genes and what no gene decides.
    """
    genes = complete(gene_values(full), configuration)
    width, depth = int(genes["width"]), int(genes["depth"])
    heads = [int(count) for count in genes["heads"]]
    hidden = [int(hidden_width(ratio, width)) for ratio in genes["ffn_ratio"]]
    return {**full, "width": width, "depth": depth, "heads": heads, "hidden": hidden}


def subnet(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The structure a configuration has inside the full structure's weights.

    Raises `UserError` for one that needs more weights than `full` has.
    """
    depth = configuration.get("depth", full["depth"])
    check_slice("keyword-transformer", depth=(depth, full["depth"]))
    found = structured(full, configuration)
    check_slice("keyword-transformer", width=(found["width"], full["width"]))
    for layer in range(found["depth"]):
        limits = {
            f"heads of layer {layer}": (found["heads"][layer], full["heads"][layer]),
            f"hidden width of layer {layer}": (found["hidden"][layer], full["hidden"][layer]),
        }
        check_slice("keyword-transformer", **limits)
    return found


def gene_columns(structures: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """Columns of plain structures: width and depth (n,), heads and ffn_ratio (n, deepest)."""
    genes = [gene_values(structure) for structure in structures]
    deepest = max((g["depth"] for g in genes), default=1)
    columns = {name: np.array([g[name] for g in genes], np.float64) for name in ("width", "depth")}
    for name in LAYER_GENES:
        columns[name] = np.full((len(genes), deepest), np.nan)
        for row, g in zip(columns[name], genes, strict=True):
            row[: g["depth"]] = g[name]
    return columns
