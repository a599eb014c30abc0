"""Assistants that are subnets of one supernet: several sizes for the price of one training."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.config.records import PluginUse
from stillhouse.core.cost.terms import parameters, totals
from stillhouse.core.distill.paths import Sandwich
from stillhouse.core.distill.regions import POOL, gene_by_gene
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.statistics import has_statistics, reestimate
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import State, Student
from stillhouse.core.evaluate.named_weights import take_named
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.plan.plan import automatic_space
from stillhouse.core.plugin import Catalogue, declared
from stillhouse.core.space import Codes, Space
from stillhouse.plugins.ensemble.network import Network

_MIDDLE: Final = 2
_STATISTICS: Final = 1000


def drawn(
    net: Network, state: State, settings: TrainSettings, student_parameters: float
) -> list[Student]:
    """`draw` subnets of the section's network, smallest first, trained together as its supernet.

    The space is what the family offers for that network (`space: auto`), sampled by the sandwich
    rule. Sizes are even steps of the logarithm of parameters, from the student's (not included)
    or the smallest subnet's to the largest.

    Raises:
        UserError: the family has no supernet or no such space, too few sizes, or named weights
            that do not fit the supernet.
    """
    context, space = net.context, supernet_space(net)
    largest = space.decode(space.corners()[2])
    full = net.family.whole(net.structure, largest)
    module = replace(net, structure=full).fresh(net.seed)
    take_named(module, net.family, net.params, full, f"assistant {net.name}")
    elastic = net.family.elastic(module)
    updates = fit(
        elastic,
        structure=full,
        state=state,
        settings=settings,
        context=replace(context, full=full),
        label=f"assistant/{net.name}",
        paths=Sandwich(space, _MIDDLE),
    ).updates
    found = []
    for code in _spread(net, space, full, student_parameters):
        genes = space.decode(code)
        elastic.set_active(genes)
        own = elastic.extract().eval()
        if has_statistics(own):
            reestimate(
                own,
                state.data.train,
                samples=_STATISTICS,
                batch_size=settings.batch_size,
                seed=context.seed("ensemble", net.name, "statistics"),
            )
        found.append(Student(net.family.name, elastic.structure(genes), own, updates))
    return found


def sandwich_macs(net: Network) -> float:
    """MACs of a sample's forward passes in an update: both ends, and the rest as their mean."""
    space = supernet_space(net)
    ends = space.corners()[[0, 2]]
    full = net.family.whole(net.structure, space.decode(ends[1]))
    smallest, largest = totals(net.family.sheet(full, space.columns(ends)), ("macs",))["macs"]
    return float(smallest + largest) * (2 + _MIDDLE) / 2


def structures(net: Network, student_parameters: float) -> list[Structure]:
    """Of the subnets that `drawn` returns, known before they are trained."""
    space = supernet_space(net)
    full = net.family.whole(net.structure, space.decode(space.corners()[2]))
    codes = _spread(net, space, full, student_parameters)
    return [net.family.subnet(full, space.decode(code)) for code in codes]


def supernet_space(net: Network) -> Space:
    """The space to draw from; PlanError where the family offers none."""
    catalogue: Catalogue | None = net.context.catalogue
    assert catalogue is not None  # noqa: S101 - the network was found in it
    names = [p.name for p in declared(type(net.params))]
    given = {name: getattr(net.params, name) for name in names}
    use = PluginUse(net.section["model"], "model", given)
    return automatic_space(use, catalogue, f"ensemble: draw from {net.name}")


def _spread(net: Network, space: Space, full: Structure, student_parameters: float) -> Codes:
    """Codes of as many subnets as the section draws, in rising size."""
    rng = np.random.default_rng(net.context.seed("ensemble", net.name, "draw"))
    pool = np.unique(np.concatenate([space.corners(), gene_by_gene(space, POOL, rng)]), axis=0)
    sizes = np.log(parameters(net.family.sheet(full, space.columns(pool))))
    wanted = _steps(sizes, float(np.log(student_parameters)), net.section["draw"])
    places = [int(np.abs(sizes - size).argmin()) for size in wanted]
    if len(set(places)) < len(places):
        raise UserError(
            f"ensemble: expected {net.section['draw']} subnets of different size from {net.name}, "
            f"got {len(set(places))} between the student and the largest; draw fewer"
        )
    return pool[places]


def _steps(sizes: NDArray[np.float64], student: float, count: int) -> NDArray[np.float64]:
    lowest, largest = float(sizes.min()), float(sizes.max())
    start = student if lowest < student < largest else lowest
    return np.linspace(start, largest, count + 1)[1:]
