"""Weights that a family's parameters name, taken into a fresh network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.family import ModelFamily
from stillhouse.core.evaluate.state import Structure

if TYPE_CHECKING:
    from stillhouse.core.plugin import Params


def take_named(
    module: nn.Module,
    family: ModelFamily,
    params: Params,
    structure: Structure,
    who: str,
    freeze: bool = False,
) -> None:
    """Give the network the weights that the parameters name; its head may stay as it is.

    Nothing without named weights. Raises `UserError` for weights that do not fit, and where there
    are none to `freeze`; `who` is what has them, for messages.
    """
    named = family.pretrained(params, structure)
    if named is None:
        if freeze:
            raise UserError(
                f"{who}.freeze: expected parameters that name trained weights, got a fresh "
                f"'{family.name}'; name weights or take freeze out"
            )
        return
    head = family.head(structure)
    missing, unexpected = module.load_state_dict(dict(named), strict=False)
    lost = [name for name in missing if head is None or not name.startswith(f"{head}.")]
    if lost or unexpected:
        raise UserError(
            f"{who}: the named weights do not fit: {', '.join([*lost, *unexpected][:3])}"
        )
