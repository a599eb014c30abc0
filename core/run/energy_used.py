"""Energy that one inference of an exported model really takes, where the machine counts it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stillhouse.core.measure.energy import POWERCAP, EnergyCounter, joules_of
from stillhouse.core.run.examples import batch_size
from stillhouse.core.run.opened import Opened

_SECONDS: Final = 2.0


def used_mj(
    opened: Opened, artefact: Path, latency_ms: float, root: Path = POWERCAP
) -> float | None:
    """Millijoules of one inference beyond what the machine uses idle, over about two seconds.

    The whole machine's counters (RAPL) are read: nothing else should be running. None without
    readable counters.
    """
    if EnergyCounter.open(root) is None:
        return None
    runs = max(1, round(1e3 * _SECONDS / max(latency_ms, 1e-3)))
    example = opened.task.example(batch_size(opened))
    inputs = example.repeat(runs, *(1 for _ in example.shape[1:]))
    joules = joules_of(lambda: opened.target.run(artefact, inputs), 1, root)
    return None if joules is None else 1e3 * joules / runs
