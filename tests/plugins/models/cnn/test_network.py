"""Structures, fresh networks and taps of the convolutional family."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.distill.taps import tapped
from stillhouse.core.errors import UserError
from stillhouse.core.space import load_space
from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.cnn.network import Cnn
from stillhouse.plugins.models.cnn.space import space
from stillhouse.plugins.models.info import CnnParams

FAMILY = CnnFamily()
Build = Callable[[Any], Cnn]
Draw = Callable[..., Tensor]
Structures = Callable[[str, str], Any]


def test_structure_is_plain_json(full: Any) -> None:
    assert json.loads(json.dumps(full)) == full


def test_structure_holds_what_the_parameters_say() -> None:
    params = CnnParams(width=6, depth=2, stages=3, growth=1.5, kernel=3, expand=2.0)
    assert FAMILY.structure(params, (9, 5), 3) == {
        "input_shape": [9, 5], "outputs": 3, "dimensions": 1, "block": "depthwise", "stem": 3,
        "strides": [1, 2, 2], "growth": 1.5, "width": 6, "depth": [2, 2, 2],
        "kernel": [[3, 3], [3, 3], [3, 3]], "hidden": [[12, 12], [12, 18], [18, 26]],
    }  # fmt: skip


def test_residual_blocks_are_as_wide_inside_as_they_are_outside() -> None:
    params = CnnParams(block="residual", width=8, depth=2, stages=2)
    assert FAMILY.structure(params, (9, 5), 3)["hidden"] == [[8, 8], [16, 16]]


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ({}, (7,), r"1 dimension expects inputs of shape \(frames, features\), the task gives"),
        ({}, (3, 8, 8), r"set dimensions, or use another task"),
        ({"dimensions": 2}, (7,), r"2 dimensions expects .* or \(channels, height, width\)"),
        ({"kernel": 4}, (9, 5), "kernel: expected an odd kernel, got 4"),
        ({"stem": 2}, (9, 5), "stem: expected an odd kernel, got 2"),
        ({"strides": [1]}, (9, 5), r"a whole number for each of 2 stages, got \[1\]"),
        ({"strides": [1, 0.5]}, (9, 5), "a whole number for each of 2 stages"),
    ],
)
def test_parameters_that_make_no_network_are_refused(
    settings: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        FAMILY.structure(CnnParams(**settings), shape, 3)


def test_same_seed_gives_the_same_weights_and_leaves_the_global_generator(full: Any) -> None:
    state = torch.get_rng_state()
    first, second, other = (
        FAMILY.build(full, torch.Generator().manual_seed(seed)).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["stem.weight"], other["stem.weight"])


def test_fresh_statistics_say_nothing_yet(full: Any) -> None:
    found = dict(FAMILY.build(full, torch.Generator()).named_buffers())
    assert len(found) % 3 == 0
    for name, buffer in found.items():
        assert torch.equal(buffer, torch.full_like(buffer, float(name.endswith("var"))))


def test_fresh_weights_keep_the_scale_of_what_passes(full: Any, batch: Draw) -> None:
    module = FAMILY.build(full, torch.Generator().manual_seed(0)).train()
    logits = module(batch(full, 64)).detach()
    assert 0.05 < float(logits.std()) < 20


def test_samples_of_a_batch_are_independent(full: Any, network: Build, batch: Draw) -> None:
    module, x = network(full), batch(full, 3)
    alone = torch.cat([module(sample[None]) for sample in x])
    torch.testing.assert_close(module(x), alone, rtol=1e-5, atol=1e-5)


def test_inputs_of_another_length_are_answered_too(
    network: Build, full_structure: Structures
) -> None:
    full = full_structure("depthwise", "frames")
    assert network(full)(torch.zeros(2, 40, 5)).shape == (2, 3)


def test_grey_images_may_come_with_or_without_a_channel_axis(network: Build) -> None:
    params = CnnParams(dimensions=2, width=4, depth=1)
    flat = FAMILY.structure(params, (8, 6), 3)
    deep = FAMILY.structure(params, (1, 8, 6), 3)
    first, second = network(flat), network(deep)
    x = torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first(x), second(x[:, None]))


def test_taps_are_positions_by_channels_in_order_of_depth(
    full: Any, network: Build, batch: Draw
) -> None:
    module, x = network(full), batch(full)
    taps = FAMILY.taps(full)
    assert list(taps) == [f"stages.{s}.{b}.tap" for s in (0, 1) for b in (0, 1)]
    logits, features = tapped(module, x, tuple(taps))
    assert torch.equal(logits, module(x))
    for name, width in taps.items():
        assert features[name].ndim == 2 + full["dimensions"]
        assert (features[name].shape[0], features[name].shape[-1]) == (2, width)


def test_a_tap_shows_what_the_next_block_reads(
    network: Build, batch: Draw, full_structure: Structures
) -> None:
    module, x = network(full_structure("residual", "frames")), batch({"input_shape": [9, 5]})
    read = []
    block = module.get_submodule("stages.0.1")
    block.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    _, features = tapped(module, x, ("stages.0.0.tap",))
    assert torch.equal(features["stages.0.0.tap"], read[0].transpose(1, 2))


def test_a_tap_that_nobody_reads_does_not_run(
    network: Build, batch: Draw, full_structure: Structures
) -> None:
    module = network(full_structure("depthwise", "image"))
    tap, ran = module.get_submodule("stages.0.0.tap"), []
    tap.register_forward_pre_hook(lambda *_: ran.append(1))
    module(batch(module.structure))
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
        assert (found["depth"], found["kernel"]) == (full["depth"], full["kernel"])
    assert FAMILY.scaled(full, size(full)) == full
    with pytest.raises(UserError, match="of at most 3 parameters, the narrowest cnn"):
        FAMILY.scaled(full, 3)


def test_automatic_space_spans_the_full_network_and_its_half() -> None:
    params = CnnParams(width=24, depth=3, stages=2, kernel=7, expand=4.0)
    dimensions = space(params)
    assert dimensions["depth_2"] == {"choices": [2, 3]}
    assert dimensions["kernel_1"] == {"choices": [3, 5, 7], "per": "depth_1"}
    ready = load_space(json.dumps({"dimensions": dimensions}), "automatic")
    full = FAMILY.structure(params, (9, 5), 3)
    largest = ready.decode(ready.corners()[2])
    assert FAMILY.subnet(full, largest) == full
    rng = np.random.default_rng(0)
    elastic = FAMILY.elastic(FAMILY.build(full, torch.Generator()))
    for row in ready.sample(20, rng):
        elastic.set_active(ready.decode(row))


def test_automatic_space_needs_no_torch() -> None:
    probe = (
        "import sys\n"
        "from stillhouse.plugins.models.cnn.space import space\n"
        "from stillhouse.plugins.models.info import CnnParams\n"
        "space(CnnParams())\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
