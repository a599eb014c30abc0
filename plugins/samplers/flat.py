"""A configuration as the same Optuna parameters every time, for samplers that know no conditions.

Every gene is suggested, active or not (then with its middle value, on the way back); inactive ones
are left out of the row. Integers
keep their values, other numbers and (if `numeric`) text are places in the order of the choices,
reals lie on their scale in 0 to 1; taps and simplex weights are as in `suggestion`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space import Choice, Dimension, Integer, Real, Simplex, Space, Taps
from stillhouse.plugins.samplers.suggestion import (
    LEAST,
    Wording,
    simplex_units,
    simplex_weights,
    tap_places,
    tap_units,
)

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


@dataclass(frozen=True)
class _Gene:
    label: str
    start: int
    dimension: Dimension

    @property
    def part(self) -> slice:
        return slice(self.start, self.start + self.dimension.columns)


@final
class FlatWording(Wording):
    """Every gene of a space every time; `numeric` leaves no categorical parameter."""

    def __init__(self, space: Space, *, numeric: bool) -> None:
        self._space, self._numeric = space, numeric
        self._genes = tuple(_genes(space))

    def suggested(self, trial: BaseTrial) -> NDArray[np.float64]:
        row = np.empty((1, self._space.width))
        for gene in self._genes:
            row[0, gene.part] = self._suggest(trial, gene.label, gene.dimension)
        out: NDArray[np.float64] = self._space.canonical(row)[0]
        return out

    def parameters(self, row: NDArray[np.float64]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for gene in self._genes:
            code = row[gene.part] if row[gene.start] >= 0 else gene.dimension.corners()[1]
            out.update(_parameters(gene.label, gene.dimension, code.tolist()))
        return out

    def _suggest(self, trial: BaseTrial, label: str, dimension: Dimension) -> Sequence[float]:
        match dimension:
            case Choice() if self._numeric or dimension.ordered:
                return [trial.suggest_int(label, 0, dimension.count - 1)]
            case Choice():
                return [trial.suggest_categorical(label, list(range(dimension.count)))]
            case Integer(low=low, high=high, step=step, log=log):
                value = trial.suggest_int(label, low, high, step=step, log=log and step == 1)
                return [(value - low) // step]
            case Real():
                return [trial.suggest_float(label, 0.0, 1.0)]
            case Taps(count=count, total=total):
                return tap_places(_units(trial, label, count, 0.0), total)
            case Simplex(size=size):
                return simplex_weights(_units(trial, label, size, LEAST))
        raise TypeError(f"no Optuna parameter for a {type(dimension).__name__}")


def _units(trial: BaseTrial, label: str, count: int, least: float) -> list[float]:
    return [trial.suggest_float(f"{label}.{i}", least, 1.0) for i in range(count)]


def _parameters(label: str, dimension: Dimension, code: list[float]) -> dict[str, Any]:
    match dimension:
        case Integer(low=low, step=step):
            return {label: low + step * int(code[0])}
        case Choice():
            return {label: int(code[0])}
        case Taps(total=total):
            return _numbered(label, tap_units([int(tap) for tap in code], total))
        case Simplex():
            return _numbered(label, simplex_units(code))
    return {label: code[0]}


def _numbered(label: str, units: Sequence[float]) -> dict[str, Any]:
    return {f"{label}.{i}": unit for i, unit in enumerate(units)}


def _genes(space: Space) -> Iterator[_Gene]:
    known = {dimension.name: dimension for dimension in space.dimensions}
    at = 0
    for name, dimension in known.items():
        layers = _most_layers(dimension, known) if dimension.per is not None else 1
        for layer in range(layers):
            label = name if dimension.per is None else f"{name}[{layer}]"
            yield _Gene(label, at, dimension)
            at += dimension.columns


def _most_layers(dimension: Dimension, known: dict[str, Dimension]) -> int:
    depth = known[str(dimension.per)]
    return int(depth.decode(depth.corners()[-1].tolist()))
