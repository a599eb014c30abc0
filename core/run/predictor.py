"""The cost models a run goes by, fitted to a profile of its subnets measured on the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.dynamic import expected, longest
from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.latency import LEAST_MEASURED, Choice, FittedLatency, Predictor, chosen
from stillhouse.core.cost.limits import Limit
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.evaluate.skeletons import skeleton
from stillhouse.core.measure import DeviceFile, Measured, measured, structure_key
from stillhouse.core.measure.blocks import latency_models, wanted_shapes
from stillhouse.core.measure.profile import known_reference, profile, shapes_of_interest
from stillhouse.core.run.device_models import other_model
from stillhouse.core.run.examples import batch_size, other_examples
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.profiled import chosen_of, described, plain, run_profile, sheet_of
from stillhouse.core.search.sampler import Codes

Array = NDArray[np.float64]

LATENCY: Final = "latency_ms"
_NEAR: Final = 0.15
"""A candidate is near a limit when its predicted latency is within this share of it."""


@dataclass(frozen=True, eq=False)
class Profile:
    """Candidates (n, width) and what was measured of each, in order."""

    codes: Codes
    found: Sequence[Measured]

    @property
    def latency_ms(self) -> Array:
        """(n,)"""
        return np.array([one.latency.latency_ms for one in self.found])

    @property
    def size_bytes(self) -> Array:
        """(n,)"""
        return np.array([float(one.size_bytes) for one in self.found])

    def joined(self, other: Profile) -> Profile:
        codes = np.concatenate([self.codes, other.codes])
        return Profile(codes, [*self.found, *other.found])


def measure(
    opened: Opened, device: DeviceFile, shapes: Sequence[Mapping[str, Any]]
) -> list[Measured]:
    """Latency and size of described shapes, read from the device file where it knows them."""
    with known_reference(opened.target, device):
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
            others=other_examples(opened, shapes),
        )


def fitted_models(
    opened: Opened,
    device: DeviceFile,
    pool: Codes,
    limits: Sequence[Limit],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Measure a profile of subnets of `pool` and fit the models; everything as JSON-able facts.

    With limits on latency a third of the profile lies near them, as a first fit predicts: there
    the search presses, and there the prediction counts.
    """
    bounds = [limit.bound for limit in limits if limit.cost == LATENCY]
    count = max(opened.plan.run.target.profile, LEAST_MEASURED)
    spared = min(count // 3, count - LEAST_MEASURED) if bounds else 0
    seen = _taken(opened, device, chosen_of(opened, pool, count - spared))
    if spared:
        near = _near(opened, pool, seen, bounds)
        seen = seen.joined(_taken(opened, device, rng.permutation(near)[:spared]))
    sheet = longest(sheet_of(opened, seen.codes))
    choice = _choice(opened, device, sheet, seen.latency_ms)
    return facts_of(opened, choice, seen, SizeModel.fit(sheet, seen.size_bytes))


def facts_of(opened: Opened, choice: Choice, seen: Profile, size: SizeModel) -> dict[str, Any]:
    """The models, and what they were held against, as JSON-able facts."""
    predicted = choice.model.predict(longest(sheet_of(opened, seen.codes)))
    keys = opened.plan.space.keys(seen.codes)
    triples = zip(predicted, seen.latency_ms, keys, strict=True)
    return {
        "latency": choice.model.to_json(),
        "predictors": {name: asdict(report) for name, report in choice.reports.items()},
        "why": choice.why,
        "size": size.to_json(),
        "measured": {"codes": seen.codes.tolist(), LATENCY: seen.latency_ms.tolist()},
        "pairs": [
            {"predicted_ms": float(p), "measured_ms": float(m), "label": key, "held_out": False}
            for p, m, key in triples
        ],
    }


def wanted_predictor(opened: Opened) -> Predictor:
    """What the run file asks for."""
    return cast(Predictor, opened.plan.run.target.predictor)


def _choice(opened: Opened, device: DeviceFile, sheet: OperatorSheet, latency_ms: Array) -> Choice:
    """The latency model; where the run file asks for operators, these are measured first."""
    wanted = wanted_predictor(opened)
    if wanted in ("table", "roofline"):
        more = wanted_shapes(run_profile(opened).sheet) if wanted == "table" else ()
        repeats, progress = opened.plan.run.target.repeats, opened.context.progress
        profile(opened.target, device, shapes_of_interest(more), progress, repeats)
    return chosen(latency_models(device, sheet), sheet, latency_ms, wanted, other_model(device))


def _taken(opened: Opened, device: DeviceFile, codes: Codes) -> Profile:
    shapes = [described(opened, row) for row in codes]
    found = measure(opened, device, [plain(shape) for shape in shapes])
    family = opened.family.name
    device.put_structures(family, {structure_key(family, plain(one)): one for one in shapes})
    return Profile(codes, found)


def _near(opened: Opened, pool: Codes, seen: Profile, bounds: Sequence[float]) -> Codes:
    """Candidates near a bound that were not measured yet, (k, width)."""
    model = FittedLatency.fit(longest(sheet_of(opened, seen.codes)), seen.latency_ms)
    predicted = expected(sheet_of(opened, pool), model.predict)
    within = [np.abs(predicted / bound - 1) <= _NEAR for bound in bounds]
    marks = opened.plan.space.marks
    fresh = ~np.isin(marks(pool), marks(seen.codes))
    return np.asarray(pool[np.any(within, axis=0) & fresh])
