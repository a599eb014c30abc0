"""The error rate of a mixture, on the samples and classes that weights can decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.ensembles.checking import Array, Numbers
from stillhouse.core.search.ensembles.objective import Objective, parts, weighted


@final
class ErrorRate(Objective):
    """1 - mean_n [argmax_c sum_k w_k s_knc = y_n]; among equal scores the first class wins.

    `margins` (models, rivals) are the target's scores less those of a rival class, `later`
    (rivals,) whether the rival comes after the target and so loses a tie, and `firsts` (open
    samples,) where each sample's rivals begin. Samples that no weights can turn are only counted:
    `wrong` of `samples`.
    """

    convex = False
    smooth = False

    def __init__(
        self,
        margins: Array,
        later: NDArray[np.bool_],
        firsts: Numbers,
        wrong: int,
        samples: int,
    ) -> None:
        self._margins, self._later, self._firsts = margins, later, firsts
        self._wrong, self._samples = wrong, samples

    @property
    def models(self) -> int:
        return len(self._margins)

    def values(self, weights: Array) -> Array:
        if not len(self._firsts):
            return np.full(len(weights), self._wrong / self._samples)
        found = []
        for part in parts(weights, self._margins.shape[1]):
            lead = weighted(part, self._margins)
            beaten = (lead > 0) | ((lead == 0) & self._later)
            right = np.logical_and.reduceat(beaten, self._firsts, axis=1)
            found.append((self._wrong + (~right).sum(1)) / self._samples)
        return np.concatenate(found)

    def gradient(self, weights: Array) -> Array:
        raise NotImplementedError("the error rate is piecewise constant")

    def restricted(self, members: Sequence[int]) -> ErrorRate:
        own = self._margins[list(members)]
        return ErrorRate(own, self._later, self._firsts, self._wrong, self._samples)


def rivals(scores: NDArray[Any], targets: Numbers) -> tuple[Array, NDArray[np.bool_], Numbers, int]:
    """Margins, whether rivals are later, rivals a sample, and the number of hopeless samples.

    Of scores (models, samples, classes). A rival is a class that some model holds as high as the
    target, or higher; a sample is hopeless if one class is above the target in all models, and is
    left out, as are samples without rivals.
    """
    own = np.take_along_axis(scores, targets[None, :, None], 2).astype(np.float64)
    margins = own - scores
    others = np.arange(scores.shape[2])
    rival = (margins <= 0).any(0) & (others != targets[:, None])
    later = others > targets[:, None]
    hopeless = (rival & ((margins < 0) | ((margins == 0) & ~later)).all(0)).any(1)
    rival[hopeless] = False
    return margins[:, rival], later[rival], rival.sum(1), int(hopeless.sum())
