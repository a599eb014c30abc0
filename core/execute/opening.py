"""A worker opens its bench: threads first, then the opener that its work names."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

from stillhouse.core.execute.executor import ExecutionError
from stillhouse.core.execute.job import Bench

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Variables that numerical libraries read when they are imported, or first used."""


def opened(opener: str, spec: Mapping[str, Any]) -> Bench:
    """The bench that "module:function" opens for a spec.

    Raises ExecutionError where there is no such function, and what the function raises.
    """
    module, _, name = opener.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ExecutionError(
            f"expected every worker to find '{opener}', got: {error}; install the same packages "
            f"where the workers run"
        ) from error
    return cast("Callable[[Mapping[str, Any]], Bench]", function)(spec)


def set_threads(count: int) -> None:
    """CPU threads of this process, whether its numerical libraries are loaded already or not."""
    os.environ.update(dict.fromkeys(THREADS, str(count)))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(count)
