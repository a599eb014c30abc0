"""A configuration as Optuna's parameters, gene by gene, and back.

A gene with `per` becomes `name[0]`, `name[1]`, ...; taps and simplex weights become one number in
0 to 1 each (`name.0`, `name.1`, ...), since Optuna knows neither.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space import Choice, Dimension, Integer, Real, Simplex, Space, Taps

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

LEAST = 1e-6
"""The smallest number in 0 to 1 that a simplex weight is made of; its logarithm must exist."""


class Wording(ABC):
    """How Optuna is told about configurations."""

    @abstractmethod
    def suggested(self, trial: BaseTrial) -> NDArray[np.float64]:
        """The trial's configuration as a canonical row, (width,)."""

    @abstractmethod
    def parameters(self, row: NDArray[np.float64]) -> dict[str, Any]:
        """What `suggested` would have to draw to arrive at a canonical row."""


@final
class ConditionalWording(Wording):
    """Configurations gene by gene; what is inactive is not suggested."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def suggested(self, trial: BaseTrial) -> NDArray[np.float64]:
        return suggested(trial, self._space)

    def parameters(self, row: NDArray[np.float64]) -> dict[str, Any]:
        return parameters(self._space, row)


def suggested(trial: BaseTrial, space: Space) -> NDArray[np.float64]:
    """The trial's configuration as a canonical row, (width,); inactive genes are not suggested."""
    found: dict[str, Any] = {}
    for dimension in _parents_first(space):
        if dimension.per is None:
            if _holds(dimension, found):
                found[dimension.name] = _suggest(trial, dimension.name, dimension)
        elif dimension.per in found:
            found[dimension.name] = [
                _suggest(trial, f"{dimension.name}[{layer}]", dimension)
                if _holds(dimension, found, layer)
                else None
                for layer in range(found[dimension.per])
            ]
    return space.encode(found)


def parameters(space: Space, row: NDArray[np.float64]) -> dict[str, Any]:
    """What `suggested` would have to draw to arrive at a canonical row."""
    configuration = space.decode(row)
    out: dict[str, Any] = {}
    for dimension in space.dimensions:
        for label, value in _labelled(dimension, configuration):
            out.update(_parameters(label, dimension, value))
    return out


def _labelled(dimension: Dimension, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if dimension.name not in found:
        return
    value = found[dimension.name]
    if dimension.per is None:
        yield dimension.name, value
        return
    for layer, item in enumerate(value):
        if item is not None:
            yield f"{dimension.name}[{layer}]", item


def _parents_first(space: Space) -> Sequence[Dimension]:
    known = {dimension.name: dimension for dimension in space.dimensions}

    def level(dimension: Dimension) -> int:
        above = {dimension.when[0] if dimension.when else None, dimension.per} - {None}
        return 1 + max((level(known[str(name)]) for name in above), default=-1)

    return sorted(space.dimensions, key=level)


def _holds(dimension: Dimension, found: Mapping[str, Any], layer: int | None = None) -> bool:
    if dimension.when is None:
        return True
    name, wanted = dimension.when
    value = found.get(name)
    return (value[layer] if value is not None and layer is not None else value) in wanted


def _suggest(trial: BaseTrial, label: str, dimension: Dimension) -> Any:
    match dimension:
        case Choice():
            options = [dimension.decode([code]) for code in range(dimension.cardinality or 0)]
            return trial.suggest_categorical(label, options)
        case Integer(low=low, high=high, step=step, log=log):
            # Optuna has no logarithmic scale with steps.
            return trial.suggest_int(label, low, high, step=step, log=log and step == 1)
        case Real(low=low, high=high, log=log):
            return trial.suggest_float(label, low, high, log=log)
        case Taps(count=count, total=total):
            units = [trial.suggest_float(f"{label}.{i}", 0.0, 1.0) for i in range(count)]
            return tap_places(units, total)
        case Simplex(size=size):
            units = [trial.suggest_float(f"{label}.{i}", LEAST, 1.0) for i in range(size)]
            return simplex_weights(units)
    raise TypeError(f"no Optuna parameter for a {type(dimension).__name__}")


def _parameters(label: str, dimension: Dimension, value: Any) -> dict[str, Any]:
    if isinstance(dimension, Taps):
        units = tap_units(value, dimension.total)
    elif isinstance(dimension, Simplex):
        units = simplex_units(value)
    else:
        return {label: value}
    return {f"{label}.{i}": unit for i, unit in enumerate(units)}


def tap_places(units: Sequence[float], total: int) -> list[int]:
    """Increasing taps: each unit picks among the positions that leave room for the rest."""
    taps: list[int] = []
    for i, unit in enumerate(units):
        first = taps[-1] + 1 if taps else 0
        room = total - (len(units) - 1 - i) - first
        taps.append(first + min(int(unit * room), room - 1))
    return taps


def tap_units(taps: Sequence[int], total: int) -> list[float]:
    """Numbers in 0 to 1 from which `tap_places` makes these taps."""
    firsts = [0, *(tap + 1 for tap in taps[:-1])]
    rooms = [total - (len(taps) - 1 - i) - first for i, first in enumerate(firsts)]
    places = zip(taps, firsts, rooms, strict=True)
    return [(tap - first + 0.5) / room for tap, first, room in places]


def simplex_weights(units: Sequence[float]) -> list[float]:
    """Weights from exponential gaps, so that even units give an even simplex (Dirichlet(1))."""
    gaps = [-math.log(unit) for unit in units]
    total = sum(gaps)
    return [gap / total for gap in gaps] if total > 0 else [1.0 / len(units)] * len(units)


def simplex_units(weights: Sequence[float]) -> list[float]:
    """Numbers in 0 to 1 from which `simplex_weights` makes these weights."""
    return [math.exp(-weight) for weight in weights]
