from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.distill.regions import Whole
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice
from stillhouse.core.space import Choice as SpaceChoice
from stillhouse.core.space import Space
from stillhouse.plugins.supernet.info import SupernetParams
from stillhouse.plugins.supernet.samplers import counting, opening, path_sampler, sub_spaces
from stillhouse.plugins.supernet.supernet import Supernet

X = torch.ones(2, 8, 5)


def chosen(**changes: Any) -> SupernetParams:
    plain = {"space": "tiny", "full_epochs": 1, "epochs": 2, "batch_size": 8, "sampler": "uniform"}
    return SupernetParams(**{**plain, **changes})


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", ["uniform", "sandwich", "turns", "size_bins"])
def test_samplers_are_chosen_by_name(bench: Any, name: str) -> None:
    space = bench.context.spaces["supernet"]
    sampler = path_sampler(Whole(space), chosen(sampler=name), 6, bench.context)
    assert sampler.name.split("(")[0] == name
    for configuration in sampler.draw(0, rng()):
        assert space.decode(space.encode(configuration)) == configuration


def test_a_space_opens_kernels_first_and_widths_last() -> None:
    space = Space(
        [
            SpaceChoice("width", (8, 16)),
            SpaceChoice("front_end", ("a", "b")),
            SpaceChoice("depth_1", (1, 2)),
            SpaceChoice("kernel_1", (3, 5), per="depth_1"),
            SpaceChoice("expand_1", (2, 4), per="depth_1"),
        ]
    )
    kernels, depth, inner, everything = opening(space)
    held = {"width": 16, "depth_1": 2, "expand_1": [4, 4]}
    drawn = [kernels.decode(row) for row in kernels.sample(40, rng())]
    assert all({name: one[name] for name in held} == held for one in drawn)
    assert {tuple(one["kernel_1"]) for one in drawn} == {(3, 3), (3, 5), (5, 3), (5, 5)}
    assert {one["front_end"] for one in drawn} == {"a", "b"}
    assert (depth.size(), inner.size()) == (2 * (2 + 4), 2 * (2 * 2 + 4 * 4))
    assert everything.dimensions == space.dimensions


def test_progressive_shrinking_ends_with_the_whole_space(bench: Any) -> None:
    space = bench.context.spaces["supernet"]
    sampler = path_sampler(Whole(space), chosen(shrink="progressive"), 300, bench.context)
    drawn = [sampler.draw(step, rng(step))[0] for step in range(300)]
    assert {one["depth"] for one in drawn[:100]} == {1, 2}
    assert {tuple(one["heads"]) for one in drawn[:100]} == {(2,), (2, 2)}
    assert {one["width"] for one in drawn[:200]} == {16}
    assert {one["width"] for one in drawn[200:]} == {8, 12, 16}


def test_a_progressive_supernet_trains(bench: Any) -> None:
    artefact = Supernet().prepare(
        bench.state, chosen(shrink="progressive", sampler="sandwich", inplace="add"), bench.context
    )
    assert artefact.record["updates"] == 9


def test_each_sub_space_has_a_supernet_and_its_subnets_come_from_it(bench: Any) -> None:
    params, space = chosen(subspaces=3, epochs=1), bench.context.spaces["supernet"]
    artefact = Supernet().prepare(bench.state, params, bench.context)
    edges = artefact.record["edges"]
    assert list(artefact.record["history"]) == [
        "full", "sampled", "sampled 2", "sampled 3",
    ]  # fmt: skip
    assert artefact.record["updates"] == 6
    seen = set()
    for row in space.sample(60, rng()):
        genes = space.decode(row)
        state = Supernet().apply(bench.state, Choice(params, genes), artefact, bench.context)
        module = state.student.module
        size = sum(p.numel() for p in module.parameters())
        place = sum(size > edge for edge in edges)
        own = artefact.tensors[f"{place}/head.weight"][:, : genes["width"]]
        assert torch.equal(module.head.weight, own)
        seen.add(place)
    assert seen == {0, 1, 2}
    heads = [artefact.tensors[f"{place}/head.weight"] for place in range(3)]
    assert not torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[1], heads[2])


def test_a_stored_artefact_of_sub_spaces_gives_the_same_subnets(bench: Any) -> None:
    params, space = chosen(subspaces=2, epochs=1), bench.context.spaces["supernet"]
    artefact = Supernet().prepare(bench.state, params, bench.context)
    stored = Artefact(artefact.tensors, artefact.record)
    for row in space.corners():
        choice = Choice(params, space.decode(row))
        one, two = (
            Supernet().apply(bench.state, choice, a, bench.context).student.module(X)
            for a in (artefact, stored)
        )
        assert torch.equal(one, two)


def test_a_sub_space_is_trained_on_its_own_sizes_alone(bench: Any) -> None:
    space = bench.context.spaces["supernet"]
    for name in ("uniform", "sandwich", "turns", "size_bins"):
        params = chosen(subspaces=4, sampler=name)
        regions, edges = sub_spaces(space, params, bench.context)
        count = counting(space, bench.context)
        for place, region in enumerate(regions):
            sampler = path_sampler(region, params, 9, bench.context)
            drawn = [one for step in range(5) for one in sampler.draw(step, rng(step))]
            sizes = count(np.array([space.encode(one) for one in drawn]))
            assert {sum(size > edge for edge in edges) for size in sizes} == {place}


def test_more_sub_spaces_than_sizes_are_refused(bench: Any) -> None:
    two = {"supernet": Space([SpaceChoice("width", (8, 16))])}
    context = replace(bench.context, spaces=two)
    with pytest.raises(UserError, match="subspaces: expected at most 2"):
        Supernet().prepare(bench.state, chosen(subspaces=3), context)


def test_sub_spaces_do_not_shrink_progressively(bench: Any) -> None:
    with pytest.raises(UserError, match="use subspaces: 1, or shrink: none"):
        Supernet().prepare(bench.state, chosen(subspaces=2, shrink="progressive"), bench.context)


def test_a_family_without_an_order_of_importance_is_not_sorted(bench: Any) -> None:
    with pytest.raises(UserError, match="does not sort by importance; use sort: false"):
        Supernet().prepare(bench.state, chosen(sort=True), bench.context)
