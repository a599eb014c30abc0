"""Models of quality over candidates: features, Gaussian processes, and what to evaluate next."""

from stillhouse.core.search.surrogate.acquisition import Regions as Regions
from stillhouse.core.search.surrogate.acquisition import expected_volume as expected_volume
from stillhouse.core.search.surrogate.acquisition import log_chance as log_chance
from stillhouse.core.search.surrogate.acquisition import log_improvement as log_improvement
from stillhouse.core.search.surrogate.features import Features as Features
from stillhouse.core.search.surrogate.model import Model as Model
from stillhouse.core.search.surrogate.model import one_blas_thread as one_blas_thread
from stillhouse.core.search.surrogate.warp import Warp as Warp
