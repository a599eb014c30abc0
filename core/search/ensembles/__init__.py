"""Weights of ensembles, from cached predictions: no network is touched here."""

from stillhouse.core.search.ensembles.checking import checked as checked
from stillhouse.core.search.ensembles.em import Fit as Fit
from stillhouse.core.search.ensembles.em import em as em
from stillhouse.core.search.ensembles.mixing import MIXINGS as MIXINGS
from stillhouse.core.search.ensembles.mixing import mixed as mixed
from stillhouse.core.search.ensembles.pruning import Dropped as Dropped
from stillhouse.core.search.ensembles.pruning import Pruned as Pruned
from stillhouse.core.search.ensembles.pruning import prune as prune
from stillhouse.core.search.ensembles.reduction import OBJECTIVES as OBJECTIVES
from stillhouse.core.search.ensembles.reduction import TEMPERATURES as TEMPERATURES
from stillhouse.core.search.ensembles.solution import Solution as Solution
from stillhouse.core.search.ensembles.solving import SOLVERS as SOLVERS
from stillhouse.core.search.ensembles.solving import loss as loss
from stillhouse.core.search.ensembles.solving import solve as solve
from stillhouse.core.search.ensembles.stacking import Stack as Stack
from stillhouse.core.search.ensembles.stacking import stack as stack
