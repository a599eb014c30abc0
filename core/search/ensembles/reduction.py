"""Predictions reduced to an objective, once for each temperature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError, nearest
from stillhouse.core.search.ensembles.accuracy import ErrorRate, rivals
from stillhouse.core.search.ensembles.checking import Array, Numbers, blocks
from stillhouse.core.search.ensembles.logits import LogitMixture
from stillhouse.core.search.ensembles.mixing import FLOOR, MIXINGS, logarithms, tempered
from stillhouse.core.search.ensembles.objective import Brier, LogLoss, Objective, Proxy

OBJECTIVES: Final = ("log_loss", "brier", "accuracy")
SEARCH: Final = "search"
TEMPERATURES: Final = tuple(2.0 ** (i / 8) for i in range(-16, 17))
"""Searched temperatures: from 1/4 to 4, 1 in the middle, 9 % apart."""

Wanted = str | Callable[[Array], float]
"""One of `OBJECTIVES`, or any function of weights (models,), to be minimised."""


@dataclass(frozen=True)
class Family:
    """One objective at each of some temperatures, the usual one in the middle."""

    temperatures: tuple[float, ...]
    objectives: tuple[Objective, ...]

    @property
    def middle(self) -> Objective:
        return self.objectives[len(self.objectives) // 2]

    @property
    def searched(self) -> bool:
        """Whether there is a temperature to choose."""
        return len(self.temperatures) > 1

    def restricted(self, members: Sequence[int]) -> Family:
        own = tuple(objective.restricted(members) for objective in self.objectives)
        return Family(self.temperatures, own)


def reduced(
    probabilities: NDArray[Any],
    targets: Numbers,
    objective: Wanted = "log_loss",
    mixing: str = "probabilities",
    temperature: float | str = 1.0,
) -> Family:
    """Checked predictions (models, samples, classes) as objectives of the weights.

    Log-loss of mixed probabilities keeps the targets' probabilities, the Brier score a Gram matrix,
    accuracy the classes that rival the target; mixed logits keep one copy of all classes. So the
    first two are searched in seconds, whatever the classes, and the others in minutes at 8 models,
    10,000 samples and 100 classes. Accuracy keeps its rivals for each temperature, and is searched
    over every fourth. A function of weights, and the accuracy of mixed logits, know no temperature:
    theirs is 1.
    Raises `UserError` for an unknown objective or mixing, and for a temperature below 1/4.
    """
    _known("mixing", mixing, MIXINGS)
    if not isinstance(objective, str):
        return Family((1.0,), (Proxy(objective, len(probabilities)),))
    _known("objective", objective, OBJECTIVES)
    at = _temperatures(temperature)
    at = at[::4] if objective == "accuracy" else at
    if mixing == "probabilities":
        return Family(at, tuple(_PROBABILITIES[objective](probabilities, targets, t) for t in at))
    if objective == "accuracy":
        return Family((1.0,), (_error_rate(probabilities, targets, None),))
    rises = _rises(probabilities, targets)
    return Family(at, tuple(LogitMixture(rises, t, objective) for t in at))


def _log_loss(probabilities: NDArray[Any], targets: Numbers, temperature: float) -> LogLoss:
    models, samples, classes = probabilities.shape
    likelihoods = np.empty((models, samples))
    for block in blocks(samples, classes) if temperature != 1 else [slice(0, samples)]:
        own = targets[block]
        for model in range(models):
            part = probabilities[model, block]
            part = part if temperature == 1 else tempered(part, temperature)
            likelihoods[model, block] = part[np.arange(len(own)), own]
    return LogLoss(np.maximum(likelihoods, FLOOR))


def _brier(probabilities: NDArray[Any], targets: Numbers, temperature: float) -> Brier:
    models, samples, classes = probabilities.shape
    gram, linear = np.zeros((models, models)), np.zeros(models)
    for block in blocks(samples, models * classes):
        part, own = tempered(probabilities[:, block], temperature), targets[block]
        flat = part.reshape(models, -1)
        gram += flat @ flat.T
        linear += part[:, np.arange(len(own)), own].sum(-1)
    return Brier(gram / samples, linear / samples)


def _error_rate(
    probabilities: NDArray[Any], targets: Numbers, temperature: float | None
) -> ErrorRate:
    """Of mixed probabilities; of mixed logits without a temperature."""
    models, samples, classes = probabilities.shape
    margins, later, counts, wrong = [], [], [], 0
    for block in blocks(samples, models * classes):
        part = probabilities[:, block]
        scores = logarithms(part) if temperature is None else tempered(part, temperature)
        own, after, number, hopeless = rivals(scores, targets[block])
        margins.append(own)
        later.append(after)
        counts.append(number[number > 0])
        wrong += hopeless
    ends = np.cumsum(np.concatenate(counts))
    firsts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends
    return ErrorRate(np.concatenate(margins, axis=1), np.concatenate(later), firsts, wrong, samples)


_PROBABILITIES: Final[dict[str, Callable[[NDArray[Any], Numbers, float], Objective]]] = {
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _error_rate,
}


def _rises(probabilities: NDArray[Any], targets: Numbers) -> NDArray[Any]:
    rises = np.empty(probabilities.shape, probabilities.dtype)
    for block in blocks(len(targets), probabilities.shape[2]):
        for model, part in enumerate(probabilities[:, block]):
            scores = logarithms(part)
            rises[model, block] = scores - np.take_along_axis(scores, targets[block, None], 1)
    return rises


def _temperatures(temperature: float | str) -> tuple[float, ...]:
    if temperature == SEARCH:
        return TEMPERATURES
    if isinstance(temperature, str) or not TEMPERATURES[0] <= temperature < np.inf:
        raise UserError(
            f"ensemble: expected a temperature of {TEMPERATURES[0]} or more, or '{SEARCH}', got "
            f"{temperature!r}"
        )
    return (float(temperature),)


def _known(what: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise UserError(
            f"ensemble: expected {what} of {', '.join(names)}, got '{name}'{nearest(name, names)}"
        )
