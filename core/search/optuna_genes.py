"""A configuration as Optuna's parameters, the way people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stillhouse.core.space import Choice, Dimension, Integer, Real, Simplex, Space, Taps

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    Gene = tuple[str, Any, BaseDistribution]


def parameters(space: Space, configuration: Mapping[str, Any]) -> Iterator[Gene]:
    """Label, value and distribution of every active gene.

    With `per` the label is `name[0]`, `name[1]`, ...; taps and simplex weights are one parameter a
    number: `name.0`, `name.1`, ...
    """
    for dimension in space.dimensions:
        yield from _genes(dimension, configuration)


def _genes(dimension: Dimension, configuration: Mapping[str, Any]) -> Iterator[Gene]:
    if dimension.name not in configuration:
        return
    value = configuration[dimension.name]
    layers = {dimension.name: value}
    if dimension.per is not None:
        layers = {f"{dimension.name}[{i}]": item for i, item in enumerate(value)}
    for label, item in layers.items():
        if isinstance(item, (list, tuple)):
            parts = ((f"{label}.{i}", part) for i, part in enumerate(item))
            yield from ((name, part, _distribution(dimension)) for name, part in parts)
        elif item is not None:
            yield label, item, _distribution(dimension)


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    match dimension:
        case Choice():
            return CategoricalDistribution(dimension.options)
        case Integer(low=low, high=high, step=step, log=log):
            # Optuna has no logarithmic scale with steps.
            return IntDistribution(low, high, log=log and step == 1, step=step)
        case Real(low=low, high=high, log=log):
            return FloatDistribution(low, high, log=log)
        case Taps(total=total):
            return IntDistribution(0, total - 1)
        case Simplex():
            return FloatDistribution(0.0, 1.0)
    raise TypeError(f"no Optuna distribution for a {type(dimension).__name__}")
