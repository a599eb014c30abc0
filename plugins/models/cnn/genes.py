"""What the genes mean: width, and for each stage depth, and for each of its blocks two more.

`depth_1` is the first stage's; `kernel_1` and `expand_1` have a value for each of its blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.elastic import check_slice
from stillhouse.core.errors import UserError, nearest
from stillhouse.plugins.models.cnn.structure import block_base, hidden_width

BLOCK_GENES: Final = ("kernel", "expand")


def gene(name: str, stage: int) -> str:
    """A stage's gene; stages count from 0, genes from 1."""
    return f"{name}_{stage + 1}"


def stages(structure: Mapping[str, Any]) -> range:
    return range(len(structure["strides"]))


def gene_names(structure: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = ("depth", *BLOCK_GENES)
    return ("width", *(gene(kind, stage) for stage in stages(structure) for kind in kinds))


def check_names(structure: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raise `UserError` for the first name that is not one of the genes."""
    known = gene_names(structure)
    for name in names:
        if name not in known:
            raise UserError(
                f"cnn of {len(stages(structure))} stages has no gene '{name}'"
                f"{nearest(name, known)}; its genes are {', '.join(known)}"
            )


def gene_values(structure: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a plain structure amounts to."""
    found: dict[str, Any] = {"width": structure["width"]}
    for stage in stages(structure):
        found[gene("depth", stage)] = structure["depth"][stage]
        found[gene("kernel", stage)] = list(structure["kernel"][stage])
        found[gene("expand", stage)] = [
            hidden / float(block_base(structure, stage, place, structure["width"]))
            for place, hidden in enumerate(structure["hidden"][stage])
        ]
    return found


def complete(
    structure: Mapping[str, Any], full: Mapping[str, Any], configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """A configuration with absent genes taken from the full one, block genes as lists.

    A block gene may be given as one number for all of a stage's blocks. Raises `UserError` for an
    unknown gene and for a list that does not fit the depth.
    """
    check_names(structure, configuration)
    genes = {**full, **configuration}
    for stage in stages(structure):
        depth = int(genes[gene("depth", stage)])
        if depth < 1:
            raise UserError(f"{gene('depth', stage)}: expected at least 1 block, came {depth}")
        for name in (gene(kind, stage) for kind in BLOCK_GENES):
            genes[name] = _blocks(name, genes[name], depth, given=name in configuration)
    return genes


def _blocks(name: str, value: Any, depth: int, *, given: bool) -> list[Any]:
    if np.ndim(value) == 0:
        return [value] * depth
    if len(value) < depth or (given and len(value) != depth):
        raise UserError(f"{name}: expected one value for each of {depth} blocks, came {value}")
    return list(value[:depth])


def structured(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The structure of a configuration of any size, see `complete`.

    From `full` come absent genes and what no gene decides.
    """
    return _structured(full, complete(full, gene_values(full), configuration))


def _structured(full: Mapping[str, Any], genes: Mapping[str, Any]) -> dict[str, Any]:
    width = int(genes["width"])
    if width < 1:
        raise UserError(f"width: expected at least 1 channel, came {width}")
    return {
        **full,
        "width": width,
        "depth": [int(genes[gene("depth", stage)]) for stage in stages(full)],
        "kernel": [_odd(gene("kernel", s), genes[gene("kernel", s)]) for s in stages(full)],
        "hidden": [
            [
                int(hidden_width(ratio, block_base(full, stage, place, width)))
                for place, ratio in enumerate(genes[gene("expand", stage)])
            ]
            for stage in stages(full)
        ],
    }


def _odd(name: str, values: Sequence[Any]) -> list[int]:
    """Kernels with a centre: with these, positions do not depend on the kernel."""
    if any(int(value) % 2 == 0 or value < 1 for value in values):
        raise UserError(f"{name}: expected odd kernels, came {list(values)}")
    return [int(value) for value in values]


def subnet(full: Mapping[str, Any], genes: Mapping[str, Any]) -> dict[str, Any]:
    """The structure that complete genes have inside the full structure's weights.

    Raises `UserError` for one that needs more weights than `full` has.
    """
    for stage in stages(full):
        name = gene("depth", stage)
        check_slice("cnn", **{name: (int(genes[name]), full["depth"][stage])})
    found = _structured(full, genes)
    check_slice("cnn", width=(found["width"], full["width"]))
    for stage in stages(full):
        for place in range(found["depth"][stage]):
            block = f"block {place + 1} of stage {stage + 1}"
            limits = {
                f"kernel of {block}": _pair("kernel", found, full, stage, place),
                f"hidden channels of {block}": _pair("hidden", found, full, stage, place),
            }
            check_slice("cnn", **limits)
    return found


def _pair(
    key: str, found: Mapping[str, Any], full: Mapping[str, Any], stage: int, place: int
) -> tuple[int, int]:
    return found[key][stage][place], full[key][stage][place]


def gene_columns(structures: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """Columns of plain structures of equally many stages.

    width and depths are (n,), block genes (n, deepest) with NaN where there is no block.
    """
    genes = [gene_values(structure) for structure in structures]
    columns = {}
    for name in gene_names(structures[0]) if structures else ():
        values = [g[name] for g in genes]
        if not isinstance(values[0], list):
            columns[name] = np.array(values, np.float64)
            continue
        columns[name] = np.full((len(values), max(map(len, values))), np.nan)
        for row, value in zip(columns[name], values, strict=True):
            row[: len(value)] = value
    return columns
