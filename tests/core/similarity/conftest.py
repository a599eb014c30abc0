from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from stillhouse.core.similarity import Accumulator, Layers


@pytest.fixture
def gathered() -> Callable[..., Layers]:
    """Layers of features (samples, width) given as arrays, in chunks of a size and an order."""

    def gather(
        *features: np.ndarray, chunk: int = 7, order: np.ndarray | None = None, kept: int = 1000
    ) -> Layers:
        samples = len(features[0])
        names = [f"layer{place}" for place in range(len(features))]
        accumulator = Accumulator(names, samples, kept)
        indices = torch.from_numpy(np.arange(samples) if order is None else order)
        for part in torch.split(indices, chunk):
            given = [torch.from_numpy(one)[part] for one in features]
            accumulator.add(dict(zip(names, given, strict=True)), part)
        return accumulator.layers()

    return gather
