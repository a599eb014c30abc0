"""Peak resident memory in a run: measured where a limit or an objective asks for it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from stillhouse.core.cost.resident import NAME, ResidentModel
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.skeletons import skeleton
from stillhouse.core.measure import DeviceFile
from stillhouse.core.measure.bench import export_untrained
from stillhouse.core.run.examples import example_of
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.profiled import chosen_of, described, plain, sheet_of
from stillhouse.core.search.sampler import Codes

_PROFILE: Final = 8
"""Artefacts measured for the model; each is run in a process of its own."""


def is_wanted(opened: Opened) -> bool:
    """Whether a limit or an objective names the cost."""
    search = opened.plan.run.search
    named = (*search.maximize, *search.minimize, *(limit.cost for limit in search.limits))
    return NAME in named


def resident_kb(opened: Opened, shapes: Sequence[Mapping[str, Any]]) -> list[float]:
    """Peak resident memory of described networks' artefacts, exported with random weights.

    Raises `UserError` where the target cannot measure it.
    """
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        paths = [
            export_untrained(
                shape,
                lambda one, generator: skeleton(one, generator, opened.catalogue),
                opened.target,
                example_of(opened, shape),
                Path(folder) / f"{number}{opened.target.suffix}",
            ).path
            for number, shape in enumerate(shapes)
        ]
        return [peak / 1e3 for peak in opened.target.peak_memory(paths)]


def fitted_resident(opened: Opened, device: DeviceFile, pool: Codes) -> ResidentModel:
    """The model, fitted to a few of the pool's candidates.

    Raises `UserError` for a device that is another machine: its memory was not measured.
    """
    if device.foreign:
        raise UserError(
            f"{NAME} is measured on the device itself, and {device.describe()} is another machine; "
            "limit memory_kb, which is counted, or search on that device"
        )
    codes = chosen_of(opened, pool, _PROFILE)
    shapes = [plain(described(opened, row)) for row in codes]
    measured = 1e3 * np.array(resident_kb(opened, shapes))
    return ResidentModel.fit(sheet_of(opened, codes), measured)
