"""A run for a device that is not this machine: its latencies come from the device file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.latency import LatencyModel, from_json
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModelFamily
from stillhouse.core.evaluate.evaluator import skeleton_of
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.measure import DeviceFile, Exported, Latency, Measured, structure_key
from stillhouse.core.measure.bench import export_untrained
from stillhouse.core.plain_json import read
from stillhouse.core.run.device_models import choice_from
from stillhouse.core.run.examples import example_of
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.predictor import Profile, facts_of, wanted_predictor
from stillhouse.core.run.profiled import chosen_of, measured_candidates, sheet_of
from stillhouse.core.run.summary import PREDICTED
from stillhouse.core.search.sampler import Codes

_EXPORTED: Final = 8


def models_elsewhere(opened: Opened, device: DeviceFile, pool: Codes) -> dict[str, Any]:
    """The cost models from the device file alone; file sizes from exports here.

    Raises `UserError` when the file knows too little of what the run is made of.
    """
    choice = choice_from(opened, device, wanted_predictor(opened))
    seen = Profile(*measured_candidates(opened, device))
    codes = chosen_of(opened, pool, _EXPORTED)
    shapes = [
        description(skeleton_of(opened.steps, opened.plan.space.decode(row), opened.context))
        for row in codes
    ]
    sizes = np.array([float(size) for size in exported_sizes(opened, shapes)])
    size = SizeModel.fit(sheet_of(opened, codes), sizes)
    facts = facts_of(opened, choice, seen, size)
    return {**facts, "why": f"{facts['why']} Latencies are those of {device.describe()}."}


def teacher_elsewhere(
    opened: Opened, device: DeviceFile, models: Mapping[str, Any], shape: Structure
) -> Measured:
    """What the teacher costs there: as the file has it, or else predicted; its file is exported."""
    known = device.get(structure_key(opened.family.name, shape))
    if known is not None:
        return known
    model = from_json(models["latency"])
    size = exported_sizes(opened, [shape])[0]
    ms = predicted_ms(opened.teacher_family, model, shape["structure"])
    return Measured(predicted(model, ms), size)


def kept_model(opened: Opened) -> LatencyModel:
    """The latency model that the run has settled on."""
    return from_json(read(opened.directory.costs)["latency"])


def predicted_ms(family: ModelFamily, model: LatencyModel, structure: Structure) -> float:
    """Of a plain network of a family. `UserError` where the model knows too little of its work."""
    columns = family.columns([structure])
    try:
        return float(model.predict(family.sheet(structure, columns))[0])
    except ValueError as error:
        raise UserError(
            f"the device file cannot tell the latency of a '{family.name}' network ({error}); "
            "measure the device's operators (stillhouse profile --bundle), or give absolute limits"
        ) from None


def predicted(model: LatencyModel, latency_ms: float) -> Latency:
    """A prediction as a latency: its interval is the model's margin."""
    low, high = latency_ms * (1 - model.margin), latency_ms * (1 + model.margin)
    return Latency(latency_ms, high, 0, "", latency_ms, low, high, PREDICTED)


def exported_sizes(opened: Opened, shapes: Sequence[Mapping[str, Any]]) -> list[int]:
    """Bytes of each described network's artefact, exported with random weights."""

    def build(described: Structure, generator: torch.Generator) -> nn.Module:
        return skeleton(described, generator, opened.catalogue)

    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        place = Path(folder) / f"network{opened.target.suffix}"
        artefacts: list[Exported] = [
            export_untrained(shape, build, opened.target, example_of(opened, shape), place)
            for shape in shapes
        ]
    return [artefact.size_bytes for artefact in artefacts]
