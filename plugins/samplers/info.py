"""The built-in samplers, described without importing what they need."""

from __future__ import annotations

from collections.abc import Iterator

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
    oversample: int = param(
        50, low=1, high=1000, searchable=False, help="children bred for each one evaluated"
    )
    surrogate: bool = param(
        True, searchable=False, help="screen children with a Gaussian process over past results"
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


class Nsga2Params(OptunaParams):
    """Settings of Optuna's NSGA-II."""

    population: int = param(
        32, low=2, high=10_000, searchable=False, help="candidates in a generation"
    )


@hookimpl
def stillhouse_samplers() -> Iterator[SamplerInfo]:
    yield SamplerInfo(
        name="random",
        summary="Uniform over the configurations that meet the limits",
        build="stillhouse.plugins.samplers.random:Random",
    )
    yield SamplerInfo(
        name="evolution",
        summary="Evolution inside the limits, its children screened by a surrogate (default)",
        build="stillhouse.plugins.samplers.evolution:Evolution",
        params=EvolutionParams,
    )
    yield SamplerInfo(
        name="optuna-tpe",
        summary="Optuna's multivariate tree-structured Parzen estimator",
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
        name="optuna-random",
        summary="Optuna's random sampler, uniform gene by gene",
        build="stillhouse.plugins.samplers.optuna_samplers:uniform",
        params=OptunaParams,
    )
