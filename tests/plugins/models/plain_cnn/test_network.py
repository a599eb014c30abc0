"""The ladder's networks: structures, fresh weights, taps, export."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.cost import terms
from stillhouse.core.distill.taps import tapped
from stillhouse.core.errors import UserError
from stillhouse.core.space import load_space
from stillhouse.plugins.models.info import PlainCnnParams
from stillhouse.plugins.models.plain_cnn.family import PlainCnnFamily
from stillhouse.plugins.models.plain_cnn.network import PlainCnn
from stillhouse.plugins.models.plain_cnn.space import space
from stillhouse.plugins.models.plain_cnn.structure import sides, windows
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

FAMILY = PlainCnnFamily()
Build = Callable[[Any], PlainCnn]
Draw = Callable[..., Tensor]
PUBLISHED = {
    2: "16 P 16 P FC10",
    4: "16 16 P 32 32 P FC10",
    6: "16 16 P 32 32 P 64 64 P FC10",
    8: "16 16 P 32 32 P 64 64 P 128 128 P FC64 FC10",
    10: "32 32 P 64 64 P 128 128 P 256 256 256 256 P FC128 FC10",
}
"""The "plane" networks for CIFAR-10 of Mirzadeh et al. 2020, layer by layer."""


def layer_by_layer(text: str) -> nn.Sequential:
    """The published network for 3 x 32 x 32 inputs, without biases before norms."""
    words, layers, width, side = text.split(), list[nn.Module](), 3, 32
    flat = 0
    for place, word in enumerate(words):
        if word == "P":
            layers.append(nn.MaxPool2d(2))
            side //= 2
        elif word.startswith("FC"):
            layers += [] if flat else [nn.Flatten()]
            flat = flat or width * side * side
            layers.append(nn.Linear(flat, int(word[2:])))
            flat = int(word[2:])
            layers += [nn.ReLU()] if place < len(words) - 1 else []
        else:
            layers.append(nn.Conv2d(width, int(word), 3, padding=1, bias=False))
            width = int(word)
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("size", PUBLISHED)
def test_the_ladder_is_the_published_one(size: int, network: Build) -> None:
    full = FAMILY.structure(PlainCnnParams(size=size), (3, 32, 32), 10)
    module, published = network(full), layer_by_layer(PUBLISHED[size]).eval()
    own = list(module.state_dict().values())
    published.load_state_dict(dict(zip(published.state_dict(), own, strict=True)), strict=True)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(module(x), published(x))


def test_counts_of_the_ladder_are_those_worked_out_by_hand() -> None:
    """Size 2: 3·16·9 + 2·16, 16·16·9 + 2·16, and 16·8·8·10 + 10."""
    found = {}
    for size in PUBLISHED:
        full = FAMILY.structure(PlainCnnParams(size=size), (3, 32, 32), 10)
        found[size] = int(terms.parameters(FAMILY.sheet(full, {}))[0])
    assert found[2] == (3 * 16 * 9 + 32) + (16 * 16 * 9 + 32) + (16 * 64 * 10 + 10)
    assert found == {2: 13_050, 4: 37_242, 6: 82_554, 8: 327_482, 10: 2_486_378}


def test_structure_is_plain_json(full: Any) -> None:
    assert json.loads(json.dumps(full)) == full


def test_another_width_keeps_the_proportions() -> None:
    full = FAMILY.structure(PlainCnnParams(size=8, width=5), (32, 32), 10)
    widths = FAMILY.taps(full)
    assert list(widths.values()) == [5, 5, 10, 10, 20, 20, 40, 40]
    module = FAMILY.build(full, torch.Generator())
    assert module.hidden is not None
    assert (module.hidden.in_features, module.hidden.out_features) == (40 * 2 * 2, 20)


@pytest.mark.parametrize("shape", [(7,), (2, 3, 8, 8)])
def test_inputs_that_are_no_image_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"plain-cnn expects inputs of shape .* the task gives"):
        FAMILY.structure(PlainCnnParams(), shape, 3)


def test_a_pool_leaves_alone_a_side_that_is_down_to_one() -> None:
    full = FAMILY.structure(PlainCnnParams(size=8, width=2), (9, 2), 3)
    assert sides(full) == [(9, 2), (4, 1), (2, 1), (1, 1), (1, 1)]
    assert windows(full) == [(2, 2), (2, 1), (2, 1), None]


@pytest.mark.parametrize("size", PUBLISHED)
def test_the_smallest_input_is_answered_too(size: int) -> None:
    full = FAMILY.structure(PlainCnnParams(size=size, width=2), (1, 1), 3)
    module = FAMILY.build(full, torch.Generator().manual_seed(0)).eval()
    assert module(torch.ones(2, 1, 1)).shape == (2, 3)


def test_same_seed_gives_the_same_weights_and_leaves_the_global_generator(full: Any) -> None:
    state = torch.get_rng_state()
    first, second, other = (
        FAMILY.build(full, torch.Generator().manual_seed(seed)).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_samples_of_a_batch_are_independent(full: Any, network: Build, batch: Draw) -> None:
    module, x = network(full), batch(full, 3)
    alone = torch.cat([module(sample[None]) for sample in x])
    torch.testing.assert_close(module(x), alone, rtol=1e-4, atol=1e-4)


def test_grey_images_may_come_with_or_without_a_channel_axis(network: Build) -> None:
    flat, deep = (
        FAMILY.structure(PlainCnnParams(size=4, width=4), shape, 3) for shape in ((8, 6), (1, 8, 6))
    )
    x = torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(flat)(x), network(deep)(x[:, None]))


def test_taps_are_positions_by_channels_in_order_of_depth(
    full: Any, network: Build, batch: Draw
) -> None:
    module, x = network(full), batch(full)
    taps, stages = FAMILY.taps(full), FAMILY.stages(full)
    logits, features = tapped(module, x, tuple(taps))
    assert torch.equal(logits, module(x))
    assert len(taps) == len(stages) == full["size"]
    for (name, width), stage in zip(taps.items(), stages, strict=True):
        assert name.startswith(f"stages.{stage}.")
        assert features[name].shape == (2, *sides(full)[stage], width)


def test_a_tap_that_nobody_reads_does_not_run(full: Any, network: Build, batch: Draw) -> None:
    module, ran = network(full), []
    module.get_submodule("stages.0.0.tap").register_forward_pre_hook(lambda *_: ran.append(1))
    module(batch(full))
    assert not ran


def test_the_head_is_the_module_that_answers(full: Any, network: Build) -> None:
    head = network(full).get_submodule(FAMILY.head(full))
    assert isinstance(head, nn.Linear)
    assert head.out_features == 3


def test_scaled_network_is_as_large_as_allowed_and_no_larger(full: Any, network: Build) -> None:
    def size(structure: Any) -> int:
        return sum(w.numel() for w in network(structure).parameters())

    for allowed in (size(full) // 3, size(full) // 2, size(full)):
        found = FAMILY.scaled(full, allowed)
        wider = FAMILY.subnet(full, {"width": found["width"] + 1})
        assert size(found) <= allowed < size(wider)
    assert FAMILY.scaled(full, size(full)) == full
    with pytest.raises(UserError, match="of at most 3 parameters, the narrowest plain-cnn of size"):
        FAMILY.scaled(full, 3)


@pytest.mark.parametrize("size", [2, 10])
def test_a_network_answers_in_onnx_runtime_as_in_torch(
    tmp_path: Path, full_structure: Callable[[int], Any], network: Build, batch: Draw, size: int
) -> None:
    full = full_structure(size)
    module, target = network(full), OnnxRuntimeCpu(OnnxRuntimeCpuParams(batch=1))
    path = target.export(module, batch(full, 1), tmp_path / "model.onnx").path
    with torch.no_grad():
        expected = module(batch(full, 3)).numpy()
    np.testing.assert_allclose(target.run(path, batch(full, 3)), expected, rtol=1e-4, atol=1e-4)


def test_automatic_space_spans_the_full_network_and_its_half() -> None:
    assert space(PlainCnnParams(size=10)) == {"width": {"choices": [16, 21, 27, 32]}}
    params = PlainCnnParams(size=4, width=12)
    ready = load_space(json.dumps({"dimensions": space(params)}), "automatic")
    full = FAMILY.structure(params, (9, 5), 3)
    assert FAMILY.subnet(full, ready.decode(ready.corners()[2])) == full
    assert FAMILY.subnet(full, ready.decode(ready.corners()[0]))["width"] == 6


def test_automatic_space_needs_no_torch() -> None:
    probe = (
        "import sys\n"
        "from stillhouse.plugins.models.plain_cnn.space import space\n"
        "from stillhouse.plugins.models.info import PlainCnnParams\n"
        "space(PlainCnnParams())\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
