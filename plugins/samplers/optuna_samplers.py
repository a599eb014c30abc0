"""Optuna's samplers, each built as it has to be for our spaces; see `optuna_driver`."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from stillhouse.core.errors import UserError
from stillhouse.core.search import Problem
from stillhouse.core.search.optuna_study import quiet
from stillhouse.plugins.samplers.flat import FlatWording
from stillhouse.plugins.samplers.info import (
    CmaesParams,
    GpParams,
    Nsga2Params,
    OptunaParams,
    QmcParams,
    TpeParams,
)
from stillhouse.plugins.samplers.optuna_driver import OptunaSampler
from stillhouse.plugins.samplers.suggestion import ConditionalWording


def tpe(params: TpeParams, problem: Problem) -> OptunaSampler:
    """TPE; multivariate, its joint model follows the conditions of the space."""
    from optuna.samplers import TPESampler

    with quiet():
        sampler = TPESampler(
            seed=_seed(problem),
            multivariate=params.multivariate,
            group=params.multivariate,
            n_startup_trials=params.startup,
        )
    return OptunaSampler(problem, sampler, ConditionalWording(problem.space), params.tries)


def nsga2(params: Nsga2Params, problem: Problem) -> OptunaSampler:
    """NSGA-II as Optuna has it."""
    from optuna.samplers import NSGAIISampler

    sampler = NSGAIISampler(seed=_seed(problem), population_size=params.population)
    wording = ConditionalWording(problem.space)
    return OptunaSampler(problem, sampler, wording, params.tries, generations=True)


def gp(params: GpParams, problem: Problem) -> OptunaSampler:
    """A Gaussian process over every gene, active or not: Optuna's knows no conditions."""
    from optuna.samplers import GPSampler

    sampler = GPSampler(seed=_seed(problem), n_startup_trials=params.startup)
    wording = FlatWording(problem.space, numeric=False)
    return OptunaSampler(problem, sampler, wording, params.tries)


def cmaes(params: CmaesParams, problem: Problem) -> OptunaSampler:
    """CMA-ES over every gene as a number; candidates that break a limit are not learned from.

    Raises UserError for several objectives, and without the package cmaes.
    """
    from optuna.samplers import CmaEsSampler

    if len(problem.objectives) > 1:
        names = ", ".join(objective.name for objective in problem.objectives)
        raise UserError(
            f"sampler 'optuna-cmaes' optimises one objective, got {len(problem.objectives)} "
            f"({names}); use optuna-nsga2, or another sampler that can (stillhouse plugins)"
        )
    if find_spec("cmaes") is None:
        raise UserError(
            "sampler 'optuna-cmaes' needs the package cmaes, which is not installed: "
            'pip install "stillhouse[optuna]"'
        )
    sampler = CmaEsSampler(seed=_seed(problem), popsize=params.population or None)
    wording = FlatWording(problem.space, numeric=True)
    return OptunaSampler(
        problem, sampler, wording, params.tries, generations=True, constrained=False
    )


def qmc(params: QmcParams, problem: Problem) -> OptunaSampler:
    """A scrambled low-discrepancy sequence over every gene, active or not."""
    from optuna.samplers import QMCSampler

    with quiet():
        sampler = QMCSampler(seed=_seed(problem), scramble=True, qmc_type=params.sequence)
    wording = FlatWording(problem.space, numeric=False)
    return OptunaSampler(problem, sampler, wording, params.tries)


def uniform(params: OptunaParams, problem: Problem) -> OptunaSampler:
    """Optuna's random sampler: uniform gene by gene, so not over configurations."""
    from optuna.samplers import RandomSampler

    sampler = RandomSampler(seed=_seed(problem))
    return OptunaSampler(problem, sampler, ConditionalWording(problem.space), params.tries)


def _seed(problem: Problem) -> int:
    return int(np.random.SeedSequence([problem.seed, 4]).generate_state(1)[0])
