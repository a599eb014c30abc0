"""Subnets and single operators to fit latency models to and to judge them by, measured."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from stillhouse.core.cli.progress import bars
from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.spread import spread
from stillhouse.core.cost.terms import macs, operators
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModelFamily
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.measure import DeviceFile, Target, machine, measured
from stillhouse.core.measure.blocks import wanted_shapes
from stillhouse.core.measure.profile import profile, shapes_of_interest
from stillhouse.core.plugin import Catalogue
from stillhouse.core.space import Codes, Space, load_space

Array = NDArray[np.float64]

FEW: Final = 40
ADAPTING: Final = 10
_POOL: Final = 4_000


@dataclass(frozen=True, eq=False)
class Bench:
    """What is measured: subnets of a space, as they would come out of `full`, on a target."""

    space: Space
    family: ModelFamily
    full: Structure
    target: Target
    other: Target | None
    """The same runtime with twice the threads: another device, for the adaptation."""

    @staticmethod
    def of(given: argparse.Namespace) -> Bench:
        catalogue = Catalogue.discover()
        space, target = catalogue.space(given.space), catalogue.target(given.target)
        model = catalogue.model(space.family)
        family = cast("type[ModelFamily]", catalogue.resolve(model))()
        build = cast("Callable[[Any], Target]", catalogue.resolve(target))
        threads = 2 * given.threads
        return Bench(
            load_space(catalogue.space_text(space), space.name),
            family,
            family.structure(model.params(), tuple(given.input_shape), given.outputs),
            build(target.params(threads=given.threads)),
            build(target.params(threads=threads)) if threads <= machine()["cores"] else None,
        )

    def sheet(self, codes: Codes) -> OperatorSheet:
        return self.family.sheet(self.full, self.space.columns(codes))

    def drawn(self, given: argparse.Namespace, rng: np.random.Generator) -> dict[str, Codes]:
        """Candidates to fit to, chosen as a run chooses them, and others drawn evenly."""
        pool = self.space.unique(
            np.concatenate([self.space.corners(), self.space.sample(_POOL, rng)])
        )
        taken = {n: self._profile(pool, n, rng) for n in (given.fit, FEW, ADAPTING)}
        rest = np.setdiff1d(np.arange(len(pool)), np.concatenate(list(taken.values())))
        if len(rest) < given.held_out:
            raise UserError(
                f"expected a space of well over {given.fit + given.held_out} configurations, drew "
                f"{len(pool)} distinct ones; choose another with --space, or fewer subnets with "
                "--fit and --held-out"
            )
        held_out = rng.permutation(rest)[: given.held_out]
        parts = {"many": taken[given.fit], "few": taken[FEW], "ten": taken[ADAPTING]}
        return {name: pool[places] for name, places in (parts | {"held out": held_out}).items()}

    def _profile(self, pool: Codes, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Half spread over the whole cost range, half over its cheapest 30 %."""
        sheet = self.sheet(pool)
        costs = np.stack([macs(sheet), operators(sheet)], axis=1)
        near = np.flatnonzero(costs[:, 0] <= np.quantile(costs[:, 0], 0.3))
        whole = spread(costs, (count + 1) // 2, rng)
        chosen = np.union1d(whole, near[spread(costs[near], count // 2, rng)])
        others = np.setdiff1d(np.arange(len(pool)), chosen)
        return np.concatenate([chosen, rng.permutation(others)[: count - len(chosen)]])

    def milliseconds(
        self, target: Target, codes: Codes, device: DeviceFile, given: argparse.Namespace, seed: int
    ) -> Array:
        """Every candidate exported and timed, all of them together."""
        shapes = [self.family.subnet(self.full, self.space.decode(row)) for row in codes]
        example = torch.zeros(1, *self.full["input_shape"])
        with bars() as progress:
            found = measured(
                shapes,
                self.family.build,
                target,
                example,
                device,
                progress,
                given.repeats,
                family=self.family.name,
                seed=seed,
            )
        return np.array([one.latency.latency_ms for one in found])

    def blocks(
        self, shapes: Sequence[Shape], device: DeviceFile, given: argparse.Namespace
    ) -> dict[Shape, float]:
        """Every single operator measured: milliseconds by shape."""
        with bars() as progress:
            profile(self.target, device, shapes, progress, given.repeats)
        return {
            Shape.from_json(shape): latency.latency_ms
            for shape, latency in device.blocks().values()
        }


@dataclass(frozen=True, eq=False)
class Measurements:
    """One seed's: candidates and latencies by what they are for, and what each took to get."""

    codes: Mapping[str, Codes]
    milliseconds: Mapping[str, Array]
    general: Mapping[Shape, float]
    blocks: Mapping[Shape, float]
    seconds: Mapping[str, float]

    @staticmethod
    def of(bench: Bench, given: argparse.Namespace, seed: int) -> Measurements:
        codes = bench.drawn(given, np.random.default_rng(seed))
        every = np.concatenate(list(codes.values()))
        ends = np.cumsum([len(part) for part in codes.values()])[:-1]
        clock = _Clock()
        with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
            device = DeviceFile.open(Path(folder) / "device.json", bench.target.identity())
            ms = np.split(bench.milliseconds(bench.target, every, device, given, seed), ends)
            milliseconds = dict(zip(codes, ms, strict=True))
            clock.lap("subnet", len(every))
            general = bench.blocks(shapes_of_interest(), device, given)
            clock.lap("general")
            blocks = bench.blocks(wanted_shapes(bench.sheet(codes["many"])), device, given)
            clock.lap("table")
            if bench.other is not None:
                there = DeviceFile.open(Path(folder) / "other.json", bench.other.identity())
                found = bench.milliseconds(bench.other, codes["few"], there, given, seed)
                milliseconds["elsewhere"] = found
        return Measurements(codes, milliseconds, general, blocks, clock.seconds)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._before = time.perf_counter()

    def lap(self, name: str, parts: int = 1) -> None:
        now = time.perf_counter()
        self.seconds[name] = (now - self._before) / parts
        self._before = now
