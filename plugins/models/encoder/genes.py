"""The genes of an encoder: those of every transformer, and `front_end` where it is a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.elastic.bounds import check_slice
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.front_ends.choice import chosen, options
from stillhouse.plugins.models.transformer import genes

FAMILY: Final = "encoder"
FRONT_END: Final = "front_end"


def gene_names(full: Mapping[str, Any]) -> tuple[str, ...]:
    """The genes that networks of a full structure have."""
    return (*genes.GENES, *([FRONT_END] if _named(full) else []))


def gene_values(structure: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a plain structure amounts to."""
    own = {FRONT_END: chosen(structure[FRONT_END])} if _named(structure) else {}
    return {**genes.gene_values(structure), **own}


def complete(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with absent genes taken from a full structure, per-layer genes as lists.

    A per-layer gene may be given as one number for all layers. Raises `UserError` for an unknown
    gene and for a list that does not fit the depth.
    """
    genes.check_names(FAMILY, configuration, gene_names(full))
    front_end = configuration.get(FRONT_END, chosen(full[FRONT_END]))
    found = genes.complete(FAMILY, full, _layered(configuration))
    return {**found, **({FRONT_END: front_end} if _named(full) else {})}


def structured(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The structure of a configuration of any size, see `complete`; it has one front end.

    From `full` come absent genes and what no gene decides.
    """
    _check(full, configuration)
    found = genes.structured(FAMILY, full, _layered(configuration))
    return _settled(found, full, configuration)


def whole(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The structure of a supernet whose largest subnet a configuration is.

    As `structured`, but with every front end that `full` has.
    """
    found = structured(full, configuration)
    if full[FRONT_END]["kind"] != "choice":
        return found
    use = configuration.get(FRONT_END, chosen(full[FRONT_END]))
    return {**found, FRONT_END: {**full[FRONT_END], "use": use}}


def subnet(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The structure a configuration has inside the full structure's weights.

    Raises `UserError` for one that needs more weights than `full` has.
    """
    _check(full, configuration)
    found = genes.subnet(FAMILY, full, _layered(configuration))
    if full["chunk"] is not None:
        for layer, place in enumerate(genes.kept(full, found["depth"])):
            most = _most_hidden(full["hidden"][place], found["width"], full["chunk"])
            check_slice(
                FAMILY, **{f"hidden width of layer {layer}": (found["hidden"][layer], most)}
            )
    return _settled(found, full, configuration)


def gene_columns(structures: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Columns of plain structures, as `genes.gene_columns`; front ends as objects (n,)."""
    columns = genes.gene_columns(structures)
    if any(_named(structure) for structure in structures):
        names = [chosen(structure[FRONT_END]) for structure in structures]
        columns[FRONT_END] = np.array(names, dtype=object)
    return columns


def check_width(structure: Mapping[str, Any]) -> None:
    """Raise `UserError` where a grouped positional convolution cannot have the width."""
    positions = structure["positions"] or {}
    groups = positions.get("groups", 1)
    if structure["width"] % groups:
        raise UserError(
            f"{FAMILY}: width expected a multiple of {groups}, the groups of its positional "
            f"convolution, came {structure['width']}; choose widths that {groups} divides"
        )


def _check(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> None:
    genes.check_names(FAMILY, configuration, gene_names(full))
    name, known = configuration.get(FRONT_END), options(full[FRONT_END])
    if name is not None and name not in known:
        raise UserError(
            f"{FAMILY}: front_end expected one of {', '.join(known)} (the full network's), "
            f"came {name!r}; give the full network that front end too"
        )


def _settled(
    found: dict[str, Any], full: Mapping[str, Any], configuration: Mapping[str, Any]
) -> dict[str, Any]:
    name = configuration.get(FRONT_END, chosen(full[FRONT_END]))
    chunk = None if full["chunk"] is None else found["width"]
    settled = {**found, "chunk": chunk, FRONT_END: options(full[FRONT_END])[name]}
    check_width(settled)
    return settled


def _layered(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in configuration.items() if name != FRONT_END}


def _named(structure: Mapping[str, Any]) -> bool:
    """Whether the front end is, or was taken from, a choice."""
    facts = structure[FRONT_END]
    return facts["kind"] == "choice" or "option" in facts


def _most_hidden(full: int, width: int, chunk: int) -> int:
    """Hidden features that chunks of the full weights have for a width."""
    pieces, rest = divmod(full, chunk)
    return pieces * width + min(rest, width)
