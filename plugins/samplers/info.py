"""The built-in samplers, described without importing what they need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from stillhouse.core.plugin import Params, SamplerInfo, hookimpl, param


class EvolutionParams(Params):
    """Settings of the evolution sampler."""

    population: int = param(
        16, low=2, high=10_000, searchable=False, help="best candidates kept as parents"
    )
    initial: int = param(
        16, low=1, high=10_000, searchable=False, help="first candidates, spread over the costs"
    )
    mutation: float = param(
        0.15, low=0.0, high=1.0, searchable=False, help="chance that a gene of a child changes"
    )
    crossover: float = param(
        0.5, low=0.0, high=1.0, searchable=False, help="chance that a child has two parents"
    )


class SurrogateParams(Params):
    """Settings of the surrogate sampler."""

    initial: int = param(
        16, low=2, high=10_000, searchable=False, help="first candidates, spread over the costs"
    )


class ExactParams(Params):
    """Settings of the exact sampler."""

    points: int = param(
        64, low=2, high=10_000, searchable=False, help="points of the Pareto front solved for"
    )


class OptunaParams(Params):
    """Settings shared by Optuna's samplers."""

    tries: int = param(
        20, low=1, high=10_000, searchable=False, help="proposals for each candidate evaluated"
    )


class TpeParams(OptunaParams):
    """Settings of the tree-structured Parzen estimator."""

    startup: int = param(
        10, low=1, high=10_000, searchable=False, help="random candidates before the model"
    )
    multivariate: bool = param(
        True, searchable=False, help="model the genes together rather than one by one"
    )


class GpParams(Params):
    """Settings of Optuna's Gaussian process; each proposal costs tenths of a second."""

    startup: int = param(
        10, low=1, high=10_000, searchable=False, help="random candidates before the model"
    )
    tries: int = param(
        1, low=1, high=10_000, searchable=False, help="proposals for each candidate evaluated"
    )


class CmaesParams(OptunaParams):
    """Settings of Optuna's CMA-ES."""

    population: int = param(
        0, low=0, high=10_000, searchable=False, help="candidates in a generation; 0: by the width"
    )


class QmcParams(OptunaParams):
    """Settings of Optuna's quasi-Monte Carlo sampler."""

    sequence: Literal["sobol", "halton"] = param(
        "sobol",
        choices=("sobol", "halton"),
        searchable=False,
        help="the low-discrepancy sequence, scrambled by the seed",
    )


class Nsga2Params(OptunaParams):
    """Settings of Optuna's NSGA-II."""

    population: int = param(
        32, low=2, high=10_000, searchable=False, help="candidates in a generation"
    )


@hookimpl
def stillhouse_samplers() -> Iterator[SamplerInfo]:
    yield SamplerInfo(
        name="auto",
        summary="Chooses by the problem: exact, surrogate, evolution or random (default)",
        build="stillhouse.plugins.samplers.auto:Auto",
    )
    yield SamplerInfo(
        name="exact",
        summary="Proven optima, where objectives are known costs that are sums over genes",
        build="stillhouse.plugins.samplers.exact:Exact",
        params=ExactParams,
    )
    yield SamplerInfo(
        name="surrogate",
        summary="Gaussian processes over quality, within the limits",
        build="stillhouse.plugins.samplers.gaussian:Surrogate",
        params=SurrogateParams,
    )
    yield SamplerInfo(
        name="random",
        summary="Uniform over the configurations that meet the limits",
        build="stillhouse.plugins.samplers.random:Random",
    )
    yield SamplerInfo(
        name="evolution",
        summary="Evolution inside the limits, for many cheap evaluations",
        build="stillhouse.plugins.samplers.evolution:Evolution",
        params=EvolutionParams,
    )
    yield SamplerInfo(
        name="local",
        summary="Neighbours of the best candidates known, then random restarts",
        build="stillhouse.plugins.samplers.local:Local",
    )
    yield SamplerInfo(
        name="optuna-tpe",
        summary="Optuna's tree-structured Parzen estimator, multivariate by default",
        build="stillhouse.plugins.samplers.optuna_samplers:tpe",
        params=TpeParams,
    )
    yield SamplerInfo(
        name="optuna-nsga2",
        summary="Optuna's NSGA-II",
        build="stillhouse.plugins.samplers.optuna_samplers:nsga2",
        params=Nsga2Params,
    )
    yield SamplerInfo(
        name="optuna-gp",
        summary="Optuna's Gaussian process; conditions are hidden from it",
        build="stillhouse.plugins.samplers.optuna_samplers:gp",
        params=GpParams,
    )
    yield SamplerInfo(
        name="optuna-cmaes",
        summary="Optuna's CMA-ES, for one objective; choices are places on a line",
        build="stillhouse.plugins.samplers.optuna_samplers:cmaes",
        params=CmaesParams,
        objectives="one",
        extra="optuna",
    )
    yield SamplerInfo(
        name="optuna-qmc",
        summary="Optuna's scrambled Sobol or Halton sequence",
        build="stillhouse.plugins.samplers.optuna_samplers:qmc",
        params=QmcParams,
    )
    yield SamplerInfo(
        name="optuna-random",
        summary="Optuna's random sampler, uniform gene by gene",
        build="stillhouse.plugins.samplers.optuna_samplers:uniform",
        params=OptunaParams,
    )
