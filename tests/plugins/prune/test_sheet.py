"""Costs of pruned networks are those of the networks that are left, for all candidates at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.cost.counting import module_sheet
from stillhouse.core.cost.sheet import COLUMNS, OperatorSheet
from stillhouse.core.cost.terms import totals
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, State
from stillhouse.plugins.prune.info import PruneParams
from stillhouse.plugins.prune.prune import Prune

Network = Callable[[str], Any]
FAMILIES = (
    "keyword-transformer", "depthwise", "residual", "resnet", "plain-cnn", "plain-cnn-hidden",
    "vit", "bert", "hubert",
)  # fmt: skip
COUNTED = tuple(name for name in FAMILIES if name != "bert")
"""Of bert the masks of padding are counted otherwise than in its family's own sheet."""


def drawn(family: Any, full: Any, rng: np.random.Generator) -> dict[str, Any]:
    """A configuration of a random subnet, every gene of every layer its own."""
    pruning = family.pruning(full)
    whole = family.elastic(family.build(full, torch.Generator().manual_seed(0))).full
    found = dict(whole)
    for stack in pruning.stacks:
        depth = int(rng.integers(1, whole[stack.depth] + 1))
        found[stack.depth] = depth
        for gene in stack.genes:
            values = whole[gene][:depth]
            if gene.startswith("kernel"):
                found[gene] = [int(rng.choice((3, 5))) if v > 3 else v for v in values]
            elif gene == "heads":
                found[gene] = [int(rng.integers(1, v + 1)) for v in values]
            else:
                found[gene] = [float(rng.choice((0.5, 1.3, 1.99))) for _ in values]
    if "width" in found and pruning.axes[0].kind != "heads":
        found["width"] = int(rng.integers(2, whole["width"] + 1))
    if "front_end" in found:
        found["front_end"] = str(rng.choice(["waveform", "fbank"]))
    return found


def equal(one: OperatorSheet, other: OperatorSheet) -> None:
    assert [row.name for row in one.rows] == [row.name for row in other.rows]
    active = one.column("active")
    assert np.array_equal(active, other.column("active"))
    for name in COLUMNS:
        assert np.array_equal(one.column(name) * active, other.column(name) * active), name


@pytest.mark.parametrize("family", FAMILIES)
def test_genes_are_read_back_from_the_sheet_they_made(family: str, network: Network) -> None:
    context, _ = network(family)
    rng, built = np.random.default_rng(0), context.family
    structures = [built.subnet(context.full, drawn(built, context.full, rng)) for _ in range(30)]
    genes = built.columns(structures)
    found = built.pruning(context.full).genes(built.sheet(context.full, genes))
    assert list(found) == list(genes)
    for name, values in genes.items():
        if values.dtype == object:
            assert found[name].tolist() == values.tolist()
        else:
            np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("family", FAMILIES)
def test_subnets_of_all_shapes_cost_what_their_pruned_structures_cost(
    family: str, network: Network, columns: Callable[..., Any]
) -> None:
    context, state = network(family)
    rng, built, count = np.random.default_rng(1), context.family, 20
    configurations = [drawn(built, context.full, rng) for _ in range(count)]
    structures = [built.subnet(context.full, one) for one in configurations]
    given: Mapping[str, Any] = {
        "keep": rng.uniform(0.05, 1, count),
        "layers_by": np.array(rng.choice(["last", "even", "importance"], count), object),
        "layers": np.ones(count) if "plain" in family else rng.uniform(0.05, 1, count),
        "feed_forward": rng.uniform(0.05, 1, count),
        "inner_channels": rng.uniform(0.05, 1, count),
    }
    sheet = built.sheet(context.full, built.columns(structures))
    found = Prune().sheet(sheet, columns(count, **given), context)
    left = []
    for place, structure in enumerate(structures):
        params = PruneParams(**{name: values[place] for name, values in given.items()})
        student = replace(state.student, structure=structure)
        left.append(_left(student, params, context))
    equal(found, built.sheet(context.full, built.columns(left)))


def _left(student: Any, params: Any, context: Any) -> Any:
    """The structure that the method says is left of one student."""
    state = State({}, context.task.data, student)
    effect = Prune().effect(state, Choice(params), Artefact(), context)
    return effect[0] if effect else student.structure


@pytest.mark.parametrize("family", COUNTED)
def test_all_costs_equal_those_of_the_traced_network(
    family: str, network: Network, columns: Callable[..., Any]
) -> None:
    context, state = network(family)
    shares = (0.2, 0.5, 0.8)
    plain = context.family.sheet(
        context.full, context.family.columns([state.student.structure])
    ).take(np.zeros(len(shares), np.int64))
    found = totals(Prune().sheet(plain, columns(len(shares), keep=np.array(shares)), context))
    built = [
        Prune().skeleton(state.student, Choice(PruneParams(keep=share)), context)
        for share in shares
    ]
    traced = totals(module_sheet([s.module for s in built], context.task.example(1)))
    assert {n: v.tolist() for n, v in found.items()} == {n: v.tolist() for n, v in traced.items()}
    assert found["parameters"][0] < found["parameters"][1] < found["parameters"][2]


def test_a_sheet_with_other_rows_or_set_columns_is_refused(
    network: Network, columns: Callable[..., Any]
) -> None:
    context, state = network("residual")
    plain = context.family.sheet(context.full, context.family.columns([state.student.structure]))
    halved = plain.map(lambda row: {"density": 0.5})
    with pytest.raises(UserError, match=r"one with density set; put prune before"):
        Prune().sheet(halved, columns(1), context)
    other = replace(plain, rows=plain.rows[1:])
    with pytest.raises(UserError, match=r"with a row 'stem'"):
        Prune().sheet(other, columns(1), context)
