"""Population-based training whose outcome depends on the seed alone."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
from ray.tune.schedulers import PopulationBasedTraining

from stillhouse.core.config.records import SearchRange
from stillhouse.core.config.sweep import SweepSection
from stillhouse.core.sweep.space import space_of
from stillhouse.core.sweep.trainable import SCORE, TIME

_FACTORS: Final = (0.8, 1.2)
"""By which a number is multiplied (Jaderberg et al., 2017, section 4.1)."""
_EXPLORING: Final = 11
"""Second word of the seed that parameters are moved with."""


@final
class Population(PopulationBasedTraining):
    """Tune's, waiting for all trials at each rung.

    Tune draws whom to follow from Python's own generator, which others use too: it is seeded for
    each rung, just before that.
    """

    def __init__(self, section: SweepSection, share: float, resample: float) -> None:
        self._seed, self._rung = section.seed, 0
        self._exploring = Exploring(section.parameters, resample, section.seed)
        super().__init__(
            time_attr=TIME, metric=SCORE, mode="max", perturbation_interval=1, synch=True,
            quantile_fraction=share, log_config=False, custom_explore_fn=self._exploring,
        )  # fmt: skip

    def _quantiles(self) -> Any:
        self._rung += 1
        random.seed(f"{self._seed}/{self._rung}")
        self._exploring.begin(self._rung)
        return super()._quantiles()


@final
class Exploring:
    """Moves every parameter of a configuration that another trial takes over."""

    def __init__(self, parameters: Mapping[str, SearchRange], resample: float, seed: int) -> None:
        self._parameters, self._resample = parameters, resample
        self._space = space_of(parameters)
        self._seed, self._rng = seed, np.random.default_rng([seed, _EXPLORING])

    def begin(self, rung: int) -> None:
        """What is drawn from now on depends on the seed and the rung alone."""
        self._rng = np.random.default_rng([self._seed, _EXPLORING, rung])

    def __call__(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of a Tune configuration with a new `point`."""
        drawn = self._space.decode(self._space.sample(1, self._rng)[0])
        found = copy.deepcopy(dict(config))
        for path, allowed in self._parameters.items():
            value = found["point"][path]
            anew = self._rng.random() < self._resample
            found["point"][path] = drawn[path] if anew else self._moved(value, allowed)
        return found

    def _moved(self, value: Any, allowed: SearchRange) -> Any:
        up = bool(self._rng.integers(2))
        if allowed.choices:
            place = allowed.choices.index(value) + (1 if up else -1)
            return allowed.choices[min(max(place, 0), len(allowed.choices) - 1)]
        low, high = allowed.low or 0.0, allowed.high or 0.0
        moved = min(max(value * _FACTORS[up], low), high)
        if not (isinstance(allowed.low, int) and isinstance(allowed.high, int)):
            return float(moved)
        whole = round(moved)
        return whole if whole != value else int(min(max(value + (1 if up else -1), low), high))
