"""The elastic twin of convolutional networks: slices, extraction, sorted channels."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.distill.taps import tapped
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.cnn.elastic import ElasticCnn
from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.cnn.network import Cnn
from stillhouse.plugins.models.info import CnnParams

FAMILY = CnnFamily()
Build = Callable[[Any], Cnn]
Draw = Callable[..., Tensor]
Configurations = Callable[..., list[dict[str, Any]]]
SMALL = {
    "width": 3, "depth_1": 1, "kernel_1": [3], "expand_1": [0.5],
    "depth_2": 2, "kernel_2": [1, 3], "expand_2": [0.5, 1.0],
}  # fmt: skip


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def with_transforms(elastic: ElasticCnn) -> ElasticCnn:
    """Kernel transforms that are no longer the identity."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, weight in elastic.named_parameters():
            if "transform" in name:
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return elastic


def test_full_configuration_equals_the_plain_network_bit_for_bit(
    full: Any, network: Build, batch: Draw
) -> None:
    module, x = network(full), batch(full)
    elastic = with_transforms(FAMILY.elastic(module))
    assert torch.equal(elastic(x), module(x))
    elastic.set_active(elastic.full)
    assert torch.equal(elastic(x), module(x))
    assert same(state(elastic.extract()), state(module))


def test_extraction_equals_the_sliced_forward_bit_for_bit(
    full: Any, network: Build, batch: Draw, configurations: Configurations
) -> None:
    elastic, x = with_transforms(FAMILY.elastic(network(full))), batch(full)
    for configuration in configurations(full, 20):
        elastic.set_active(configuration)
        extracted = elastic.extract()
        assert torch.equal(extracted(x), elastic(x))
        assert extracted.structure == elastic.structure(configuration)
        assert elastic.active() == configuration


def test_extraction_equals_the_sliced_forward_in_training_too(
    full: Any, network: Build, batch: Draw
) -> None:
    elastic, x = FAMILY.elastic(network(full)).train(), batch(full, 5)
    elastic.set_active(SMALL)
    extracted = elastic.extract()
    assert torch.equal(extracted(x), elastic(x))
    assert same(state(extracted), state(elastic.extract()))


def test_extracted_network_loads_into_a_skeleton_of_its_structure(
    full: Any, network: Build, batch: Draw
) -> None:
    elastic = FAMILY.elastic(network(full))
    elastic.set_active(SMALL)
    extracted = elastic.extract()
    rebuilt = FAMILY.build(json.loads(json.dumps(extracted.structure)), torch.Generator())
    rebuilt.load_state_dict(extracted.state_dict(), strict=True)
    assert torch.equal(rebuilt.eval()(batch(full)), elastic(batch(full)))


def test_smallest_and_back_leaves_weights_and_statistics_untouched(
    full: Any, network: Build, batch: Draw
) -> None:
    elastic, x = with_transforms(FAMILY.elastic(network(full))), batch(full)
    before, answer = state(elastic), elastic(x)
    elastic.set_active(SMALL)
    elastic(x)
    elastic.extract()
    elastic.set_active(elastic.full)
    assert same(state(elastic), before)
    assert torch.equal(elastic(x), answer)


def test_subnets_are_nested_in_the_full_weights(full: Any, network: Build) -> None:
    """Every weight marked by its place: without transforms a subnet's are some of the full's."""
    module = network(full)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.arange(float(weight.numel())).view(weight.shape))
    elastic, marks = FAMILY.elastic(module), dict(module.named_parameters())
    for smaller, larger in ((SMALL, {**SMALL, "width": 5, "expand_2": [1.0, 1.0]}), (SMALL, {})):
        held = []
        for configuration in (smaller, larger):
            elastic.set_active(configuration)
            held.append(dict(elastic.extract().named_parameters()))
        for name, weight in held[0].items():
            places = set(weight.flatten().tolist())
            assert len(places) == weight.numel()
            assert places <= set(held[1][name].flatten().tolist())
            assert places <= set(marks[name].flatten().tolist())


def test_gradients_reach_the_active_slices_and_the_transforms_on_their_way(
    full: Any, network: Build, batch: Draw
) -> None:
    elastic, x = FAMILY.elastic(network(full)), batch(full)
    with torch.no_grad():  # no channel is dead
        for name, weight in elastic.named_parameters():
            if "norm" in name and name.endswith("bias"):
                weight.add_(2)
    elastic.set_active(SMALL)
    extracted = elastic.extract()
    elastic(x).square().sum().backward()
    extracted(x).square().sum().backward()
    own = dict(extracted.named_parameters())
    for name, weight in elastic.named_parameters():
        if name not in own:
            continue
        place = torch.zeros_like(weight)
        place[region(weight, own[name])] = own[name].grad
        assert torch.equal(weight.grad, place), name
    assert moved(elastic, "stages.0.1") == set()
    for block, kernel in (("stages.0.0", 3), ("stages.1.0", 1), ("stages.1.1", 3)):
        assert moved(elastic, block) == set(range(kernel, 5, 2))


def moved(elastic: ElasticCnn, block: str) -> set[int]:
    """The sizes of a block's kernel transforms with a gradient; none of one that rests."""
    named = [(n, w) for n, w in elastic.named_parameters() if n.startswith(block)]
    transforms = {int(n.rpartition("_")[2]): w for n, w in named if "transform" in n}
    assert set(transforms) == {1, 3}
    return {size for size, weight in transforms.items() if weight.grad is not None}


def region(full: Tensor, part: Tensor) -> tuple[slice, ...]:
    """Prefixes of channels, the centre of kernels."""
    starts = [0, 0] + [(full.shape[i] - part.shape[i]) // 2 for i in range(2, full.dim())]
    return tuple(slice(a, a + n) for a, n in zip(starts, part.shape, strict=False))


def test_twin_takes_the_state_of_another_and_shares_nothing_with_the_plain_network(
    full: Any, network: Build, batch: Draw
) -> None:
    module = network(full)
    elastic = with_transforms(FAMILY.elastic(module))
    other = FAMILY.elastic(FAMILY.build(full, torch.Generator().manual_seed(9))).eval()
    other.load_state_dict(elastic.state_dict(), strict=True)
    elastic.set_active(SMALL)
    other.set_active(SMALL)
    assert torch.equal(other(batch(full)), elastic(batch(full)))
    owned = {t.data_ptr() for t in module.state_dict().values()}
    assert owned.isdisjoint(t.data_ptr() for t in elastic.state_dict().values())
    assert set(module.state_dict()) < set(elastic.state_dict())


def test_absent_genes_keep_the_full_networks_values(full: Any, network: Build) -> None:
    elastic = FAMILY.elastic(network(full))
    elastic.set_active({"depth_1": 1, "kernel_2": 3})
    ratios = {name: elastic.full[name] for name in ("width", "expand_2")}
    assert elastic.active() == {
        **ratios, "depth_1": 1, "kernel_1": [5], "expand_1": elastic.full["expand_1"][:1],
        "depth_2": 2, "kernel_2": [3, 3],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({**SMALL, "width": 7}, "width expected 1 to 6 .* came 7"),
        ({**SMALL, "width": 0}, "width: expected at least 1 channel, came 0"),
        ({**SMALL, "depth_1": 3}, "depth_1 expected 1 to 2 .* came 3"),
        ({**SMALL, "depth_1": 0}, "depth_1: expected at least 1 block, came 0"),
        ({**SMALL, "kernel_1": [7]}, "kernel of block 1 of stage 1 expected 1 to 5 .* came 7"),
        ({**SMALL, "kernel_1": [2]}, r"kernel_1: expected odd kernels, came \[2\]"),
        ({**SMALL, "expand_2": [1, 99]}, "hidden channels of block 2 of stage 2 expected 1 to"),
        ({**SMALL, "kernel_2": [3]}, r"kernel_2: expected one value for each of 2 blocks, came"),
        (
            {**SMALL, "kernel_3": [3]},
            "cnn of 2 stages has no gene 'kernel_3'; did you mean 'kernel",
        ),
    ],
)
def test_configurations_outside_the_weights_are_refused(
    full: Any, network: Build, batch: Draw, configuration: dict[str, Any], message: str
) -> None:
    elastic, x = FAMILY.elastic(network(full)), batch(full)
    elastic.set_active(SMALL)
    before = elastic(x)
    if "expand_2" in message or (configuration["depth_1"] == 3):
        configuration = {**configuration, "kernel_1": 3, "expand_1": 0.5}
    with pytest.raises(UserError, match=message):
        elastic.set_active(configuration)
    with pytest.raises(UserError, match=message):
        elastic.structure(configuration)
    assert elastic.active() == SMALL
    assert torch.equal(elastic(x), before)


def test_a_space_may_be_larger_than_the_structure_it_starts_from(full: Any) -> None:
    found = FAMILY.subnet(
        full, {"width": 12, "depth_2": 4, "kernel_2": [7] * 4, "expand_2": [2.0] * 4}
    )
    assert (found["width"], found["depth"], found["kernel"][1]) == (12, [2, 4], [7] * 4)
    assert found["input_shape"] == full["input_shape"]


def test_taps_name_the_same_blocks_in_supernet_and_subnet(
    full: Any, network: Build, batch: Draw
) -> None:
    elastic, x = FAMILY.elastic(network(full)), batch(full)
    elastic.set_active(SMALL)
    taps = FAMILY.taps(elastic.structure(SMALL))
    assert taps == {"stages.0.0.tap": 3, "stages.1.0.tap": 4, "stages.1.1.tap": 4}
    _, sliced = tapped(elastic, x, tuple(taps))
    _, plain = tapped(elastic.extract(), x, tuple(taps))
    for name, width in taps.items():
        assert torch.equal(sliced[name], plain[name])
        assert (sliced[name].shape[0], sliced[name].shape[-1]) == (2, width)


def test_sorting_keeps_the_full_networks_answers(full: Any, network: Build, batch: Draw) -> None:
    module, x = network(full), batch(full)
    elastic = with_transforms(FAMILY.elastic(module))
    before = state(elastic)
    elastic.sort_by_importance()
    assert not same(state(elastic), before)
    torch.testing.assert_close(elastic(x), module(x), rtol=1e-4, atol=1e-4)


def test_sorted_channels_go_from_the_most_read_to_the_least(full: Any, network: Build) -> None:
    elastic = FAMILY.elastic(network(full))
    elastic.sort_by_importance()
    head = elastic.head.weight.abs().sum(0)
    last = "project" if full["block"] == "depthwise" else "conv2"
    consumers = [elastic.get_submodule(f"stages.{s}.{b}.{last}") for s in (0, 1) for b in (0, 1)]
    hidden = [weight_of(c).abs().transpose(0, 1).flatten(1).sum(1) for c in consumers]
    for norms in hidden:
        assert torch.equal(norms, norms.sort(descending=True).values)
    assert head.shape == (9,)


def weight_of(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def test_narrow_subnets_keep_more_of_the_full_answer_once_sorted() -> None:
    params = CnnParams(width=16, depth=1, stages=1, kernel=3, block="residual")
    full = FAMILY.structure(params, (12, 5), 4)
    module = FAMILY.build(full, torch.Generator().manual_seed(3)).eval()
    with torch.no_grad():  # half of the channels are hardly read
        scale = torch.ones(16)
        scale[::2] = 0.01
        module.head.weight.mul_(scale)
        weight_of(module.get_submodule("stages.0.0.conv1")).mul_(scale[:, None])
    x = torch.randn(64, 12, 5, generator=torch.Generator().manual_seed(1))
    distances = []
    for sort in (False, True):
        elastic = FAMILY.elastic(module)
        if sort:
            elastic.sort_by_importance()
        elastic.set_active({"width": 8, "expand_1": 2.0})
        with torch.no_grad():
            distances.append(float((elastic(x) - module(x)).square().mean()))
    assert distances[1] < distances[0]


def test_choosing_a_subnet_takes_under_a_millisecond(network: Build, full: Any) -> None:
    elastic, times = FAMILY.elastic(network(full)), []
    for _ in range(20):
        start = time.perf_counter()
        elastic.set_active(SMALL)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3


def test_only_convolutional_networks_have_this_elastic_twin() -> None:
    with pytest.raises(TypeError, match="expected a Cnn, came Linear"):
        FAMILY.elastic(nn.Linear(1, 1))


def test_twin_is_in_the_mode_of_the_plain_network(full: Any, network: Build) -> None:
    module = network(full)
    assert not FAMILY.elastic(module).training
    assert FAMILY.elastic(module.train()).extract().training
