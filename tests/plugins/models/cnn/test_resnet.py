"""Residual networks by their number of layers, against those of the literature."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse.core.cost import terms
from stillhouse.core.cost.counting import module_sheet
from stillhouse.core.errors import UserError
from stillhouse.core.plugin import declared
from stillhouse.core.space import load_space
from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.cnn.network import Cnn
from stillhouse.plugins.models.cnn.resnet import ResnetFamily
from stillhouse.plugins.models.cnn.space import space
from stillhouse.plugins.models.info import CnnParams, ResnetParams
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

FAMILY = ResnetFamily()
CIFAR = (3, 32, 32)
PUBLISHED_M = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}
"""Parameters in millions, He et al. 2016, table 6."""
PROJECTIONS = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
"""What two projection shortcuts with their norms add to the paper's networks."""


def small(size: int, **settings: int) -> Cnn:
    params = ResnetParams(size=size, width=4, **settings)
    full = FAMILY.structure(params, (9, 8), 3)
    return FAMILY.build(full, torch.Generator().manual_seed(0)).eval()


def test_only_size_width_and_dimensions_are_parameters() -> None:
    assert [p.name for p in declared(ResnetParams)] == ["size", "width", "dimensions"]


@pytest.mark.parametrize("size", PUBLISHED_M)
def test_parameters_are_the_published_ones_and_two_projections(size: int) -> None:
    full = FAMILY.structure(ResnetParams(size=size), CIFAR, 10)
    counted = int(terms.parameters(FAMILY.sheet(full, {}))[0]) - PROJECTIONS
    digits = 1 if size == 110 else 2
    assert round(counted / 1e6, digits) == PUBLISHED_M[size]
    each = (size - 2) // 6
    stages = [2 * each * 9 * w * w - extra for w, extra in ((16, 0), (32, 4608), (64, 18432))]
    norms = 2 * (16 * (2 * each + 1) + 32 * 2 * each + 64 * 2 * each)
    assert counted == 3 * 16 * 9 + sum(stages) + norms + 64 * 10 + 10


@pytest.mark.parametrize("size", [8, 14, 20, 26, 32, 44, 56, 110])
def test_the_size_counts_the_layers_on_the_longest_way(size: int) -> None:
    module = small(size)
    layers = [
        name
        for name, part in module.named_modules()
        if isinstance(part, (nn.Conv2d, nn.Linear)) and "shortcut" not in name
    ]
    assert len(layers) == size
    assert module.structure["depth"] == [(size - 2) // 6] * 3


def test_a_resnet_is_the_residual_cnn_of_that_shape() -> None:
    params = CnnParams(dimensions=2, block="residual", stages=3, width=16, depth=18, kernel=3)
    expected = CnnFamily().structure(params, CIFAR, 10)
    assert FAMILY.structure(ResnetParams(size=110), CIFAR, 10) == expected


def test_stages_have_16_32_and_64_channels_and_halve_the_image() -> None:
    full = FAMILY.structure(ResnetParams(size=14), CIFAR, 10)
    assert list(FAMILY.taps(full).values()) == [16, 16, 32, 32, 64, 64]
    assert FAMILY.stages(full) == (0, 0, 1, 1, 2, 2)
    assert full["strides"] == [1, 2, 2]


@pytest.mark.parametrize("dimensions", [1, 2])
def test_every_cost_is_that_of_the_operators_torch_runs(dimensions: int) -> None:
    module = small(14, dimensions=dimensions)
    found = terms.totals(FAMILY.sheet(module.structure, {}))
    counted = terms.totals(module_sheet([module], torch.zeros(1, 9, 8)))
    for name, values in counted.items():
        assert np.array_equal(found[name], values), name


def test_multiplications_of_size_20_are_the_usual_41_million() -> None:
    full = FAMILY.structure(ResnetParams(), CIFAR, 10)
    macs = terms.macs(FAMILY.sheet(full, {}))[0]
    assert macs == 40_813_184


def test_a_subnet_of_the_automatic_space_is_a_slice() -> None:
    module = small(14)
    params = ResnetParams(size=14, width=4)
    ready = load_space(json.dumps({"dimensions": space(params)}), "automatic")
    assert FAMILY.subnet(module.structure, ready.decode(ready.corners()[2])) == module.structure
    elastic = FAMILY.elastic(module)
    x = torch.randn(2, 9, 8, generator=torch.Generator().manual_seed(0))
    for row in ready.sample(5, np.random.default_rng(0)):
        elastic.set_active(ready.decode(row))
        assert torch.equal(elastic(x), elastic.extract()(x))


def test_a_resnet_answers_in_onnx_runtime_as_in_torch(tmp_path: Path) -> None:
    module, target = small(8), OnnxRuntimeCpu(OnnxRuntimeCpuParams(batch=1))
    x = torch.randn(3, 9, 8, generator=torch.Generator().manual_seed(0))
    path = target.export(module, x[:1], tmp_path / "model.onnx").path
    with torch.no_grad():
        np.testing.assert_allclose(target.run(path, x), module(x).numpy(), rtol=1e-4, atol=1e-4)


def test_errors_name_the_family_that_was_asked_for() -> None:
    with pytest.raises(UserError, match="resnet of 2 dimensions expects inputs of shape"):
        FAMILY.structure(ResnetParams(), (7,), 3)
    full = FAMILY.structure(ResnetParams(size=8), CIFAR, 10)
    with pytest.raises(UserError, match="at most 3 parameters, the narrowest resnet of depths"):
        FAMILY.scaled(full, 3)
