"""Values on the scale that a Gaussian process can model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Warp:
    """A monotone map, linear or logarithmic on either side of `centre`.

    Logarithmic on the bad side: a few broken candidates far off would otherwise decide the whole
    fit, while it is the good ones that must be told apart.
    """

    centre: float
    unit: float
    bent: tuple[bool, bool]
    """Whether values below and above the centre are compressed."""
    shift: float = 0.0
    scale: float = 1.0

    @staticmethod
    def straight(values: Array) -> Warp:
        """Values (n,) as they are, standardised."""
        return _standardised(Warp(0.0, 1.0, (False, False)), values)

    @staticmethod
    def of_values(values: Array) -> Warp:
        """For values (n,) to be minimised: the worse half is compressed."""
        centre = float(np.median(values))
        unit = centre - float(values.min()) or float(values.std()) or 1.0
        return _standardised(Warp(centre, unit, (False, True)), values)

    @staticmethod
    def of_excess(excess: Array) -> Warp:
        """For excesses (n,) over a limit, whose sign must stay visible."""
        unit = float(np.median(np.abs(excess))) or float(np.abs(excess).mean()) or 1.0
        return _standardised(Warp(0.0, unit, (True, True)), excess)

    def __call__(self, values: Array | float) -> Array:
        """Warped values, of mean 0 and deviation 1 over those it was made from."""
        relative = (np.asarray(values, dtype=np.float64) - self.centre) / self.unit
        bent = np.log1p(np.abs(relative))
        low = -bent if self.bent[0] else relative
        high = bent if self.bent[1] else relative
        return (np.where(relative > 0, high, low) - self.shift) / self.scale


def _standardised(raw: Warp, values: Array) -> Warp:
    mapped = raw(values)
    scale = float(mapped.std())
    return replace(raw, shift=float(mapped.mean()), scale=scale if scale > 1e-12 else 1.0)
