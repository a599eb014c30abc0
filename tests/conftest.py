"""Settings every test runs under."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

# Tiny networks: a second thread only waits for the first, for seconds when the machine is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def measured_once() -> Callable[[], AbstractContextManager[None]]:
    """Fresh processes are not repeated because the machine is busy: it is, with other tests."""

    @contextmanager
    def once() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("stillhouse.core.measure.afresh._MOST_TIMES", 1)
            yield

    return once


@pytest.fixture
def gathered() -> Callable[..., Any]:
    """Layers of features (samples, width) given as arrays, in chunks of a size and an order."""
    import numpy as np
    import torch

    from stillhouse.core.similarity import Accumulator

    def gather(*features: Any, chunk: int = 7, order: Any = None, kept: int = 1000) -> Any:
        samples = len(features[0])
        names = [f"layer{place}" for place in range(len(features))]
        accumulator = Accumulator(names, samples, kept)
        indices = torch.from_numpy(np.arange(samples) if order is None else order)
        for part in torch.split(indices, chunk):
            given = [torch.from_numpy(one)[part] for one in features]
            accumulator.add(dict(zip(names, given, strict=True)), part)
        return accumulator.layers()

    return gather
