"""The two stages of supernet training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor, nn

from stillhouse.core.distill.regions import Region
from stillhouse.core.distill.settings import FitResult, TrainSettings
from stillhouse.core.distill.training import fit, updates_an_epoch
from stillhouse.core.evaluate import Context, ElasticModule, State
from stillhouse.plugins.supernet.earlier import Earlier
from stillhouse.plugins.supernet.samplers import path_sampler


@dataclass(frozen=True, eq=False)
class Stages:
    """What both stages work with; `context.full` is the full student's structure."""

    state: State
    params: Any
    settings: TrainSettings
    context: Context

    def full_student(self, module: nn.Module) -> FitResult:
        """Stage 1: train the full-size student alone, in place."""
        skipped = self.params.stage_two_from == "fresh"
        epochs = 0 if skipped else self.params.full_epochs
        return fit(
            module,
            structure=self.context.full,
            state=self.state,
            settings=replace(self.settings.alone(), epochs=epochs),
            context=self.context,
            label="supernet/full",
        )

    def sampled_subnets(
        self, elastic: ElasticModule, region: Region, first: FitResult
    ) -> FitResult:
        """Stage 2: train subnets drawn from a region, in place, against the state's teachers.

        The adapters of stage 1 are trained on, unless sorting has changed what they read.
        """
        settings = self.settings
        if self.params.stage_two_from == "fresh":
            settings = replace(settings, epochs=settings.epochs + self.params.full_epochs)
        updates = settings.epochs * updates_an_epoch(settings, len(self.state.data.train))
        return fit(
            elastic,
            structure=self.context.full,
            state=self.state,
            settings=settings,
            context=self.context,
            label=f"supernet/sampled {region.name}".rstrip(),
            paths=path_sampler(region, self.params, updates, self.context),
            adapters=None if self.params.sort else first.adapters,
        )


@dataclass(frozen=True, eq=False)
class Trained:
    """Weights of each sub-space's supernet, and the course of their training."""

    weights: tuple[Mapping[str, Tensor], ...]
    first: FitResult
    seconds: tuple[FitResult, ...]

    @property
    def updates(self) -> int:
        """Optimiser steps that a subnet's weights received, the same in every sub-space."""
        return self.first.updates + self.seconds[0].updates

    def history(self) -> dict[str, list[dict[str, Any]]]:
        names = ["sampled", *(f"sampled {k}" for k in range(2, len(self.seconds) + 1))]
        results = {"full": self.first, **dict(zip(names, self.seconds, strict=True))}
        return {name: [asdict(line) for line in found.history] for name, found in results.items()}


def train(
    stages: Stages,
    build: Callable[[], nn.Module],
    regions: list[Region],
    earlier: Earlier | None = None,
) -> Trained:
    """Both stages from the full network: the first once, the second for every region.

    With the weights of an `earlier` supernet, the second alone.

    Raises:
        UserError: those weights are of another space or another full student.
    """
    module = build()
    if earlier is None:
        first = stages.full_student(module)
        elastic = stages.context.family.elastic(module)
        if stages.params.sort:
            elastic.sort_by_importance()
    else:
        first = FitResult(updates=earlier.updates)
        elastic = stages.context.family.elastic(module)
        earlier.load_into(elastic)
    del module  # its weights were copied, and may be hundreds of megabytes
    weights, seconds = [], []
    for region in regions:
        own = elastic if region is regions[-1] else copy.deepcopy(elastic)
        seconds.append(stages.sampled_subnets(own, region, first))
        weights.append({name: t.detach().clone() for name, t in own.state_dict().items()})
    return Trained(tuple(weights), first, tuple(seconds))
