"""Artefacts that run differently from sample to sample: how often each way, and how long it takes.

A runtime is timed on inputs made up to a shape, and these would take any one way. So each way is
timed by itself, on whatever input, and counts with the share of the validation samples that take
it: their answers tell which one that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
from torch import Tensor

from stillhouse.core.measure import Latency, Target
from stillhouse.core.measure.latency import NOISY, QUIET, THROTTLED

_CONDITIONS: Final = (QUIET, NOISY, THROTTLED)


@final
@dataclass(frozen=True)
class Ways:
    """Files that take one way each, the shortest first, and the shares of samples, of sum 1."""

    paths: tuple[Path, ...]
    shares: tuple[float, ...]

    @staticmethod
    def of(
        target: Target, artefact: Path, inputs: Tensor | None, folder: Path | None = None
    ) -> Ways:
        """The ways of an artefact; itself alone where all samples run alike.

        They are written to the folder, by default the artefact's own. Without inputs (samples, ...)
        to run it on, all samples are taken to go the longest way.
        """
        paths = tuple(target.ways(artefact, folder or artefact.parent)) or (artefact,)
        if inputs is None or len(paths) == 1:
            return Ways(paths[-1:], (1.0,))
        return Ways(paths, tuple(_shares(target, artefact, paths, inputs)))

    @property
    def dynamic(self) -> bool:
        return len(self.paths) > 1


def over_samples(latencies: Sequence[Latency], shares: Sequence[float]) -> Latency:
    """The mean over samples; its median and 95th percentile are those of the way of that sample."""
    if len(latencies) == 1:
        return latencies[0]
    weights = np.array(shares)

    def mean(name: str) -> float:
        return float(weights @ [getattr(one, name) for one in latencies])

    return Latency(
        latency_ms=mean("latency_ms"),
        p95_ms=at_share(latencies, shares, 0.95).p95_ms,
        repeats=sum(one.repeats for one in latencies),
        date=latencies[-1].date,
        median_ms=at_share(latencies, shares, 0.5).median_ms,
        low_ms=mean("low_ms"),
        high_ms=mean("high_ms"),
        conditions=max((one.conditions for one in latencies), key=_CONDITIONS.index),
    )


def at_share(latencies: Sequence[Latency], shares: Sequence[float], q: float) -> Latency:
    """The shortest way that at least a share `q` of the samples does not go beyond."""
    reached = np.cumsum(shares) >= q - 1e-9
    return latencies[int(reached.argmax()) if reached.any() else -1]


def _shares(target: Target, artefact: Path, paths: Sequence[Path], inputs: Tensor) -> list[float]:
    """Of the samples, those that answer as each way does; the longest where several do alike."""
    answers = target.run(artefact, inputs)
    way = np.full(len(answers), len(paths) - 1)
    for place, path in enumerate(paths):
        way[(target.run(path, inputs) == answers).all(axis=1)] = place
    return [float(n) / len(way) for n in np.bincount(way, minlength=len(paths))]
