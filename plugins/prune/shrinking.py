"""A plain network with fewer units and layers, by way of its elastic twin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from stillhouse.core.elastic.sorting import descending
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ElasticModule, ModelFamily, Pruning, Stack, Student
from stillhouse.core.evaluate.state import Structure
from stillhouse.plugins.prune.choosing import most_important
from stillhouse.plugins.prune.counting import positions, pruned, without_units
from stillhouse.plugins.prune.scores import Scores

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

Kept = Mapping[str, list[int]]
"""By the name of a stack, the places of the layers that stay."""


def twin(family: ModelFamily, module: nn.Module) -> ElasticModule:
    """In eval mode, with copied weights; `UserError` for a network that is not plain."""
    try:
        return family.elastic(module).eval()
    except TypeError as error:
        raise UserError(
            f"prune: expected a network as the family {family.name} builds it: {error}; put prune "
            "before what changes layers"
        ) from error


def shrunk(
    family: ModelFamily, student: Student, params: Any, scores: Scores | None
) -> tuple[nn.Module, Structure]:
    """The pruned network, with copied weights, and its structure.

    Without scores units and layers stay in their order and the first ones are kept.
    """
    pruning = family.pruning(student.structure)
    genes = family.columns([student.structure])
    wanted = pruned(pruning, genes, vars(params))
    elastic = twin(family, student.module)
    if scores is not None:
        home = next(elastic.parameters()).device
        for units in elastic.units():
            units.reorder(descending(scores[units.name]).to(home))
    kept = kept_layers(pruning, genes, params, scores)
    plain = _without_layers(family, elastic.extract(), student.structure, genes, pruning, kept)
    smaller = twin(family, plain)
    smaller.set_active(configuration(wanted))
    return smaller.extract().eval(), smaller.structure(configuration(wanted))


def kept_layers(pruning: Pruning, genes: Columns, params: Any, scores: Scores | None) -> Kept:
    """By importance, a layer is as important as its units together."""
    wanted, whole = (found(pruning, genes, vars(params)) for found in (pruned, without_units))
    kept = {}
    for stack in pruning.stacks:
        depth, count = int(genes[stack.depth][0]), int(wanted[stack.depth][0])
        kept[stack.name] = positions(params.layers_by, depth, count)
        if params.layers_by == "importance" and scores is not None:
            kept[stack.name] = most_important(
                _shapes(stack, whole, depth),
                _shapes(stack, wanted, count),
                [_together(scores, f"{stack.name}.{place}") for place in range(depth)],
                stack.fixed,
            )
    return kept


def _shapes(stack: Stack, genes: Columns, depth: int) -> list[tuple[float, ...]]:
    return [tuple(float(genes[gene][0, place]) for gene in stack.genes) for place in range(depth)]


def _together(scores: Scores, layer: str) -> float:
    inside = [value for name, value in scores.items() if f"{name}.".startswith(f"{layer}.")]
    return sum(float(value.double().sum()) for value in inside)


def _without_layers(
    family: ModelFamily,
    plain: nn.Module,
    structure: Structure,
    genes: Columns,
    pruning: Pruning,
    kept: Kept,
) -> nn.Module:
    """The network, changed in place."""
    left = dict(genes)
    for stack in pruning.stacks:
        places = kept[stack.name]
        layers = list(plain.get_submodule(stack.name).children())
        plain.set_submodule(stack.name, nn.ModuleList(layers[place] for place in places))
        left[stack.depth] = np.array([float(len(places))])
        for gene in stack.genes:
            left[gene] = genes[gene][:, places]
    if kept:
        vars(plain)["structure"] = family.subnet(structure, configuration(left))
    return plain


def configuration(genes: Columns) -> dict[str, Any]:
    """The configuration of the one candidate that columns hold."""
    return {
        name: _number(column[0]) if column.ndim == 1 else _numbers(column[0])
        for name, column in genes.items()
    }


def _numbers(values: Any) -> list[Any]:
    return [_number(value) for value in values if not np.isnan(value)]


def _number(value: Any) -> Any:
    if not isinstance(value, (float, np.floating)):
        return value
    return int(value) if float(value).is_integer() else float(value)
