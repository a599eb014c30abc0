"""The search space of a plain convolutional network's own subnets, without torch."""

from __future__ import annotations

from stillhouse.core.space.automatic import Dimensions, steps
from stillhouse.plugins.models.info import PlainCnnParams
from stillhouse.plugins.models.plain_cnn.structure import LADDER


def space(params: PlainCnnParams) -> Dimensions:
    """From half to the whole of the full network's width."""
    width = params.width or LADDER[params.size].width
    return {"width": {"choices": steps(width, width / 2, 4)}}
