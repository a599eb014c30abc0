"""Predictions of models that know different things."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]
Problem = tuple[Array, NDArray[np.int64]]
Drawn = Callable[..., Problem]


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    """Probabilities (models, samples, classes) and targets, from a seed."""

    def draw(
        seed: int, models: int = 4, samples: int = 300, classes: int = 5, dtype: Any = np.float64
    ) -> Problem:
        rng = np.random.default_rng(seed)
        targets = rng.integers(0, classes, samples)
        known = rng.random((models, samples)) < rng.uniform(0.3, 0.9, (models, 1))
        logits = rng.normal(size=(models, samples, classes))
        logits += 3 * known[..., None] * np.eye(classes)[targets]
        raised = np.exp(logits)
        return (raised / raised.sum(-1, keepdims=True)).astype(dtype), targets

    return draw
