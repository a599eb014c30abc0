"""LightHuBERT's recipe whole, on a waveform encoder of a few features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch

from stillhouse.core.distill.paths import PathSampler
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.taps import tapped
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import (
    LAST,
    Artefact,
    Choice,
    Classification,
    Context,
    LossTerm,
    ModuleTeacher,
    Split,
    State,
    TaskData,
)
from stillhouse.core.space import Choice as SpaceChoice
from stillhouse.core.space import Space
from stillhouse.plugins.distil.hidden_states import HiddenStates
from stillhouse.plugins.distil.info import HiddenStatesParams, MaskSpansParams
from stillhouse.plugins.distil.mask_spans import MaskSpans
from stillhouse.plugins.models.encoder.hubert import HubertFamily
from stillhouse.plugins.models.info import HubertParams
from stillhouse.plugins.supernet.info import SupernetParams
from stillhouse.plugins.supernet.supernet import Supernet

SHAPE = HubertParams(
    width=8, depth=3, heads=2, head_dim=4, ffn_ratio=2.0, channels=4, kernels=(10, 3),
    strides=(5, 2), position_kernel=4, position_groups=2,
)  # fmt: skip
SPACE = Space(
    [
        SpaceChoice("width", (4, 8)),
        SpaceChoice("depth", (1, 2, 3)),
        SpaceChoice("heads", (1, 2), per="depth"),
        SpaceChoice("ffn_ratio", (1.0, 2.0), per="depth"),
    ]
)
SMALL = {"width": 4, "depth": 1, "heads": [1], "ffn_ratio": [1.0]}
PARAMS = SupernetParams(
    space="tiny", full_epochs=2, epochs=3, batch_size=3, gradient_accumulation=2, subspaces=2,
    sampler="size_bins", task_weight=0.0, save_every=2, learning_rate=0.01,
)  # fmt: skip


@pytest.fixture
def lit() -> tuple[Context, State]:
    """The state that the recipe's first two methods leave."""
    generator = torch.Generator().manual_seed(0)

    def split(name: Any, samples: int) -> Split:
        inputs = torch.randn(samples, 150, generator=generator)
        return Split(name, inputs, torch.arange(samples) % 2)

    data = TaskData(
        split("train", 11), split("tuning", 2), split("validation", 4), split("test", 2), "noise"
    )
    task, family = Classification("noise", data, ("a", "b")), HubertFamily()
    full = family.structure(SHAPE, task.input_shape, task.outputs)
    taps = family.taps(full)
    teacher = ModuleTeacher(family.build(full, generator), tuple(taps), taps)
    context = Context(task, family, full, spaces={"supernet": SPACE})
    state = State({"teacher": teacher}, data)
    masks = Choice(MaskSpansParams(share=0.5, length=3))
    state = MaskSpans().apply(state, masks, Artefact(), context)
    hints = HiddenStatesParams(layers=2, features="feed_forward", loss_on="masked")
    return context, HiddenStates().apply(state, Choice(hints), Artefact(), context)


def test_both_stages_lower_the_loss_on_masked_positions(lit: tuple[Context, State]) -> None:
    context, state = lit
    params = SupernetParams(**{**vars(PARAMS), "subspaces": 1, "full_epochs": 6, "epochs": 6})
    history = Supernet().prepare(state, params, context).record["history"]
    losses = [line["losses"]["loss"] for line in (*history["full"], *history["sampled"])]
    assert losses[5] < losses[0]
    assert losses[-1] < losses[0]


def test_subnets_are_plain_encoders_that_mask_nothing(lit: tuple[Context, State]) -> None:
    context, state = lit
    artefact = Supernet().prepare(state, PARAMS, context)
    found = Supernet().apply(state, Choice(PARAMS, SMALL), artefact, context).student
    plain = context.family.build(found.structure, torch.Generator().manual_seed(0))
    assert set(found.module.state_dict()) == set(plain.state_dict())
    x = state.data.validation.inputs
    assert torch.equal(found.module.train()(x), found.module.eval()(x))


def test_masks_sub_spaces_and_gathered_gradients_resume_bit_for_bit(
    lit: tuple[Context, State], tmp_path: Path
) -> None:
    class Stop:
        stages, steps = 0, 0

        def start(self, label: str, total: int) -> None:
            self.stages += 1
            self.steps = 0

        def finish(self) -> None: ...
        def advance(self, steps: int = 1, note: str = "") -> None:
            self.steps += steps
            if self.stages == 3 and self.steps > 3:
                raise KeyboardInterrupt

    context, state = lit
    expected = Supernet().prepare(state, PARAMS, context)
    kept = replace(context, checkpoints=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        Supernet().prepare(state, PARAMS, replace(kept, progress=Stop()))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "supernet-full.safetensors",
        "supernet-sampled 1 of 2.safetensors",
        "supernet-sampled 2 of 2.safetensors",
    ]
    resumed = Supernet().prepare(state, PARAMS, kept)
    assert resumed.record == expected.record
    assert resumed.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(resumed.tensors[k], expected.tensors[k]) for k in expected.tensors)


def test_gathered_gradients_train_as_one_large_batch_does(lit: tuple[Context, State]) -> None:
    context, state = lit
    shared = {**vars(PARAMS), "subspaces": 1, "full_epochs": 1, "epochs": 1}
    small = SupernetParams(**shared)
    large = SupernetParams(**{**shared, "batch_size": 6, "gradient_accumulation": 1})
    one, two = (Supernet().prepare(state, params, context) for params in (small, large))
    assert one.record["updates"] == two.record["updates"] == 4
    for name, weight in one.tensors.items():
        # Attention does not depend on the bias of its keys: Adam makes steps of rounding errors.
        rows = slice(None, None, 2) if name.endswith("qkv_bias") else slice(None)
        torch.testing.assert_close(two.tensors[name][rows], weight[rows], rtol=1e-4, atol=1e-5)


def test_the_last_layer_is_that_of_the_subnet_where_inner_layers_go_first(
    lit: tuple[Context, State],
) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def value(student: Any, teachers: Any, batch: Any, adapter: Any) -> torch.Tensor:
        seen.append((batch.inputs, student.features[LAST].detach()))
        return student.logits.sum() * 0

    @final
    class Shallow(PathSampler):
        name = "shallow"

        def draw(self, step: int, rng: np.random.Generator) -> list[dict[str, Any]]:
            return [{"depth": 4}]

    context, state = lit
    deep = {**vars(SHAPE), "depth": 6}
    full = context.family.structure(HubertParams(**deep), (150,), 2)
    elastic = context.family.elastic(context.family.build(full, torch.Generator().manual_seed(1)))
    elastic.set_active({"depth": 4})
    subnet = elastic.extract()
    fit(
        elastic,
        structure=full,
        state=State({}, state.data, terms=(LossTerm("look", 1.0, value, (LAST,)),)),
        settings=TrainSettings(epochs=1, batch_size=4),
        context=replace(context, full=full),
        label="shallow",
        paths=Shallow(),
        stop_after=1,
    )
    ((inputs, last),) = seen
    _, features = tapped(subnet, inputs, ("layers.3",))
    assert torch.equal(last, features["layers.3"].detach())
