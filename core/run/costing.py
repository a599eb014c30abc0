"""The cost stage: settle the limits before anything is trained.

Counted costs first (they need nothing), then the smallest candidate and the teacher measured, then
a profile of subnets for the latency and size models. An impossible limit ends the run at the
earliest of these points that can tell.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.core.atomic import write_atomically
from stillhouse.core.cost import terms
from stillhouse.core.cost.feasibility import settle
from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.latency import LEAST_MEASURED, FittedLatency
from stillhouse.core.cost.latency import from_json as latency_from_json
from stillhouse.core.cost.limits import Limit, resolve
from stillhouse.core.cost.model import RecipeCosts, counted
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.spread import spread
from stillhouse.core.errors import LimitError, RunDirectoryError
from stillhouse.core.evaluate.evaluator import recipe_sheet, skeleton_of
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.measure import DeviceFile, Measured, default_path, measured
from stillhouse.core.run.opened import Opened
from stillhouse.core.search.sampler import Codes

MEASURED = ("latency_ms", "size_bytes", "size_kb", "size_mb")
_POOL = 4_000


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
    kept = _kept(opened.directory.costs)
    if kept is not None:
        return _costing(opened, kept, np.random.default_rng(opened.context.seed("limits")))
    rng = np.random.default_rng(opened.context.seed("costs"))
    teacher = counted_structure(opened, opened.full)
    pool = _pool(opened, rng)
    _settle_counted(opened, pool, teacher, rng)
    teacher |= _measure_ends(opened, device, pool, teacher)
    facts = _profiled(opened, device, pool, teacher, rng)
    costing = _costing(opened, facts, np.random.default_rng(opened.context.seed("limits")))
    write_atomically(opened.directory.costs, json.dumps(facts))
    return costing


def _kept(path: Path) -> dict[str, Any] | None:
    """The fitted models of an earlier try: a run has one set of costs from start to end."""
    if not path.exists():
        return None
    try:
        facts: dict[str, Any] = json.loads(path.read_text("utf-8"))
        latency_from_json(facts["latency"]), SizeModel.from_json(facts["size"])
        _ = facts["teacher"], facts["pairs"], facts["measured"]["codes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunDirectoryError(
            f"{path}: damaged ({error!r}); restore it, or search into another directory with --out"
        ) from None
    return facts


def open_device(opened: Opened, environ: Mapping[str, str] = os.environ) -> DeviceFile:
    """The run's device file: its own copy, begun from the configured or the user's file."""
    identity = {
        **opened.target.identity(),
        "torch": version("torch"),
        "input_shape": list(opened.task.input_shape),
    }
    configured = opened.plan.run.target.device
    shared = Path(configured) if configured else default_path(identity, environ)
    own = opened.directory.device
    if not own.exists() and shared.exists():
        DeviceFile.open(shared, identity)
        shutil.copyfile(shared, own)
    device = DeviceFile.open(own, identity)
    device.also_keep_in(shared)
    return device


def sheet_of(opened: Opened, codes: Codes) -> OperatorSheet:
    """The recipe's operator sheet for candidates of the plan's space."""
    return recipe_sheet(opened.steps, opened.plan.space, codes, opened.context)


def measure(
    opened: Opened, device: DeviceFile, shapes: Sequence[Mapping[str, Any]]
) -> list[Measured]:
    """Latency and size of described shapes, read from the device file where it knows them."""
    return measured(
        shapes,
        lambda described, generator: skeleton(described, generator, opened.catalogue),
        opened.target,
        opened.task.example(batch_size(opened)),
        device,
        opened.context.progress,
        opened.plan.run.target.repeats,
        family=opened.family.name,
        seed=opened.context.root_seed,
    )


def batch_size(opened: Opened) -> int:
    """The batch that the target runs; 1 for a target without such a setting."""
    return int(opened.plan.run.target.runtime.fixed.get("batch", 1))


def _limits(opened: Opened, teacher: Mapping[str, float]) -> tuple[Limit, ...]:
    wanted = opened.plan.run.search.cost_limits
    return tuple(resolve(w.cost, w.relation, w.value, w.relative, teacher) for w in wanted)


def counted_structure(opened: Opened, structure: Structure) -> dict[str, float]:
    """Counted costs of one plain structure of the run's family."""
    columns = opened.family.columns([structure])
    table = counted(opened.family.sheet(structure, columns))
    return {name: float(values[0]) for name, values in table.items()}


def _settle_counted(
    opened: Opened, pool: Codes, teacher: Mapping[str, float], rng: np.random.Generator
) -> None:
    """Refuse what counting alone can refuse; no file is smaller than its weights."""
    _refuse_sizes(opened, float(counted(sheet_of(opened, pool[:1]))["size_bytes"][0]))
    limits = [
        resolve(w.cost, w.relation, w.value, w.relative, teacher)
        for w in opened.plan.run.search.cost_limits
        if w.cost not in MEASURED
    ]
    if limits:
        known = RecipeCosts(lambda codes: sheet_of(opened, codes), limits)
        settle(opened.plan.space, known, limits, rng)


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


def _pool(opened: Opened, rng: np.random.Generator) -> Codes:
    """Candidates to profile, cheapest first."""
    space = opened.plan.space
    codes = space.unique(np.concatenate([space.corners(), space.sample(_POOL, rng)]))
    macs = counted(sheet_of(opened, codes))["macs"]
    return codes[np.argsort(macs, kind="stable")]


def _measure_ends(
    opened: Opened, device: DeviceFile, pool: Codes, teacher: Mapping[str, float]
) -> dict[str, float]:
    """Measure the teacher and the smallest candidate; refuse what even the smallest breaks."""
    smallest = skeleton_of(opened.steps, opened.plan.space.decode(pool[0]), opened.context)
    teacher_shape = {"family": opened.family.name, "structure": opened.full, "rebuilds": []}
    of_teacher, of_smallest = measure(opened, device, [teacher_shape, description(smallest)])
    costs = measured_costs(of_teacher)
    found = measured_costs(of_smallest)
    for limit in _limits(opened, {**teacher, **costs}):
        if limit.cost in MEASURED and limit.relation == "<=" and found[limit.cost] > limit.bound:
            raise LimitError(
                f"limit {limit} cannot be met: the smallest candidate of the space, exported and "
                f"measured, has {limit.cost} {found[limit.cost]:.4g}; that is the nearest "
                f"reachable value. Raise the limit to at least {found[limit.cost] * 1.05:.3g}, "
                "or choose a space with smaller subnets"
            )
    return costs


def measured_costs(found: Measured) -> dict[str, float]:
    size = float(found.size_bytes)
    return {
        "latency_ms": found.latency.latency_ms,
        "size_bytes": size,
        "size_kb": size / 1e3,
        "size_mb": size / 1e6,
    }


def _profiled(
    opened: Opened,
    device: DeviceFile,
    pool: Codes,
    teacher: Mapping[str, float],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Measure a profile of subnets and fit the models; everything as JSON-able facts."""
    space = opened.plan.space
    chosen = _chosen(opened, pool, rng)
    decoded = [space.decode(row) for row in chosen]
    shapes = [description(skeleton_of(opened.steps, one, opened.context)) for one in decoded]
    found = measure(opened, device, shapes)
    sheet = sheet_of(opened, chosen)
    milliseconds = np.array([one.latency.latency_ms for one in found])
    latency = FittedLatency.fit(sheet, milliseconds)
    size = SizeModel.fit(sheet, np.array([float(one.size_bytes) for one in found]))
    pairs = [
        {"predicted_ms": float(p), "measured_ms": float(m), "label": key, "held_out": False}
        for p, m, key in zip(latency.predict(sheet), milliseconds, space.keys(chosen), strict=True)
    ]
    return {
        "teacher": dict(teacher),
        "latency": latency.to_json(),
        "size": size.to_json(),
        "measured": {"codes": chosen.tolist(), "latency_ms": milliseconds.tolist()},
        "pairs": pairs,
    }


def _costing(opened: Opened, facts: Mapping[str, Any], rng: np.random.Generator) -> Costing:
    """The models at work: limits made absolute, and settled together."""
    limits = _limits(opened, facts["teacher"])
    latency = latency_from_json(facts["latency"])
    measured = facts["measured"]
    costs = RecipeCosts(
        lambda codes: sheet_of(opened, codes),
        limits,
        latency,
        SizeModel.from_json(facts["size"]),
        (np.array(measured["codes"]), np.array(measured["latency_ms"])),
    )
    feasible = settle(opened.plan.space, costs, costs.limits, rng).feasible
    predictor = {**asdict(latency.report), "margin": latency.margin}
    return Costing(costs, limits, facts["teacher"], feasible, facts["pairs"], predictor, facts)


def _chosen(opened: Opened, pool: Codes, rng: np.random.Generator) -> Codes:
    """The profile: half spread over the whole cost range, half over its cheapest 30 %."""
    count = max(opened.plan.run.target.profile, LEAST_MEASURED)
    table = counted(sheet_of(opened, pool))
    features = np.stack([table["macs"], terms.operators(sheet_of(opened, pool))], axis=1)
    whole = spread(features, (count + 1) // 2, rng)
    small = features[:, 0] <= np.quantile(features[:, 0], 0.3)
    near = np.flatnonzero(small)[spread(features[small], count // 2, rng)]
    chosen = np.unique(np.concatenate([whole, near]))
    others = np.setdiff1d(np.arange(len(pool)), chosen)
    chosen = np.concatenate([chosen, rng.permutation(others)[: max(0, count - len(chosen))]])
    # A space of fewer candidates than a fit needs is measured whole, some counted twice.
    return pool[np.resize(chosen, max(len(chosen), LEAST_MEASURED))]
