"""LightHuBERT's recipe on a tiny encoder: masked spans, feed-forward targets, two stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.cost.terms import parameters
from stillhouse.core.distill.masking import Masking
from stillhouse.core.distill.objective import Objective
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.taps import tapped
from stillhouse.core.evaluate import (
    LAST,
    Choice,
    Classification,
    Context,
    ModuleTeacher,
    Split,
    State,
    TaskData,
)
from stillhouse.core.space import Choice as SpaceChoice
from stillhouse.core.space import Space
from stillhouse.plugins.distil.hidden_states import hidden_states_term
from stillhouse.plugins.models.encoder.hubert import HubertFamily
from stillhouse.plugins.supernet.info import SupernetParams
from stillhouse.plugins.supernet.supernet import Supernet

FAMILY = HubertFamily()
TARGETS = tuple(f"layers.{place}.feed_forward" for place in (4, 5))


@pytest.fixture
def context(tiny: Callable[..., Any]) -> Context:
    generator = torch.Generator().manual_seed(0)

    def split(name: Any, samples: int) -> Split:
        inputs = torch.randn(samples, 80, generator=generator)
        return Split(name, inputs, torch.arange(samples) % 3)

    data = TaskData(
        split("train", 12), split("tuning", 3), split("validation", 3), split("test", 3), "tiny"
    )
    space = Space(
        [
            SpaceChoice("front_end", ("waveform", "fbank")),
            SpaceChoice("width", (8, 12, 16)),
            SpaceChoice("depth", (3, 4, 6)),
            SpaceChoice("heads", (2, 4), per="depth"),
            SpaceChoice("ffn_ratio", (3.5, 4.0), per="depth"),
        ]
    )
    task = Classification("tiny", data, ("a", "b", "c"))
    full = tiny(80, front_end="both")
    return Context(task, FAMILY, full, spaces={"supernet": space})


@pytest.fixture
def state(context: Context, tiny: Callable[..., Any]) -> State:
    full = tiny(80)
    teacher = FAMILY.build(full, torch.Generator().manual_seed(1)).eval()
    taps = FAMILY.taps(full)
    term = hidden_states_term(TARGETS, 16, "l1", 1.0, True, "masked")
    data = context.task.data
    return State(
        {"teacher": ModuleTeacher(teacher, tuple(taps), taps)},
        data, terms=(term,), masking=Masking(length=3),
    )  # fmt: skip


def test_a_shallow_subnets_last_layer_is_the_last_it_keeps(context: Context, state: State) -> None:
    twin = FAMILY.elastic(FAMILY.build(context.full, torch.Generator().manual_seed(2))).eval()
    settings = TrainSettings(epochs=1)
    objective = Objective(twin, context.full, state.teachers, state.terms, settings, context)
    genes, x = {"depth": 4, "width": 12}, state.data.train.inputs[:2]
    with objective.taps() as taps:
        seen = objective.see(x, taps, genes)
    twin.set_active(genes)
    _, features = tapped(twin.extract(), x, ("layers.3",))
    assert torch.equal(seen.features[LAST], features["layers.3"])


def test_both_stages_train_every_front_end_and_subnets_have_one(
    context: Context, state: State
) -> None:
    params = SupernetParams(space="tiny", full_epochs=1, epochs=4, batch_size=6, sampler="uniform")
    artefact = Supernet().prepare(state, params, context)
    assert set(artefact.record["structure"]["front_end"]["options"]) == {"waveform", "fbank"}
    space = context.spaces["supernet"]
    codes = np.concatenate([space.corners(), space.sample(3, np.random.default_rng(0))])
    sizes = parameters(Supernet().sheet(None, space.columns(codes), context))
    for row, size in zip(codes, sizes, strict=True):
        genes = space.decode(row)
        student = Supernet().apply(state, Choice(params, genes), artefact, context).student
        assert student is not None
        assert sum(w.numel() for w in student.module.parameters()) == size
        assert student.structure["front_end"]["kind"] == genes["front_end"]
        assert student.module(state.data.test.inputs).isfinite().all()
    drawn = FAMILY.build(
        artefact.record["structure"],
        torch.Generator().manual_seed(context.seed("supernet", "weights")),
    ).state_dict()
    for name in ("waveform", "fbank"):
        weight = f"front_end.options.{name}.projection.weight"
        assert not torch.equal(artefact.tensors[weight], drawn[weight])
    fixed = "front_end.options.fbank.log_mel.power.fourier"
    assert torch.equal(artefact.tensors[fixed], drawn[fixed])
