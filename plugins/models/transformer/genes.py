"""What the genes mean: width, depth, and for each layer heads and ffn_ratio.

`family` stands in messages. Structures hold `width`, `depth`, `heads`, `hidden` and may hold
`thirds` (see `encoder.structure.kept_layers`); a layer gene lists layers by their position among
those that a network keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.elastic.bounds import check_slice
from stillhouse.core.errors import UserError, nearest
from stillhouse.plugins.models.encoder.structure import kept_layers

LAYER_GENES: Final = ("heads", "ffn_ratio")
GENES: Final = ("width", "depth", *LAYER_GENES)


def check_names(family: str, names: Iterable[str], genes: Sequence[str] = GENES) -> None:
    """Raise `UserError` for the first name that is not one of the genes."""
    for name in names:
        if name not in genes:
            raise UserError(
                f"{family} has no gene '{name}'{nearest(name, genes)}; "
                f"its genes are {', '.join(genes)}"
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


def kept(full: Mapping[str, Any], depth: int) -> Sequence[int]:
    """Which full layers a network of `depth` keeps; one that is deeper than `full` has them all."""
    if depth >= full["depth"]:
        return range(depth)
    return kept_layers(full["depth"], depth, thirds=full.get("thirds", False))


def complete(
    family: str, full: Mapping[str, Any], configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """A configuration with absent genes taken from a full structure, per-layer genes as lists.

    A per-layer gene may be given as one number for all layers. Raises `UserError` for an unknown
    gene and for a list that does not fit the depth.
    """
    check_names(family, configuration)
    own = gene_values(full)
    genes = {**own, **configuration}
    depth = int(genes["depth"])
    for name in LAYER_GENES:
        if name in configuration:
            genes[name] = _given(name, genes[name], depth)
        elif depth > full["depth"]:
            raise _misfit(name, depth, own[name])
        else:
            genes[name] = [own[name][place] for place in kept(full, depth)]
    return genes


def _given(name: str, value: Any, depth: int) -> list[Any]:
    if np.ndim(value) == 0:
        return [value] * depth
    if len(value) != depth:
        raise _misfit(name, depth, value)
    return list(value)


def _misfit(name: str, depth: int, value: Any) -> UserError:
    return UserError(f"{name}: expected one value for each of {depth} layers, came {value}")


def structured(
    family: str, full: Mapping[str, Any], configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """The structure of a configuration of any size, see `complete`.

    From `full` come absent genes and what no gene decides.
    """
    genes = complete(family, full, configuration)
    width, depth = int(genes["width"]), int(genes["depth"])
    heads = [int(count) for count in genes["heads"]]
    hidden = [int(hidden_width(ratio, width)) for ratio in genes["ffn_ratio"]]
    return {**full, "width": width, "depth": depth, "heads": heads, "hidden": hidden}


def subnet(
    family: str, full: Mapping[str, Any], configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """The structure a configuration has inside the full structure's weights.

    Raises `UserError` for one that needs more weights than `full` has.
    """
    depth = configuration.get("depth", full["depth"])
    check_slice(family, depth=(depth, full["depth"]))
    found = structured(family, full, configuration)
    check_slice(family, width=(found["width"], full["width"]))
    for layer, place in enumerate(kept(full, found["depth"])):
        limits = {
            f"heads of layer {layer}": (found["heads"][layer], full["heads"][place]),
            f"hidden width of layer {layer}": (found["hidden"][layer], full["hidden"][place]),
        }
        check_slice(family, **limits)
    return found


def gene_columns(structures: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Columns of plain structures: width and depth (n,), heads and ffn_ratio (n, deepest)."""
    genes = [gene_values(structure) for structure in structures]
    deepest = max((g["depth"] for g in genes), default=1)
    columns: dict[str, NDArray[Any]] = {
        name: np.array([g[name] for g in genes], np.float64) for name in ("width", "depth")
    }
    for name in LAYER_GENES:
        columns[name] = np.full((len(genes), deepest), np.nan)
        for row, g in zip(columns[name], genes, strict=True):
            row[: g["depth"]] = g[name]
    return columns
