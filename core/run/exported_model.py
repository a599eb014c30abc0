"""A finished run's exported model held against the run's limits once more."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch

from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.names import is_timed
from stillhouse.core.cost.resident import NAME as RESIDENT
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.measure import DeviceFile, Latency, Measured, structure_key
from stillhouse.core.measure.afresh import afresh
from stillhouse.core.run.certifying import broken
from stillhouse.core.run.costing import measured_costs
from stillhouse.core.run.loading import described
from stillhouse.core.run.measuring import undecided
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.predictor import LATENCY
from stillhouse.core.run.profiled import run_identity
from stillhouse.core.run.saving import sha256
from stillhouse.core.run.ways import Ways, over_samples
from stillhouse.core.typed import typed

Verdict = Literal["met", "broken", "cannot decide", "not measured"]

MODEL: Final = "model"
"""Beside a bundle's network: the folder of the run that it is from."""
_NOTABLE: Final = 0.05


@dataclass(frozen=True)
class Check:
    """One limit of one model, then and now; `low` to `high` is a latency's interval now."""

    cost: str
    relation: str
    bound: float
    then: float | None
    now: float | None
    low: float | None
    high: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Recertified:
    """One model measured again. `changed` names what is not as it was, in sentences."""

    model: str
    latency: Latency
    checks: Sequence[Check]
    changed: Sequence[str]
    date: str

    @property
    def holds(self) -> bool:
        """Whether every limit is met."""
        return all(check.verdict == "met" for check in self.checks)


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """One exported model of the run, with what was certified of it."""

    name: str
    artefact: Path
    shape: Mapping[str, Any]
    """What is measured, as bundles list networks."""
    then: Mapping[str, float]
    machine: Mapping[str, Any]
    sha256: str
    summary: Mapping[str, Any]

    @staticmethod
    def of(opened: Opened, place: Path, summary: Mapping[str, Any]) -> ExportedModel:
        record = described(place)
        try:
            certificate = {**summary["certificate"], **record["certificate"]}
            known = {key: certificate[key] for key in ("measured", "machine", "sha256")}
            certified = typed(_Certified, known)
        except (KeyError, TypeError) as error:
            raise RunDirectoryError(
                f"{place / 'model.json'}: not a certified model ({error!r}); search again"
            ) from None
        artefact = place / f"model{opened.target.suffix}"
        if not artefact.is_file():
            raise RunDirectoryError(f"{artefact}: expected the model here, found no file")
        name = str(place.relative_to(opened.directory.folder))
        shape = {**{key: record[key] for key in ("family", "structure", "rebuilds")}, MODEL: name}
        then, machine = certified.measured, certified.machine
        return ExportedModel(name, artefact, shape, then, machine, certified.sha256, summary)

    @property
    def key(self) -> str:
        return structure_key(self.shape["family"], self.shape)

    @property
    def limits(self) -> list[Limit]:
        lines = self.summary["limits"]
        return [Limit(line["cost"], line["relation"], line["bound"]) for line in lines]

    def timed(self, opened: Opened) -> tuple[Latency, Sequence[str]]:
        """The latency here and now, and what of the machine is not as it was."""
        anchors, differing = known_anchors(opened, self.machine)
        settings, limits = opened.plan.run.target, self.limits
        inputs = opened.task.data.validation.inputs
        with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
            ways = Ways.of(opened.target, self.artefact, inputs, Path(folder))
            found = afresh(
                opened.target,
                ways.paths,
                anchors,
                settings.repeats,
                settings.processes,
                lambda one: undecided(limits, one),
            )
        latency = over_samples(found.latencies, ways.shares)
        slower = found.slowdown - 1
        if anchors and abs(slower) > _NOTABLE:
            plain_ms = latency.latency_ms * found.slowdown
            word = "slower" if slower > 0 else "faster"
            differing = [
                *differing,
                f"the whole machine is {abs(slower):.0%} {word} now: {plain_ms:.4g} ms plain, "
                "while limits are held against times in terms of the run's anchors",
            ]
        return latency, differing

    def judged(
        self, opened: Opened, latency: Latency, differing: Sequence[str], date: str
    ) -> Recertified:
        """Every limit held against what is known now."""
        known = {
            **_lasting(self.then, latency),
            **_measured(opened, self.artefact, latency, self.limits),
        }
        changed = [*differing, *self.altered()]
        checks = [_check(limit, self.then, known, latency) for limit in self.limits]
        return Recertified(self.name, latency, checks, changed, date)

    def altered(self) -> Iterator[str]:
        """What differs from the day it was certified, but for the machine: file and versions."""
        if sha256(self.artefact) != self.sha256:
            yield f"{self.artefact.name} is not the file that was certified: its hash differs"
        for package, then in self.summary["versions"].items():
            now = _installed(package)
            if now != then:
                yield f"{package}: {then} then, {now} now"


@dataclass(frozen=True)
class _Certified:
    """What is taken of a certificate."""

    measured: Mapping[str, float]
    machine: Mapping[str, Any]
    sha256: str


def _installed(package: str) -> str:
    try:
        return version(package)
    except (PackageNotFoundError, ValueError):
        return "none"


def _lasting(then: Mapping[str, float], latency: Latency) -> dict[str, float]:
    """What counting said, which no day changes; a time counts only if it is the latency itself."""
    own = then.get(LATENCY)
    return {
        name: latency.latency_ms if is_timed(name) else value
        for name, value in then.items()
        if not is_timed(name) or (value == own and "@" not in name)
    }


def moved(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two machines, in words."""
    names = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    return [f"{name}: {then.get(name)!r} then, {now.get(name)!r} now" for name in names]


def known_anchors(
    opened: Opened, machine: Mapping[str, Any] | None = None
) -> tuple[dict[Path, float], Sequence[str]]:
    """The run's anchors with their known ms, if this is its machine; else what differs.

    `machine` is the identity the run was certified on; without it, this one.
    """
    identity = json.loads(json.dumps(run_identity(opened)))
    differing = moved(identity if machine is None else machine, identity)
    if differing:
        return {}, differing
    device = DeviceFile.open(opened.directory.device, identity)
    opened.target.reference_ms = device.reference_ms
    return dict(_artefacts(opened, device)), ()


def _artefacts(opened: Opened, device: DeviceFile) -> Iterator[tuple[Path, float]]:
    for path in sorted(opened.directory.anchors.glob(f"anchor-*{opened.target.suffix}")):
        known = device.get(path.stem.removeprefix("anchor-"))
        if known is None:
            raise RunDirectoryError(
                f"{path}: {device.path} knows no such anchor; delete {path.parent} to have the "
                "model timed without anchors"
            )
        yield path, known.latency.latency_ms


def _measured(
    opened: Opened, artefact: Path, latency: Latency, limits: Sequence[Limit]
) -> dict[str, float]:
    costs = measured_costs(Measured(latency, artefact.stat().st_size))
    if any(limit.cost == RESIDENT for limit in limits):
        with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
            longest = Ways.of(opened.target, artefact, None, Path(folder)).paths
            costs[RESIDENT] = opened.target.peak_memory(longest)[0] / 1e3
    metrics = {metric.name for metric in opened.task.metrics}
    if not any(limit.cost in metrics for limit in limits):
        return costs
    split = opened.task.data.validation
    outputs = torch.from_numpy(opened.target.run(artefact, split.inputs))
    return {**costs, **opened.task.score(outputs, split.targets)}


def _check(
    limit: Limit, then: Mapping[str, float], known: Mapping[str, float], latency: Latency
) -> Check:
    timed = limit.cost == LATENCY
    return Check(
        limit.cost,
        limit.relation,
        limit.bound,
        then.get(limit.cost),
        known.get(limit.cost),
        latency.low_ms if timed else None,
        latency.high_ms if timed else None,
        _verdict(limit, known, latency),
    )


def _verdict(limit: Limit, known: Mapping[str, float], latency: Latency) -> Verdict:
    if limit.cost not in known:
        return "not measured"
    if broken([limit], known, {LATENCY: latency}) is None:
        return "met"
    within = limit.excess(np.array([known[limit.cost]]))[0] == 0
    return "cannot decide" if within or undecided([limit], latency) else "broken"
