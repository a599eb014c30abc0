"""Settings every test runs under."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

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
