"""Samplers, feasible draws, Pareto fronts and the ask-tell study."""

from stillhouse.core.search.asking import AskTell as AskTell
from stillhouse.core.search.enumeration import enumerated as enumerated
from stillhouse.core.search.evolution import evolve as evolve
from stillhouse.core.search.feasible import FeasibleDraws as FeasibleDraws
from stillhouse.core.search.feasible import fingerprints as fingerprints
from stillhouse.core.search.feasible import meets_limits as meets_limits
from stillhouse.core.search.front import best_first as best_first
from stillhouse.core.search.front import crowding as crowding
from stillhouse.core.search.front import hypervolume as hypervolume
from stillhouse.core.search.front import on_front as on_front
from stillhouse.core.search.front import ranks as ranks
from stillhouse.core.search.halving import Halving as Halving
from stillhouse.core.search.halving import Promotion as Promotion
from stillhouse.core.search.known import KnownCosts as KnownCosts
from stillhouse.core.search.known import known_costs as known_costs
from stillhouse.core.search.opening import open_study as open_study
from stillhouse.core.search.optuna_study import export_study as export_study
from stillhouse.core.search.repair import repaired as repaired
from stillhouse.core.search.sampler import Codes as Codes
from stillhouse.core.search.sampler import Costs as Costs
from stillhouse.core.search.sampler import Objective as Objective
from stillhouse.core.search.sampler import Problem as Problem
from stillhouse.core.search.sampler import Sampler as Sampler
from stillhouse.core.search.study import Study as Study
from stillhouse.core.search.study import Trial as Trial
