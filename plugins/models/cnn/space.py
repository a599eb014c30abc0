"""The search space of a convolutional network's own subnets, without torch."""

from __future__ import annotations

import math

from stillhouse.core.space.automatic import Dimensions, kernels, steps
from stillhouse.plugins.models.info import CnnParams, ResnetParams


def space(params: CnnParams | ResnetParams) -> Dimensions:
    """From half to the whole of the full network's width, depth, kernel and expansion."""
    widest = params.expansion()
    depths = list(range(math.ceil(params.depth / 2), params.depth + 1))
    found: Dimensions = {"width": {"choices": steps(params.width, params.width / 2, 4)}}
    for stage in range(1, params.stages + 1):
        per = f"depth_{stage}"
        found[per] = {"choices": depths}
        found[f"kernel_{stage}"] = {"choices": kernels(params.kernel), "per": per}
        found[f"expand_{stage}"] = {"choices": [widest / 2, 0.75 * widest, widest], "per": per}
    return found
