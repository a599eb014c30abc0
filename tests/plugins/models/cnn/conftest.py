"""Six small full networks: each block over frames, grey images and coloured ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.cnn.genes import gene_values
from stillhouse.plugins.models.info import CnnParams

FAMILY = CnnFamily()
SHAPES = {"frames": (9, 5), "image": (9, 6), "colours": (3, 7, 6)}


def _full_structure(block: str, kind: str) -> Any:
    params = CnnParams(
        dimensions=1 if kind == "frames" else 2, block=block, width=6, depth=2, stages=2,
        strides=[1, 2] if kind == "frames" else [2, 2], growth=1.5,
    )  # fmt: skip
    return FAMILY.structure(params, SHAPES[kind], 3)


FULLS = {
    f"{block} over {kind}": _full_structure(block, kind)
    for block in ("depthwise", "residual")
    for kind in SHAPES
}


@pytest.fixture(params=FULLS.values(), ids=FULLS.keys())
def full(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="session")
def full_structure() -> Callable[[str, str], Any]:
    """A full network's structure by block and kind of input."""
    return _full_structure


@pytest.fixture(scope="session")
def network(unlike_fresh: Callable[[nn.Module], nn.Module]) -> Callable[[Any], nn.Module]:
    """A network of a structure with every weight and statistic random, norms too."""
    return lambda structure: unlike_fresh(FAMILY.build(structure, torch.Generator()))


@pytest.fixture(scope="session")
def configurations() -> Callable[..., list[dict[str, Any]]]:
    """Random subnets of a full structure, canonical; expansions are shares of its own."""
    return _configurations


def _configurations(full: Mapping[str, Any], count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    widest = gene_values(full)
    drawn = []
    for _ in range(count):
        genes: dict[str, Any] = {"width": int(rng.integers(1, full["width"] + 1))}
        for stage in ("1", "2"):
            depth = int(rng.integers(1, 3))
            ratio = widest[f"expand_{stage}"][0]
            genes[f"depth_{stage}"] = depth
            genes[f"kernel_{stage}"] = [int(k) for k in rng.choice([1, 3, 5], depth)]
            shares = rng.choice([0.25, 0.5, 0.8, 1.0], depth)
            genes[f"expand_{stage}"] = [float(ratio * share) for share in shares]
        drawn.append(genes)
    return drawn
