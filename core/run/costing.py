"""The cost stage: settle the limits before anything is trained.

Counted costs first (they need nothing), then the smallest candidate and the teacher measured, then
a profile of subnets for the latency and size models. An impossible limit ends the run at the
earliest of these points that can tell.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core import plain_json
from stillhouse.core.atomic import write_atomically
from stillhouse.core.cost.dynamic import is_dynamic
from stillhouse.core.cost.energy_table import RELATIVE, EnergyTable
from stillhouse.core.cost.feasibility import settle
from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.latency import LatencyModel
from stillhouse.core.cost.latency import from_json as latency_from_json
from stillhouse.core.cost.limits import Limit, resolve
from stillhouse.core.cost.model import RecipeCosts, counted
from stillhouse.core.cost.names import P95, is_timed
from stillhouse.core.cost.resident import NAME as RESIDENT
from stillhouse.core.cost.resident import ResidentModel
from stillhouse.core.errors import LimitError, RunDirectoryError, UserError
from stillhouse.core.evaluate import ModelFamily
from stillhouse.core.evaluate.evaluator import skeleton_of
from stillhouse.core.evaluate.skeletons import description
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.measure import DeviceFile, Measured, default_path
from stillhouse.core.run.cost_facts import timed_facts
from stillhouse.core.run.elsewhere import models_elsewhere, teacher_elsewhere
from stillhouse.core.run.ends import ends_of, stored_bytes
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.predictor import LATENCY, fitted_models, measure
from stillhouse.core.run.profiled import pool_of, run_identity, sheet_at, sheet_of
from stillhouse.core.run.resident import fitted_resident, is_wanted, resident_kb
from stillhouse.core.search.sampler import Codes

MEASURED = ("latency_ms", "size_bytes", "size_kb", "size_mb")
_LATER = (*MEASURED, RESIDENT)
"""Costs that counting alone does not tell."""
_NOTABLE: Final = 0.05
"""Share of a file's bytes."""


@dataclass(frozen=True, eq=False)
class Costing:
    """What the cost stage found; `pairs` compares predicted with measured latencies."""

    costs: RecipeCosts
    limits: tuple[Limit, ...]
    teacher: Mapping[str, float]
    feasible: Codes
    pairs: Sequence[Mapping[str, Any]]
    predictor: Mapping[str, float]
    models: Mapping[str, Any]
    notes: Sequence[str] = ()

    @property
    def finalist_limits(self) -> tuple[Limit, ...]:
        """Limits as finalists are held to them: what is timed needs no margin, predictions do."""
        pairs = zip(self.limits, self.costs.limits, strict=True)
        return tuple(plain if plain.cost in _LATER else judged for plain, judged in pairs)

    @property
    def latency(self) -> LatencyModel:
        """The latency model the run goes by."""
        return latency_from_json(self.models["latency"])

    def facts(self) -> dict[str, Any]:
        """What the search depends on, for the ledger's fingerprint."""
        return {
            "limits": [str(limit) for limit in self.limits],
            "models": self.models,
        }


def settle_costs(opened: Opened, device: DeviceFile) -> Costing:
    """Measure what is missing, fit the models, and find out whether the limits can be met.

    Raises:
        LimitError: they cannot; names the binding limit and the nearest reachable value.
    """
    kept = kept_facts(opened.directory.costs)
    if kept is not None:
        return _costing(opened, kept, np.random.default_rng(opened.context.seed("limits")))
    rng = np.random.default_rng(opened.context.seed("costs"))
    energy = energy_table(opened, device.energy)
    teacher = counted_structure(opened.teacher_family, opened.teacher_full, energy)
    pool = pool_of(opened, rng)
    ends = ends_of(opened, pool)
    _refuse_sizes(opened, float(stored_bytes(opened, ends).min()))
    _settle_counted(opened, teacher, energy, rng)
    facts = _facts(opened, device, pool, ends, teacher, rng)
    costing = _costing(opened, facts, np.random.default_rng(opened.context.seed("limits")))
    write_atomically(opened.directory.costs, json.dumps(facts))
    return costing


def _facts(
    opened: Opened,
    device: DeviceFile,
    pool: Codes,
    ends: Codes,
    teacher: Mapping[str, float],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """What the teacher costs, and the models; measured here unless the device is another."""
    resident = fitted_resident(opened, device, pool) if is_wanted(opened) else None
    if device.foreign:
        models = models_elsewhere(opened, device, pool)
        costs = _of_teacher(teacher_elsewhere(opened, device, models, _teacher_shape(opened)))
        known = {**teacher, **costs}
        return {"teacher": known, "energy": device.energy, "resident": None, **models}
    if resident:
        teacher = {**teacher, RESIDENT: resident_kb(opened, [_teacher_shape(opened)])[0]}
        _settle_resident(opened, teacher, resident)
    known = {**teacher, **_measure_ends(opened, device, ends, teacher)}
    models = fitted_models(opened, device, pool, _limits(opened, known), rng)
    memory = resident.to_json() if resident else None
    return {"teacher": known, "energy": device.energy, "resident": memory, **models}


def _teacher_shape(opened: Opened) -> dict[str, Any]:
    family, structure = opened.teacher_family.name, opened.teacher_full
    return {"family": family, "structure": structure, "rebuilds": []}


def kept_facts(path: Path) -> dict[str, Any] | None:
    """The fitted models of an earlier try: a run has one set of costs from start to end.

    None where there is none; RunDirectoryError for a damaged file.
    """
    if not path.exists():
        return None
    try:
        return timed_facts(plain_json.read(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunDirectoryError(
            f"{path}: damaged ({error!r}); restore it, or search into another directory with --out"
        ) from None


def device_note(opened: Opened) -> tuple[str, ...]:
    """What to say when a configured device file is not there yet: it stands for this machine."""
    path = opened.plan.run.target.device
    if path is None or Path(path).exists():
        return ()
    return (f"{path} did not exist: it was written with measurements of this machine",)


def open_device(opened: Opened, environ: Mapping[str, str] = os.environ) -> DeviceFile:
    """The run's device file: its own copy, begun from the configured or the user's file.

    With a file of plugins it stays its own: networks whose code may be another tomorrow, and that
    other runs could not build, are no part of what is known of a device.
    """
    identity = run_identity(opened)
    configured = opened.plan.run.target.device
    shared = Path(configured) if configured else default_path(identity, environ)
    own = opened.directory.device
    if not own.exists() and shared.exists():
        DeviceFile.open(shared, identity)
        write_atomically(own, shared.read_bytes())
    device = DeviceFile.open(own, identity)
    if not device.foreign and opened.catalogue.file is None:
        device.also_keep_in(shared, default_path(identity, environ))
    return device


def _limits(opened: Opened, teacher: Mapping[str, float]) -> tuple[Limit, ...]:
    wanted = opened.plan.run.search.cost_limits
    return tuple(resolve(w.cost, w.relation, w.value, w.relative, teacher) for w in wanted)


def counted_structure(
    family: ModelFamily, structure: Structure, energy: EnergyTable = RELATIVE
) -> dict[str, float]:
    """Counted costs of one plain structure of a family."""
    columns = family.columns([structure])
    table = counted(family.sheet(structure, columns), energy)
    return {name: float(values[0]) for name, values in table.items()}


def _settle_counted(
    opened: Opened,
    teacher: Mapping[str, float],
    energy: EnergyTable,
    rng: np.random.Generator,
) -> None:
    """Refuse what counting alone can refuse."""
    limits = [
        resolve(w.cost, w.relation, w.value, w.relative, teacher)
        for w in opened.plan.run.search.cost_limits
        if w.cost not in _LATER and not is_timed(w.cost)
    ]
    if limits:
        known = RecipeCosts(
            lambda codes: sheet_of(opened, codes),
            limits,
            energy=energy,
            sheet_at=lambda codes, length: sheet_at(opened, codes, length),
        )
        settle(opened.plan.space, known, limits, rng)


def _settle_resident(opened: Opened, teacher: Mapping[str, float], resident: ResidentModel) -> None:
    """Refuse impossible limits on resident memory before anything is timed."""
    limits = [
        resolve(w.cost, w.relation, w.value, w.relative, teacher)
        for w in opened.plan.run.search.cost_limits
        if w.cost == RESIDENT
    ]
    known = RecipeCosts(lambda codes: sheet_of(opened, codes), limits, resident=resident)
    rng = np.random.default_rng(opened.context.seed("limits"))
    settle(opened.plan.space, known, known.limits, rng)


def _refuse_sizes(opened: Opened, weight_bytes: float) -> None:
    units = {"size_bytes": 1.0, "size_kb": 1e3, "size_mb": 1e6}
    for w in opened.plan.run.search.cost_limits:
        lowest = weight_bytes / units.get(w.cost, 1.0)
        if w.cost in units and w.relation == "<=" and not w.relative and lowest > w.value:
            raise LimitError(
                f"limit {w.cost} {w.text} cannot be met: the weights of the smallest candidate "
                f"alone take {lowest:.4g}, and its file is somewhat larger; the nearest reachable "
                f"value lies above {lowest:.4g}. Raise the limit, or choose a space with smaller "
                "subnets"
            )


def _measure_ends(
    opened: Opened, device: DeviceFile, ends: Codes, teacher: Mapping[str, float]
) -> dict[str, float]:
    """Measure the teacher and the least candidates; refuse what even these break."""
    space = opened.plan.space
    least = [skeleton_of(opened.steps, space.decode(row), opened.context) for row in ends]
    shapes = [_teacher_shape(opened), *map(description, least)]
    of_teacher, *of_least = measure(opened, device, shapes)
    costs = _of_teacher(of_teacher)
    each = [measured_costs(one) for one in of_least]
    found = {name: min(one[name] for one in each) for name in each[0]}
    if is_dynamic(sheet_of(opened, ends)):
        del found[LATENCY]  # measured is the longest way, limited the mean over samples
    for limit in _limits(opened, {**teacher, **costs}):
        if limit.cost in found and limit.relation == "<=" and found[limit.cost] > limit.bound:
            raise LimitError(
                f"limit {limit} cannot be met: the smallest candidate of the space, exported and "
                f"measured, has {limit.cost} {found[limit.cost]:.4g}; that is the nearest "
                f"reachable value. Raise the limit to at least {found[limit.cost] * 1.05:.3g}, "
                "or choose a space with smaller subnets"
            )
    return costs


def _of_teacher(found: Measured) -> dict[str, float]:
    """The teacher's measured costs; it runs alike for all samples, in one place."""
    alike = dict.fromkeys((P95["latency_ms"], "device_ms"), found.latency.latency_ms)
    return {**measured_costs(found), **alike}


def measured_costs(found: Measured) -> dict[str, float]:
    """What a measurement tells, by the names of limits."""
    size = float(found.size_bytes)
    return {
        "latency_ms": found.latency.latency_ms,
        "size_bytes": size,
        "size_kb": size / 1e3,
        "size_mb": size / 1e6,
    }


def _costing(opened: Opened, facts: Mapping[str, Any], rng: np.random.Generator) -> Costing:
    """The models at work: limits made absolute, and settled together."""
    limits = _limits(opened, facts["teacher"])
    latency = latency_from_json(facts["latency"])
    size = SizeModel.from_json(facts["size"])
    costs = RecipeCosts(
        lambda codes: sheet_of(opened, codes),
        limits,
        latency,
        size,
        _timed(opened, facts["measured"]),
        energy=energy_table(opened, facts["energy"]),
        resident=ResidentModel.from_json(facts["resident"]) if facts["resident"] else None,
        sheet_at=lambda codes, length: sheet_at(opened, codes, length),
        names=(*opened.plan.run.search.maximize, *opened.plan.run.search.minimize),
    )
    feasible = settle(opened.plan.space, costs, costs.limits, rng).feasible
    predictor = {**asdict(latency.report), "margin": latency.margin}
    notes = (f"latency model: {facts['why']}", *size_notes(costs, size, feasible))
    return Costing(
        costs, limits, facts["teacher"], feasible, facts["pairs"], predictor, facts, notes
    )


def size_notes(costs: RecipeCosts, size: SizeModel, feasible: Codes) -> Iterator[str]:
    """Says so where files are not as large as was counted: predictions of size err as much."""
    largest, typical = size.residual_bytes, float(np.median(costs.table(feasible)["size_bytes"]))
    if largest > _NOTABLE * typical:
        yield (
            f"size model: errs by up to {largest / 1e3:.3g} kB on the networks profiled, of files "
            f"of about {typical / 1e3:.3g} kB; some method's sheet does not count what is written"
        )


def _timed(opened: Opened, measured: Mapping[str, Any]) -> tuple[Codes, NDArray[np.float64]]:
    """Candidates (n, width) and their latencies (n,); n may be 0."""
    codes = np.array(measured["codes"], np.float64)
    codes = codes.reshape(len(measured["codes"]), opened.plan.space.width)
    return codes, np.array(measured["latency_ms"], np.float64)


def energy_table(opened: Opened, raw: Mapping[str, Any] | None) -> EnergyTable:
    """The device file's energy table, or relative units without one."""
    if raw is None:
        return RELATIVE
    try:
        return EnergyTable.from_json(raw)
    except UserError as error:
        raise UserError(f"{opened.directory.device}: energy: {error}") from None
