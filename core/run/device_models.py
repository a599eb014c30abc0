"""Latency models of a run's candidates from what a device file holds, and from nothing else."""

from __future__ import annotations

import numpy as np

from stillhouse.core.cost.dynamic import longest
from stillhouse.core.cost.latency import LEAST_MEASURED, Choice, LatencyModel, Predictor, chosen
from stillhouse.core.cost.latency import from_json as latency_from_json
from stillhouse.core.errors import UserError
from stillhouse.core.measure import DeviceFile
from stillhouse.core.measure.blocks import latency_models
from stillhouse.core.measure.profile import check_blocks
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.profiled import measured_candidates, run_profile, sheet_of


def choice_from(opened: Opened, device: DeviceFile, predictor: Predictor = "auto") -> Choice:
    """The model to go by for the run's candidates, chosen among all that the file gives.

    These are one fitted to the run's networks in it, the table and the roofline of its operators,
    and those of the device it was adapted from. Raises `UserError` when the file knows too little
    of what the run is made of, naming what is missing and the command that measures it.
    """
    codes, found = measured_candidates(opened, device)
    sheet, elsewhere = longest(sheet_of(opened, codes)), other_model(device)
    enough = len(codes) >= LEAST_MEASURED
    typical = sheet if enough else run_profile(opened).sheet
    models = latency_models(device, typical)
    if models and not enough:
        check_blocks(device, typical)
    if not (models or enough or elsewhere):
        raise UserError(_too_little(device, len(codes)))
    milliseconds = np.array([one.latency.latency_ms for one in found])
    return chosen(models, sheet, milliseconds, predictor, elsewhere)


def other_model(device: DeviceFile) -> LatencyModel | None:
    """The latency model of the device that this one's was adapted from, or None."""
    if device.adapted_from is None:
        return None
    try:
        return latency_from_json(device.adapted_from["model"])
    except (KeyError, TypeError, ValueError, AttributeError) as failed:
        raise UserError(
            f"{device.path}: damaged, adapted_from.model cannot be read ({failed!r}); write the "
            "file anew with: stillhouse profile --adapt OTHER --run RUN_FILE --out FILE"
        ) from failed


def _too_little(device: DeviceFile, networks: int) -> str:
    return (
        f"{device.path} ({device.describe()}) knows {networks} networks of this run and no "
        f"operators; expected at least {LEAST_MEASURED} networks. Measure them on that device: "
        "stillhouse profile --run RUN_FILE --out FILE there, or through a bundle: stillhouse "
        "profile --run RUN_FILE --bundle DIR"
    )
