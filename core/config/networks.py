"""Networks beside the teacher and the student, as a method lists them: sections like theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stillhouse.core.config.nodes import Spot
from stillhouse.core.config.teacher import NetworkTraining
from stillhouse.core.config.uses import read_flat
from stillhouse.core.config.values import Setting


def read_network(spot: Spot, setting: Setting) -> dict[str, Any]:
    """One network: `model`, its family's parameters and those of `NetworkTraining`, all filled in.

    Paths are absolute. Raises ConfigError as for the teacher; unknown keys are noted in the spot.
    """
    fixed = replace(setting, unsearchable="a network of a list is not searched")
    family, training = read_flat(spot, "model", "model", NetworkTraining, fixed)
    return {"model": family.name, **family.fixed, **training}
