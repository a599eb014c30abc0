from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stillhouse.plugins.factorize.info import FactorizeParams


@pytest.fixture
def columns(columns_of: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Parameters as columns over `count` candidates."""
    over: Callable[..., dict[str, Any]] = columns_of(FactorizeParams)
    return over
