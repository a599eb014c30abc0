"""What the one gene means: `width`, channels of the first stage; all others are multiples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stillhouse.core.elastic import check_slice
from stillhouse.core.errors import UserError

GENE = "width"


def check_names(names: Iterable[str]) -> None:
    """Raise `UserError` for the first name that is not the gene."""
    for name in names:
        if name != GENE:
            raise UserError(f"plain-cnn has no gene '{name}'; its gene is {GENE}")


def structured(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The structure of a configuration of any width; of the full one's where it gives none.

    Raises `UserError` for an unknown gene and for less than 1 channel.
    """
    check_names(configuration)
    width = int(configuration.get(GENE, full[GENE]))
    if width < 1:
        raise UserError(f"{GENE}: expected at least 1 channel, came {width}")
    return {**full, GENE: width}


def subnet(full: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The structure of a configuration inside the full network's weights.

    Raises `UserError` for one that is wider.
    """
    found = structured(full, configuration)
    check_slice("plain-cnn", width=(found[GENE], full[GENE]))
    return found
