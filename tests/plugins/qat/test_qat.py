"""The method: what it changes, what it carries over, how it trains, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.core.elastic import SelfAttention
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.plan.order import ordered
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.distil.distil import Distil
from stillhouse.plugins.distil.info import DistilParams
from stillhouse.plugins.qat.info import QatParams
from stillhouse.plugins.qat.layers import QuantisedAttention, QuantisedConvolution
from stillhouse.plugins.qat.qat import Qat
from stillhouse.plugins.qat.quantisers import Range, Steps

Network = Callable[[str], Any]
FAMILIES = ("keyword-transformer", "depthwise", "residual", "plain-cnn", "vit", "hubert")


def choice(**given: Any) -> Choice:
    return Choice(QatParams(**given))


def ranges(module: nn.Module) -> dict[str, tuple[float, float]]:
    parts = module.named_modules()
    return {n: (float(p.low), float(p.high)) for n, p in parts if isinstance(p, Range)}


def test_bits_of_32_change_nothing(network: Network) -> None:
    context, state = network("residual")
    assert Qat().apply(state, choice(bits=32), Artefact(), context) is state
    assert Qat().skeleton(state.student, choice(bits=32), context) is state.student
    assert Qat().effect(state, choice(bits=32), Artefact(), context) == []
    assert Qat().skeleton(None, choice(), context) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_loaded_or_measured_has_the_form_and_answers_of_what_was_made(
    family: str, network: Network, applied: Any
) -> None:
    context, state = made = network(family)
    before = {name: t.clone() for name, t in state.student.module.state_dict().items()}
    student = applied(made, bits=4)
    assert all(torch.equal(before[n], t) for n, t in state.student.module.state_dict().items())
    described = json.loads(json.dumps(description(student)))
    assert described == description(Qat().skeleton(state.student, choice(bits=4), context))
    fresh = skeleton(described, torch.Generator().manual_seed(7), Catalogue.discover()).eval()
    fresh.load_state_dict(student.module.state_dict(), strict=True)
    x = context.task.example(3)
    assert torch.equal(fresh(x), student.module(x))
    assert student.updates == 5
    assert not any(part.training for part in student.module.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_at_8_bits_answers_hardly_change_and_at_4_bits_more(
    family: str, network: Network, applied: Any
) -> None:
    context, state = made = network(family)
    x = context.task.data.train.inputs
    with torch.no_grad():
        whole = state.student.module(x)
        errors = [
            float((applied(made, bits=bits).module(x) - whole).norm() / whole.norm())
            for bits in (8, 4)
        ]
    assert errors[0] < 0.06
    assert errors[0] < errors[1] < 0.6


def test_ranges_are_those_of_the_training_inputs_that_the_seed_draws(
    network: Network, applied: Any
) -> None:
    context, state = made = network("keyword-transformer")
    student = applied(made)
    inputs = state.data.train.inputs
    found = ranges(student.module)["frames.entering"]
    assert found == (float(inputs.min()), float(inputs.max()))
    some = ranges(applied(made, samples=1).module)
    other = ranges(applied((replace(context, root_seed=1), state), samples=1).module)
    assert some == ranges(applied(made, samples=1).module)
    assert some != other


def test_distil_trains_weights_steps_and_ranges_through_the_rounding(
    network: Network, applied: Any
) -> None:
    context, state = made = network("residual")
    student = applied(made, bits=4)
    after = (
        Distil()
        .apply(
            state.with_student(student),
            Choice(DistilParams(epochs=2, batch_size=8)),
            Artefact(),
            context,
        )
        .student
    )
    assert after is not None
    old, new = student.module.state_dict(), after.module.state_dict()
    still = {name for name in new if torch.equal(old[name], new[name])}
    assert not {n for n in still if not n.endswith(("low", "num_batches_tracked"))}
    assert after.rebuilds == student.rebuilds
    kept = ranges(after.module)
    with torch.no_grad():
        after.module(100 * context.task.example(2))
    assert ranges(after.module) == kept


def test_training_at_4_bits_wins_back_what_rounding_lost(network: Network, applied: Any) -> None:
    context, state = network("keyword-transformer")
    trained = Distil().apply(
        state,
        Choice(DistilParams(epochs=40, batch_size=8, learning_rate=3e-3)),
        Artefact(),
        context,
    )
    rounded = trained.with_student(applied((context, trained), bits=4, front_end=4, head=4))
    after = Distil().apply(
        rounded, Choice(DistilParams(epochs=20, batch_size=8)), Artefact(), context
    )

    def loss(now: Any) -> float:
        train = now.data.train
        with torch.no_grad():
            return float(
                nn.functional.cross_entropy(now.student.module(train.inputs), train.targets)
            )

    assert loss(after) < loss(rounded)


def test_weights_of_nought_are_nought_in_what_a_layer_computes(
    network: Network, applied: Any
) -> None:
    context, state = network("keyword-transformer")
    weight = state.student.module.blocks[0].feed_forward.up.weight
    with torch.no_grad():
        weight[:, ::2] = 0
        layer = applied((context, state), bits=4).module.blocks[0].feed_forward.up
        assert layer.steps(layer.weight)[:, ::2].count_nonzero() == 0


def test_attention_heeds_the_mask() -> None:
    plain = SelfAttention.sized(8, 2, 4).to_empty(device="cpu").requires_grad_(False)
    for seed, weight in enumerate(plain.parameters()):
        weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)))
    new = QuantisedAttention(plain, 8, False)
    plain.qkv_weight.copy_(new.qkv.steps(new.qkv.weight).view_as(plain.qkv_weight))
    x = torch.randn(2 * 5, 8, generator=torch.Generator().manual_seed(9))
    mask = torch.tensor([True, True, False, True, False])[None, None, None, :]
    torch.testing.assert_close(new(x, 5, mask), plain(x, 5, mask))
    assert not torch.allclose(new(x, 5, mask), new(x, 5), atol=1e-2)


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_convolutions_keep_their_settings(dimensions: int, mode: str) -> None:
    kind = (nn.Conv1d, nn.Conv2d)[dimensions - 1]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = kind(4, 6, 3, stride=2, padding=2, dilation=2, groups=2, padding_mode=mode)
        x = torch.randn(2, 4, *(9,) * dimensions)
    with torch.no_grad():
        expected = plain(x)
        out = QuantisedConvolution(plain, 8, False)(x)
    torch.testing.assert_close(out, expected, rtol=0, atol=0.03)


def test_choices_that_come_to_the_same_bits_are_one(network: Network) -> None:
    context, state = network("keyword-transformer")

    def effect(**given: Any) -> Any:
        return Qat().effect(state, choice(**given), Artefact(), context)

    assert effect(bits=8) == effect(bits=8, convolution=4, attention=8)
    assert effect(bits=8) != effect(bits=8, attention=4)
    assert effect(bits=8) != effect(bits=8, activations=False)


def test_nothing_but_steps_is_added_to_what_is_trained(network: Network, applied: Any) -> None:
    _, state = made = network("vit")
    steps = [p for p in applied(made).module.modules() if isinstance(p, Steps)]
    before = sum(w.numel() for w in state.student.module.parameters())
    after = sum(w.numel() for w in applied(made).module.parameters())
    assert after - before == sum(part.log.numel() for part in steps)


def test_a_pattern_without_a_layer_is_refused_with_the_reason(network: Network) -> None:
    context, state = network("keyword-transformer")
    with pytest.raises(UserError, match=r"'positions' names no layer .* kind") as refused:
        Qat().check(state, choice(layers="positions"), context)
    assert "'frames', 'blocks.0.attention.qkv'" in str(refused.value)
    Qat().check(state, choice(layers="blocks.0, !*.out"), context)


def test_without_a_student_the_method_says_what_to_put_first(network: Network) -> None:
    context, state = network("residual")
    with pytest.raises(UserError, match="put 'supernet' first"):
        Qat().apply(replace(state, student=None), choice(), Artefact(), context)


def test_it_stands_after_what_makes_the_student_and_before_what_trains(network: Network) -> None:
    catalogue = Catalogue.discover()
    methods = [catalogue.method(n) for n in ("distil", "qat", "soft-labels", "fresh")]
    placed = [m.name for m in ordered(methods)]
    assert placed.index("fresh") < placed.index("qat")
