"""Masked spans and the hidden states that are predicted from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from stillhouse.core.distill.masking import MASKED, Masking
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import (
    LAST,
    Artefact,
    Batch,
    Choice,
    ModuleTeacher,
    Observation,
    Teacher,
)
from stillhouse.plugins.distil.hidden_states import HiddenStates
from stillhouse.plugins.distil.info import HiddenStatesParams, MaskSpansParams
from stillhouse.plugins.distil.mask_spans import MaskSpans
from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.info import CnnParams

BATCH = Batch(torch.zeros(4, 8, 5), torch.zeros(4, dtype=torch.long), torch.arange(4))


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def masked(bench: Any, **params: Any) -> Any:
    choice = Choice(MaskSpansParams(**params))
    return MaskSpans().apply(bench.state, choice, Artefact(), bench.context)


def hidden(bench: Any, state: Any, **params: Any) -> Any:
    choice = Choice(HiddenStatesParams(layers=2, **params))
    return HiddenStates().apply(state, choice, Artefact(), bench.context)


def test_masks_join_the_state_and_leave_the_given_one(bench: Any) -> None:
    state = masked(bench, share=0.4, length=3)
    assert state.masking == Masking(0.4, 3)
    assert bench.state.masking is None


def test_a_family_without_a_place_for_masks_is_refused(bench: Any) -> None:
    family = CnnFamily()
    full = family.structure(CnnParams(stages=1, depth=1, width=8), (8, 5), 3)
    context = replace(bench.context, family=family, full=full)
    with pytest.raises(UserError, match="'cnn' names no place for it; leave mask-spans out"):
        masked(replace(bench, context=context))


def test_masked_positions_without_masks_are_refused(bench: Any) -> None:
    with pytest.raises(UserError, match=r"loss_on: masked .* put mask-spans before it"):
        hidden(bench, bench.state, loss_on="masked")


@pytest.mark.parametrize("loss", ["l1", "mse", "cosine"])
def test_only_masked_positions_count_on_request(bench: Any, loss: str) -> None:
    (term,) = hidden(bench, masked(bench, length=2), loss=loss, loss_on="masked").terms
    (everywhere,) = hidden(bench, bench.state, loss=loss).terms
    assert term.name != everywhere.name
    with torch.random.fork_rng([]):
        adapter = term.adapter({LAST: 16})
    teachers = {
        "teacher": Observation(
            drawn(4, 3), {"blocks.0": drawn(4, 8, 16), "blocks.1": drawn(4, 8, 16, seed=1)}
        )
    }
    own, mask = drawn(4, 8, 12, seed=2), drawn(4, 8, seed=3) > 0
    seen = Observation(drawn(4, 3), {LAST: own, MASKED: mask})
    found = term.value(seen, teachers, BATCH, adapter)
    other = torch.where(mask[..., None], own, drawn(4, 8, 12, seed=4))
    changed = Observation(drawn(4, 3), {LAST: other, MASKED: mask})
    assert torch.equal(found, term.value(changed, teachers, BATCH, adapter))
    all_hidden = Observation(drawn(4, 3), {LAST: own, MASKED: torch.ones_like(mask)})
    torch.testing.assert_close(
        term.value(all_hidden, teachers, BATCH, adapter),
        everywhere.value(seen, teachers, BATCH, adapter),
    )


def test_feed_forward_outputs_are_those_before_the_residual_sum(bench: Any) -> None:
    (term,) = hidden(bench, bench.state, features="feed_forward", instance_norm=False).terms
    taps = ("blocks.0.feed_forward", "blocks.1.feed_forward")
    assert term.teacher_taps == {"teacher": taps}
    x, teacher = drawn(4, 8, 5), bench.state.teachers["teacher"]
    block, rows = teacher.module.blocks[0], []
    block.norm2.register_forward_hook(lambda _m, _i, normed: rows.append(normed.detach()))
    seen = teacher.observe(x, ("blocks.0", *taps))
    inner = [seen.features[tap].view(4, 8, 16) for tap in taps]
    assert torch.equal(inner[0], block.feed_forward(rows[0]).detach().view(4, 8, 16))

    with torch.random.fork_rng([]):
        adapter = term.adapter({LAST: 16})
    own = drawn(4, 8, 16, seed=2)
    found = term.value(Observation(drawn(4, 3), {LAST: own}), {"teacher": seen}, BATCH, adapter)
    expected = (own @ adapter.weight.T - (inner[0] + inner[1]) / 2).abs().mean()
    torch.testing.assert_close(found, expected)


def test_a_teacher_without_feed_forward_layers_is_refused_by_name(bench: Any) -> None:
    class Blind(Teacher):
        taps, widths = ("a", "b"), {"a": 4, "b": 4}

        def observe(self, inputs: Any, taps: Any = ()) -> Any: ...

    plain = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.ReLU())
    for teacher in (Blind(), ModuleTeacher(plain, ("0", "1"), {"0": 2, "1": 2})):
        state = replace(bench.state, teachers={"teacher": teacher})
        with pytest.raises(UserError, match=r"a layer '(a|0)\.feed_forward'.*use features: output"):
            hidden(bench, state, features="feed_forward")


def test_the_recipe_of_lighthubert_lowers_its_own_loss(bench: Any) -> None:
    state = masked(bench, length=2).with_student(bench.student())
    params = {"features": "feed_forward", "loss_on": "masked", "instance_norm": True}
    state = hidden(bench, state, **params)
    module = state.student.module
    settings = TrainSettings(epochs=12, batch_size=8, learning_rate=0.01, task_weight=0.0)
    given = {"structure": bench.context.full, "settings": settings, "context": bench.context}
    result = fit(module, **given, state=state, label="s")
    losses = [line.losses["loss"] for line in result.history]
    assert losses[-1] < 0.9 * losses[0]
    assert set(module.state_dict()) == set(bench.student().module.state_dict())
