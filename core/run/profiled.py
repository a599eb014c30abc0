"""Which networks of a run's space are measured for its latency model, and which have been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost import terms
from stillhouse.core.cost.latency import LEAST_MEASURED
from stillhouse.core.cost.latency.shapes import layouts
from stillhouse.core.cost.model import counted
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.spread import spread
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context
from stillhouse.core.evaluate.evaluator import recipe_sheet, skeleton_of
from stillhouse.core.evaluate.skeletons import description
from stillhouse.core.measure import DeviceFile, Measured, structure_key
from stillhouse.core.run.opened import Opened
from stillhouse.core.search.sampler import Codes

CONFIGURATION: Final = "configuration"
"""Beside a measured structure: the genes it was built from."""
_POOL: Final = 4_000
_NEAR: Final = 0.3


@dataclass(frozen=True, eq=False)
class RunProfile:
    """What of a run is measured on a device: the teacher, the smallest candidate, a spread.

    `structures` by structure key, as a device file keeps them; `sheet` has the candidates' rows.
    """

    family: str
    structures: Mapping[str, Mapping[str, Any]]
    sheet: OperatorSheet


def run_identity(opened: Opened) -> dict[str, Any]:
    """What latencies of the run's networks depend on."""
    return {
        **opened.target.identity(),
        "torch": version("torch"),
        "input_shape": list(opened.task.input_shape),
    }


def sheet_of(opened: Opened, codes: Codes) -> OperatorSheet:
    """The recipe's operator sheet for candidates of the plan's space."""
    return recipe_sheet(opened.steps, opened.plan.space, codes, opened.context)


def context_at(opened: Opened, length: int) -> Context:
    """The run's context for inputs of another length."""
    use = opened.plan.run.student
    params = opened.catalogue.model(use.name).params(**use.fixed)
    shape = (length, *opened.task.input_shape[1:])
    full = opened.family.structure(params, shape, opened.task.outputs)
    return replace(opened.context, full=full)


def sheet_at(opened: Opened, codes: Codes, length: int) -> OperatorSheet:
    """The recipe's operator sheet for inputs of another length."""
    return recipe_sheet(opened.steps, opened.plan.space, codes, context_at(opened, length))


def pool_of(opened: Opened, rng: np.random.Generator) -> Codes:
    """Candidates to choose from, those of the fewest MACs first."""
    space = opened.plan.space
    codes = space.unique(np.concatenate([space.corners(), space.sample(_POOL, rng)]))
    macs = counted(sheet_of(opened, codes))["macs"]
    return codes[np.argsort(macs, kind="stable")]


def chosen_of(opened: Opened, pool: Codes, count: int) -> Codes:
    """The profile: half spread over the whole cost range, half over its cheapest 30 %.

    Every layout of operators that the pool has is among them. The same for the same run file on
    every machine, so that what was measured on a device is found again. A space of fewer than
    `LEAST_MEASURED` candidates gives some of them twice.
    """
    rng = np.random.default_rng(opened.context.seed("profile"))
    count = max(count, LEAST_MEASURED)
    sheet = sheet_of(opened, pool)
    features = np.stack([counted(sheet)["macs"], terms.operators(sheet)], axis=1)
    whole = spread(features, (count + 1) // 2, rng)
    small = features[:, 0] <= np.quantile(features[:, 0], _NEAR)
    near = np.flatnonzero(small)[spread(features[small], count // 2, rng)]
    chosen = np.unique(np.concatenate([whole, near]))
    others = np.setdiff1d(np.arange(len(pool)), chosen)
    chosen = np.concatenate([chosen, rng.permutation(others)[: max(0, count - len(chosen))]])
    chosen = np.concatenate([chosen, _with_other_layouts(sheet, chosen, rng)])
    return pool[np.resize(chosen, max(len(chosen), LEAST_MEASURED))]


def _with_other_layouts(
    sheet: OperatorSheet, chosen: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """A candidate for each kind and bits of operators that none of the chosen runs."""
    having: dict[str, NDArray[np.bool_]] = {}
    for row in sheet.rows:
        for name, share in layouts(row):
            runs = np.broadcast_to(np.greater(row["active"] * share, 0), (sheet.candidates,))
            having[name] = having.get(name, runs) | runs
    more: list[int] = []
    for runs in having.values():
        if runs.any() and not runs[[*chosen, *more]].any():
            more.append(int(rng.choice(np.flatnonzero(runs))))
    return np.array(more, np.intp)


def run_profile(opened: Opened, count: int | None = None) -> RunProfile:
    """What is measured of a run; `count` candidates, by default as many as it says."""
    pool = pool_of(opened, np.random.default_rng(opened.context.seed("costs")))
    wanted = opened.plan.run.target.profile if count is None else count
    codes = np.concatenate([pool[:1], chosen_of(opened, pool, wanted)])
    full = dict(opened.teacher_full)
    teacher = {"family": opened.teacher_family.name, "structure": full, "rebuilds": []}
    every = [teacher, *(described(opened, row) for row in codes)]
    structures = {_key(opened, one): one for one in every}
    return RunProfile(opened.family.name, structures, sheet_of(opened, codes))


def measured_candidates(opened: Opened, device: DeviceFile) -> tuple[Codes, list[Measured]]:
    """Candidates of the run's space whose networks the device file knows, and what it says.

    Read from the file alone. Structures of another space or recipe are passed over.
    """
    rows: list[Codes] = []
    found: list[Measured] = []
    for structure, measured in device.structures(opened.family.name):
        row = _encoded(opened, structure)
        if row is not None:
            rows.append(row)
            found.append(measured)
    empty = opened.plan.space.corners()[:0]
    return (np.stack(rows) if rows else empty), found


def described(opened: Opened, row: Codes) -> dict[str, Any]:
    """The network of a candidate, and the genes it was built from."""
    configuration = opened.plan.space.decode(row)
    student = skeleton_of(opened.steps, configuration, opened.context)
    return {**description(student), CONFIGURATION: configuration}


def plain(structure: Mapping[str, Any]) -> dict[str, Any]:
    """A network's description without the genes."""
    return {key: value for key, value in structure.items() if key != CONFIGURATION}


def _key(opened: Opened, structure: Mapping[str, Any]) -> str:
    return structure_key(opened.family.name, plain(structure))


def _encoded(opened: Opened, structure: Mapping[str, Any]) -> Codes | None:
    """The candidate that a stored structure was built from, if it is one of this space."""
    try:
        row = opened.plan.space.encode(structure[CONFIGURATION])
        again = described(opened, row)
    except (KeyError, TypeError, ValueError, UserError):
        return None
    return row if _key(opened, again) == _key(opened, structure) else None
