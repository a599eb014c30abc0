"""Slicing, extraction and nestedness of every family's elastic twin, bit for bit.

Each weight of a small plain network is given a number of its own before it becomes elastic, so
that a subnet's weights say which of the full network's they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.evaluate import ElasticModule, ModelFamily
from stillhouse.core.plugin import Catalogue
from stillhouse.core.space import Space, load_space
from stillhouse.core.space.automatic import automatic_for
from supernets.ground import Ground
from supernets.part import Cell, Part, Report


@dataclass(frozen=True)
class Tiny:
    """A full network small enough to check many subnets of; `ids` for token inputs."""

    family: str
    params: Mapping[str, Any]
    input_shape: tuple[int, ...]
    ids: int = 0

    def inputs(self, generator: torch.Generator) -> Tensor:
        shape = (3, *self.input_shape)
        if self.ids:
            return torch.randint(1, self.ids, shape, generator=generator)
        return torch.randn(shape, generator=generator)


_SHAPE: Final = {"width": 24, "depth": 4, "heads": 3, "head_dim": 8}
_WAVES: Final = {
    "channels": 6, "kernels": (4, 3), "strides": (2, 2), "position_kernel": 4, "position_groups": 2,
}  # fmt: skip
TINY: Final[Mapping[str, Tiny]] = {
    "keyword-transformer": Tiny("keyword-transformer", _SHAPE, (12, 7)),
    "hubert": Tiny("hubert", {**_SHAPE, **_WAVES}, (48,)),
    "hubert, norms first": Tiny(
        "hubert", {**_SHAPE, **_WAVES, "norm_first": True, "conv_norm": "layer"}, (48,)
    ),
    "bert": Tiny("bert", {**_SHAPE, "vocabulary": 50, "padding": 0}, (9,), ids=50),
    "vit": Tiny("vit", {**_SHAPE, "patch": 4}, (16, 16)),
    "whisper": Tiny("whisper", {**_SHAPE, "input": "mel", "mels": 8}, (8, 20)),
    "cnn, 1-D depthwise": Tiny("cnn", {"width": 8, "depth": 3}, (16, 7)),
    "cnn, 2-D residual": Tiny(
        "cnn", {"width": 8, "depth": 2, "dimensions": 2, "block": "residual"}, (12, 12)
    ),
}
OUTPUTS: Final = 5
CHECKS: Final = {
    "full": "full configuration = plain network",
    "extracted": "extraction = sliced forward",
    "nested": "weights nested in larger subnets",
    "back": "full outputs and weights after going small",
    "outside": "gradient outside the active slice is 0",
}


def cell(ground: Ground) -> Cell:
    """Per family and check: how many were made, and how many found a difference."""
    return {name: _network(ground, name) for name in TINY}


def _network(ground: Ground, name: str) -> Cell:
    tiny = TINY[name]
    record = ground.catalogue.model(tiny.family)
    family = cast("type[ModelFamily]", ground.catalogue.resolve(record))()
    structure = family.structure(record.params(**tiny.params), tiny.input_shape, OUTPUTS)
    generator = torch.Generator().manual_seed(ground.context.seed("exact", name))
    plain = family.build(structure, generator).eval()
    elastic = family.elastic(plain).eval()
    space = _space(ground.catalogue, tiny, elastic)
    rng = np.random.default_rng(ground.context.seed("exact", name, "subnets"))
    codes = space.sample(ground.sizes.configurations, rng)
    subnets = [space.decode(row) for row in codes]
    smallest = space.decode(space.corners()[0])
    inputs = tiny.inputs(generator)
    numbered = family.elastic(_numbered(family.build(structure, generator)))
    found = {
        "full": [torch.equal(elastic(inputs), plain(inputs))],
        "extracted": [_extracts(elastic, genes, inputs) for genes in [smallest, *subnets]],
        "nested": [_nested(numbered, smallest, genes) for genes in subnets],
        "back": [_back(elastic, genes, inputs) for genes in [smallest, *subnets]],
        "outside": [
            _outside(family, plain, numbered, genes, inputs) for genes in [smallest, *subnets]
        ],
    }
    return {check: [len(held), held.count(False)] for check, held in found.items()}


def _space(catalogue: Catalogue, tiny: Tiny, elastic: ElasticModule) -> Space:
    """The family's own automatic space, else the general one around its full configuration."""
    record = catalogue.model(tiny.family)
    dimensions: Any = automatic_for(elastic.full)
    if record.space:
        offer = cast("Callable[[Any], Any]", catalogue.resolve_space(record))
        dimensions = offer(record.params(**tiny.params))
    return load_space(json.dumps({"dimensions": dimensions}, indent=1), tiny.family)


@torch.no_grad()
def _extracts(elastic: ElasticModule, genes: Mapping[str, Any], inputs: Tensor) -> bool:
    elastic.set_active(genes)
    return torch.equal(elastic(inputs), elastic.extract().eval()(inputs))


@torch.no_grad()
def _back(elastic: ElasticModule, genes: Mapping[str, Any], inputs: Tensor) -> bool:
    elastic.set_active(elastic.full)
    outputs, weights = elastic(inputs), {n: t.clone() for n, t in elastic.state_dict().items()}
    elastic.set_active(genes)
    elastic(inputs)
    elastic.set_active(elastic.full)
    same = all(torch.equal(t, weights[n]) for n, t in elastic.state_dict().items())
    return same and torch.equal(elastic(inputs), outputs)


def _nested(numbered: ElasticModule, small: Mapping[str, Any], genes: Mapping[str, Any]) -> bool:
    """Smallest within some subnet within the full network."""
    held = [_numbers(numbered, one) for one in (small, genes, numbered.full)]
    return held[0] <= held[1] <= held[2]


def _outside(
    family: ModelFamily,
    plain: nn.Module,
    numbered: ElasticModule,
    genes: Mapping[str, Any],
    inputs: Tensor,
) -> bool:
    """Whether no weight that the subnet leaves out has a gradient."""
    used = np.fromiter(_numbers(numbered, genes), np.float64)
    elastic = family.elastic(plain)
    elastic.set_active(genes)
    elastic(inputs).square().sum().backward()
    numbers = dict(numbered.named_parameters())
    for name, weight in elastic.named_parameters():
        if weight.grad is not None and name in dict(plain.named_parameters()):
            left_out = ~np.isin(numbers[name].detach().numpy(), used)
            if weight.grad.numpy()[left_out].any():
                return False
    return True


def _numbered(plain: nn.Module) -> nn.Module:
    """Every weight its own whole number; exact in float32 below 2^24 weights."""
    first = 1
    with torch.no_grad():
        for weight in plain.parameters():
            numbers = torch.arange(first, first + weight.numel(), dtype=weight.dtype)
            weight.copy_(numbers.view_as(weight))
            first += weight.numel()
    assert first < 2**24
    return plain


def _numbers(numbered: ElasticModule, genes: Mapping[str, Any]) -> set[float]:
    numbered.set_active(genes)
    return {v for w in numbered.extract().parameters() for v in w.detach().flatten().tolist()}


def report(cells: Mapping[int, Cell]) -> Report:
    networks: Sequence[str] = list(next(iter(cells.values())))
    rows, figures, differing = [], dict[str, Any](), 0
    for family in networks:
        row = [family]
        for check in CHECKS:
            made, wrong = np.sum([one[family][check] for one in cells.values()], axis=0).tolist()
            row.append(f"{wrong} of {made}")
            figures[f"{family}: {check}"] = {"made": made, "differing": wrong}
            differing += wrong
        rows.append(row)
    return Report(
        "Checks that found a difference",
        ["family", *CHECKS.values()],
        rows,
        figures,
        differing == 0,
    )


PART = Part(cell, report, ("configurations",))
