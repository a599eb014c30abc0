"""Evaluations that take a time and no work, so that what remains is the executor's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from stillhouse.core.execute import Bench, Work

OPENER: Final = "scales.sleeper:opened"


def sleeping(seconds: float) -> Work:
    """Work of which every evaluation sleeps for so long."""
    return Work(OPENER, {"seconds": seconds})


def opened(spec: Mapping[str, Any]) -> Bench:
    """The bench of `sleeping`; answers a configuration of `scales.ground`, or with nothing."""
    from scales.ground import measured

    def slept(payload: Mapping[str, Any]) -> Mapping[str, Any]:
        if spec["seconds"]:
            time.sleep(spec["seconds"])
        return measured(payload) if "configuration" in payload else {}

    return slept
