"""The networks of a deployed ensemble, known before any of them is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from stillhouse.core.config.teacher import channels_of
from stillhouse.core.evaluate import Context
from stillhouse.core.run.loading import described
from stillhouse.plugins.ensemble.assistants import student_parameters
from stillhouse.plugins.ensemble.drawing import structures
from stillhouse.plugins.ensemble.network import names, network
from stillhouse.plugins.ensemble.runs import run_fits


@final
@dataclass(frozen=True)
class Part:
    """A network by its description, the channels that it sees, and the order of its answers."""

    described: Mapping[str, Any]
    channels: tuple[int, ...] = ()
    order: tuple[int, ...] = ()

    def record(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(record: Mapping[str, Any]) -> Part:
        return Part(record["described"], tuple(record["channels"]), tuple(record["order"]))


def listed(params: Any, context: Context) -> list[Part]:
    """Every assistant of the sections and of the runs, in the order of the members.

    Raises as `assistants` and `loaded_runs` do for what they can tell before training.
    """
    found = []
    for name, section in zip(names(params.assistants), params.assistants, strict=True):
        net = network(name, section, context)
        shapes = (
            structures(net, student_parameters(context)) if section["draw"] else [net.structure]
        )
        channels = channels_of(section)
        found += [Part(_plain(net.family.name, one), channels) for one in shapes]
    for folder in params.runs:
        channels, order = run_fits(Path(folder), params, context)
        record = described(folder)
        known = {key: record[key] for key in ("family", "structure", "rebuilds")}
        found.append(Part(known, channels, order))
    return found


def _plain(family: str, structure: Mapping[str, Any]) -> dict[str, Any]:
    return {"family": family, "structure": dict(structure), "rebuilds": []}
