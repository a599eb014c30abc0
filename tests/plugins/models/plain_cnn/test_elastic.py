"""The elastic twin of plain convolutional networks: widths, extraction, sorted channels."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.distill.taps import tapped
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.info import PlainCnnParams
from stillhouse.plugins.models.plain_cnn.family import PlainCnnFamily
from stillhouse.plugins.models.plain_cnn.network import PlainCnn

FAMILY = PlainCnnFamily()
Build = Callable[[Any], PlainCnn]
Draw = Callable[..., Tensor]


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def test_full_configuration_equals_the_plain_network_bit_for_bit(
    full: Any, network: Build, batch: Draw
) -> None:
    module, x = network(full), batch(full)
    elastic = FAMILY.elastic(module)
    assert elastic.full == elastic.active() == {"width": 6}
    assert torch.equal(elastic(x), module(x))
    assert same(state(elastic), state(module))
    assert same(state(elastic.extract()), state(module))


@pytest.mark.parametrize("training", [False, True])
def test_extraction_equals_the_sliced_forward_bit_for_bit(
    full: Any, network: Build, batch: Draw, training: bool
) -> None:
    elastic, x = FAMILY.elastic(network(full)).train(training), batch(full, 5)
    for width in range(1, 7):
        elastic.set_active({"width": width})
        extracted = elastic.extract()
        assert torch.equal(extracted(x), elastic(x))
        assert same(state(extracted), state(elastic.extract()))
        assert extracted.structure == elastic.structure({"width": width})
        assert elastic.active() == {"width": width}


def test_extracted_network_loads_into_a_skeleton_of_its_structure(
    full: Any, network: Build, batch: Draw
) -> None:
    elastic = FAMILY.elastic(network(full))
    elastic.set_active({"width": 4})
    extracted = elastic.extract()
    rebuilt = FAMILY.build(json.loads(json.dumps(extracted.structure)), torch.Generator())
    rebuilt.load_state_dict(extracted.state_dict(), strict=True)
    assert torch.equal(rebuilt.eval()(batch(full)), elastic(batch(full)))


def test_a_subnet_holds_the_first_channels_of_every_layer(full: Any, network: Build) -> None:
    """Every weight marked by its place; what is flattened keeps all positions of a channel."""
    module = network(full)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.arange(float(weight.numel())).view(weight.shape))
    elastic, marks = FAMILY.elastic(module), dict(module.named_parameters())
    elastic.set_active({"width": 3})
    for name, weight in elastic.extract().named_parameters():
        region = tuple(slice(0, size) for size in weight.shape)
        assert torch.equal(weight, marks[name][region]), name


def test_smallest_and_back_leaves_weights_and_statistics_untouched(
    full: Any, network: Build, batch: Draw
) -> None:
    elastic, x = FAMILY.elastic(network(full)), batch(full)
    before, answer = state(elastic), elastic(x)
    elastic.set_active({"width": 1})
    elastic(x)
    elastic.set_active({})
    assert same(state(elastic), before)
    assert torch.equal(elastic(x), answer)


def test_gradients_reach_the_active_slices_alone(full: Any, network: Build, batch: Draw) -> None:
    elastic, x = FAMILY.elastic(network(full)), batch(full)
    elastic.set_active({"width": 2})
    extracted = elastic.extract()
    elastic(x).square().sum().backward()
    extracted(x).square().sum().backward()
    own = dict(extracted.named_parameters())
    for name, weight in elastic.named_parameters():
        place = torch.zeros_like(weight)
        place[tuple(slice(0, size) for size in own[name].shape)] = own[name].grad
        assert torch.equal(weight.grad, place), name


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"width": 7}, "plain-cnn: width expected 1 to 6 .* came 7"),
        ({"width": 0}, "width: expected at least 1 channel, came 0"),
        ({"depth": 2}, "plain-cnn has no gene 'depth'; its gene is width"),
    ],
)
def test_configurations_outside_the_weights_are_refused(
    full: Any, network: Build, batch: Draw, configuration: dict[str, Any], message: str
) -> None:
    elastic, x = FAMILY.elastic(network(full)), batch(full)
    elastic.set_active({"width": 3})
    before = elastic(x)
    with pytest.raises(UserError, match=message):
        elastic.set_active(configuration)
    with pytest.raises(UserError, match=message):
        elastic.structure(configuration)
    assert elastic.active() == {"width": 3}
    assert torch.equal(elastic(x), before)


def test_a_space_may_be_larger_than_the_structure_it_starts_from(full: Any) -> None:
    assert FAMILY.subnet(full, {"width": 12}) == {**full, "width": 12}


def test_taps_name_the_same_layers_in_supernet_and_subnet(
    full: Any, network: Build, batch: Draw
) -> None:
    elastic, x = FAMILY.elastic(network(full)), batch(full)
    elastic.set_active({"width": 2})
    taps = FAMILY.taps(elastic.structure({"width": 2}))
    _, sliced = tapped(elastic, x, tuple(taps))
    _, plain = tapped(elastic.extract(), x, tuple(taps))
    for name, width in taps.items():
        assert torch.equal(sliced[name], plain[name])
        assert sliced[name].shape[-1] == width


def test_sorting_keeps_the_full_networks_answers(full: Any, network: Build, batch: Draw) -> None:
    module, x = network(full), batch(full)
    elastic = FAMILY.elastic(module)
    before = state(elastic)
    elastic.sort_by_importance()
    assert not same(state(elastic), before)
    torch.testing.assert_close(elastic(x), module(x), rtol=1e-3, atol=1e-3)


def test_sorted_channels_go_from_the_most_read_to_the_least(full: Any, network: Build) -> None:
    elastic = FAMILY.elastic(network(full))
    elastic.sort_by_importance()
    last = elastic.head if elastic.hidden is None else elastic.hidden
    channels = FAMILY.taps(full).popitem()[1]
    norms = last.weight.abs().view(len(last.weight), channels, -1).sum((0, 2))
    torch.testing.assert_close(norms, norms.sort(descending=True).values)


def test_narrow_subnets_keep_more_of_the_full_answer_once_sorted() -> None:
    full = FAMILY.structure(PlainCnnParams(size=2, width=16), (12, 5), 4)
    module = FAMILY.build(full, torch.Generator().manual_seed(3)).eval()
    with torch.no_grad():  # half of the channels are hardly read
        scale = torch.ones(16)
        scale[::2] = 0.01
        module.head.weight.view(4, 16, -1).mul_(scale[:, None])
    x = torch.randn(64, 12, 5, generator=torch.Generator().manual_seed(1))
    distances = []
    for sort in (False, True):
        elastic = FAMILY.elastic(module)
        if sort:
            elastic.sort_by_importance()
        elastic.set_active({"width": 8})
        with torch.no_grad():
            distances.append(float((elastic(x) - module(x)).square().mean()))
    assert distances[1] < distances[0]


def test_only_plain_convolutional_networks_have_this_elastic_twin() -> None:
    with pytest.raises(TypeError, match="expected a PlainCnn, came Linear"):
        FAMILY.elastic(nn.Linear(1, 1))


def test_twin_is_in_the_mode_of_the_plain_network(full: Any, network: Build) -> None:
    module = network(full)
    assert not FAMILY.elastic(module).training
    assert FAMILY.elastic(module.train()).extract().training
