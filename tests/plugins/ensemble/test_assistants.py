from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stillhouse.core.cost.terms import totals
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModuleTeacher
from stillhouse.core.evaluate.predicting import predict
from stillhouse.core.evaluate.skeletons import skeleton
from stillhouse.plugins.ensemble import assistants as training
from stillhouse.plugins.ensemble import drawing
from stillhouse.plugins.ensemble.cached import predictions
from stillhouse.plugins.ensemble.member import Member, members, plain, teachers

Section = Callable[..., dict[str, Any]]


class Killed(BaseException):
    """The death of the process: only the disk survives it."""


@final
class Dying:
    """Progress that dies after so many steps."""

    def __init__(self, after: int) -> None:
        self._left = after

    def start(self, label: str, total: int) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._left -= 1
        if not self._left:
            raise Killed

    def finish(self) -> None: ...


def two(section: Section) -> dict[str, Any]:
    return {"assistants": (section(name="a", width=16), section(name="b", epochs=3))}


def weights(artefact: Any) -> dict[str, Tensor]:
    return dict(artefact.tensors)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_the_same_seed_gives_the_same_assistants(
    staged: Callable[..., Any], section: Section
) -> None:
    stage, again = staged(), staged()
    first = weights(stage.prepared(**two(section)))
    assert same(first, weights(again.prepared(**two(section))))
    other = replace(again.context, root_seed=4)
    assert not same(first, weights(again.prepared(other, **two(section))))


@pytest.mark.parametrize("after", [2, 5])
def test_a_killed_training_goes_on_to_the_same_bits(
    staged: Callable[..., Any], section: Section, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = weights(staged().prepared(**two(section)))
    stage = staged()
    with pytest.raises(Killed):
        stage.prepared(replace(stage.context, progress=Dying(after)), **two(section))
    assert list(stage.context.checkpoints.glob("assistant-*.safetensors"))
    assert same(expected, weights(stage.prepared(**two(section))))


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        ("flat", {"a": ("teacher",), "b": ("teacher",), "c": ("teacher",)}),
        ("cascade", {"a": ("teacher",), "b": ("a",), "c": ("b",)}),
        ("dense", {"a": ("teacher",), "b": ("teacher", "a"), "c": ("teacher", "a", "b")}),
    ],
)
def test_a_topology_says_who_learns_from_whom(
    stage: Any,
    section: Section,
    topology: str,
    expected: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {}
    fit = training.fit

    def noted(module: Any, **given: Any) -> Any:
        asked[given["label"]] = given["state"], given["settings"]
        return fit(module, **given)

    monkeypatch.setattr(training, "fit", noted)
    sections = tuple(section(name=name, epochs=1) for name in expected)
    artefact = stage.prepared(assistants=sections, topology=topology, assistant_share=0.4)
    for name, own in expected.items():
        state, settings = asked[f"assistant/{name}"]
        assert tuple(state.teachers) == own
        (term,) = state.terms
        assert (term.weight, settings.task_weight, term.teachers) == (0.4, 0.6, own)
    found = {one.name: one.learnt_from for one in members(artefact)}
    assert found == {"teacher": (), **expected}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_goes_from_labels_alone_to_teachers_alone(
    stage: Any, section: Section, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    fit = training.fit
    monkeypatch.setattr(
        training, "fit", lambda module, **given: (asked.append(given), fit(module, **given))[1]
    )
    artefact = stage.prepared(assistants=(section(epochs=1),), assistant_share=share)
    assert len(asked[0]["state"].terms) == int(share)
    assert asked[0]["settings"].task_weight == 1 - share
    assert members(artefact)[1].learnt_from == (("teacher",) if share else ())


def test_costs_are_exact_and_training_counts_three_passes(stage: Any, section: Section) -> None:
    artefact = stage.prepared(assistants=(section(width=16),))
    teacher, one = members(artefact)
    module = stage.network(0, width=16)
    assert one.parameters == sum(weight.numel() for weight in module.parameters())
    family, full = stage.context.family, one.described["structure"]
    macs = totals(family.sheet(full, family.columns([full])), ("macs",))["macs"][0]
    assert one.macs == macs
    assert one.training_macs == 3 * macs * 24 * 2
    assert (teacher.training_macs, teacher.macs > one.macs) == (0, True)


def test_drawn_assistants_cost_one_training_and_rise_in_size(
    stage: Any, section: Section, monkeypatch: pytest.MonkeyPatch
) -> None:
    elastic: list[Any] = []
    genes: list[Any] = []
    fit = drawing.fit

    def noted(module: Any, **given: Any) -> Any:
        elastic.append(module)
        extract = module.extract
        module.extract = lambda: (genes.append(module.active()), extract())[1]
        return fit(module, **given)

    monkeypatch.setattr(drawing, "fit", noted)
    wide = section(name="super", width=32, depth=3, epochs=1, draw=3)
    artefact = stage.prepared(assistants=(wide,))
    assert (len(elastic), len(genes)) == (1, 3)
    found = members(artefact)[1:]
    assert [one.name for one in found] == ["super-1", "super-2", "super-3"]
    assert {(one.source, one.learnt_from) for one in found} == {("drawn", ("teacher",))}
    assert len({one.training_macs for one in found}) == 1
    assert found[0].training_macs > found[0].macs * 24
    sizes = [one.parameters for one in found]
    own = sum(w.numel() for w in stage.network(0).parameters())
    assert own < sizes[0] < sizes[1] < sizes[2]
    inputs = stage.context.task.data.tuning.inputs
    running = teachers(artefact, None, stage.context)
    for place, one in enumerate(found, 1):
        elastic[0].set_active(genes[place - 1])
        with torch.no_grad():
            expected = elastic[0].eval()(inputs)
        assert torch.equal(running[one.name].observe(inputs).logits, expected)
        said = predictions(artefact, "tuning").probabilities[place]
        np.testing.assert_allclose(expected.softmax(-1), said, atol=1e-6)


def test_drawn_networks_have_batch_statistics_of_their_own(stage: Any, section: Section) -> None:
    wide = section("cnn", name="super", width=8, stages=1, depth=1, kernel=3, epochs=1, draw=2)
    tensors = stage.prepared(assistants=(wide,)).tensors
    means = [name for name in tensors if name.startswith("2/") and name.endswith("running_mean")]
    assert means
    counts = {name: int(tensors[name]) for name in tensors if name.endswith("batches_tracked")}
    assert set(counts.values()) == {24 // 8}
    pairs = [(tensors[f"1/{name.removeprefix('2/')}"], tensors[name]) for name in means]
    assert any(not torch.equal(small, large[: len(small)]) for small, large in pairs)


def test_a_cascade_goes_on_after_drawn_assistants(stage: Any, section: Section) -> None:
    wide = section(name="super", width=32, depth=3, epochs=1, draw=2)
    artefact = stage.prepared(assistants=(wide, section(name="last", epochs=1)), topology="cascade")
    assert members(artefact)[-1].learnt_from == ("super-2",)


def test_a_checkpoint_is_taken_as_it_is(stage: Any, section: Section, tmp_path: Path) -> None:
    module = stage.network(7)
    save_file(module.state_dict(), tmp_path / "own.safetensors")
    given = section(name="own", checkpoint=str(tmp_path / "own.safetensors"))
    artefact = stage.prepared(assistants=(given,))
    member = members(artefact)[1]
    assert (member.source, member.learnt_from, member.training_macs) == ("given", (), 0)
    expected = predict({"own": module}, "tuning", stage.context.task)
    found = predictions(artefact, "tuning")
    assert np.array_equal(found.probabilities[1], expected.probabilities[0])
    assert found.origin.seeds == (None, None)


def test_frozen_weights_must_be_named(stage: Any, section: Section) -> None:
    with pytest.raises(UserError, match=r"assistant own.freeze: expected parameters that name tr"):
        stage.prepared(assistants=(section(name="own", freeze=True),))


def test_named_weights_are_taken_and_frozen_ones_learn_a_head_alone(
    stage: Any, section: Section, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, kept = type(stage.context.family), stage.network(5).state_dict()
    named = {name: tensor for name, tensor in kept.items() if not name.startswith("head.")}
    monkeypatch.setattr(kind, "pretrained", lambda *_: named)
    monkeypatch.setattr(kind, "head", lambda *_: "head")
    frozen = section(name="frozen", freeze=True)
    artefact = stage.prepared(assistants=(frozen, section(name="tuned", learning_rate=1e-7)))
    tensors = artefact.tensors
    assert all(torch.equal(tensors[f"1/{name}"], named[name]) for name in named)
    assert all(torch.allclose(tensors[f"2/{name}"], named[name], atol=1e-4) for name in named)
    assert not torch.equal(tensors["1/head.weight"], tensors["2/head.weight"])
    assert [one.learnt_from for one in members(artefact)] == [(), (), ("teacher",)]


def test_a_frozen_assistant_without_a_head_is_named(
    stage: Any, section: Section, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, kept = type(stage.context.family), stage.network(5).state_dict()
    monkeypatch.setattr(kind, "pretrained", lambda *_: kept)
    monkeypatch.setattr(kind, "head", lambda *_: None)
    with pytest.raises(UserError, match=r"^assistant/own\.freeze: 'keyword-transformer' has no he"):
        stage.prepared(assistants=(section(name="own", freeze=True),))


def test_an_assistant_sees_its_own_channels_in_training_and_when_asked(
    staged: Callable[..., Any], section: Section
) -> None:
    stage = staged(channels=(0, 1))
    sections = (
        section(name="own", channels=(3, 1), epochs=1), section(name="whole", epochs=1),
    )  # fmt: skip
    artefact = stage.prepared(assistants=sections, topology="dense")
    _, own, whole = members(artefact)
    assert (own.channels, own.described["structure"]["input_shape"]) == ((3, 1), [8, 2])
    assert (whole.channels, whole.described["structure"]["input_shape"]) == ((), [8, 5])
    data = stage.context.task.data.tuning
    running = teachers(artefact, stage.state.teachers["teacher"], stage.context)
    for place, name in enumerate(("teacher", "own", "whole")):
        shown = running[name].observe(data.seen).logits
        found = predictions(artefact, "tuning").probabilities[place]
        np.testing.assert_allclose(shown.softmax(-1), found, atol=1e-6)
    network = running["own"]
    assert isinstance(network, ModuleTeacher)
    direct = network.module(data.whole[..., [3, 1]])
    assert torch.equal(network.observe(data.seen).logits, direct)


def test_answers_to_training_samples_are_found_again_by_whole_inputs(
    staged: Callable[..., Any], section: Section
) -> None:
    stage = staged(channels=(0, 1))
    artefact = stage.prepared(assistants=(section(channels=(2, 4), epochs=1),))
    (teacher,) = teachers(artefact, None, stage.context).values()
    batch = next(stage.context.task.data.train.batches(5, seed=3))
    runs: list[int] = []
    handle = teacher.module.register_forward_hook(lambda *_: runs.append(1))
    first, again = (teacher.observe(batch.seen).logits for _ in range(2))
    handle.remove()
    assert len(runs) == 1
    assert torch.equal(first, again)
    torch.testing.assert_close(first, teacher.module(batch.whole[..., [2, 4]]))


def test_a_member_is_plain_data(stage: Any, section: Section) -> None:
    artefact = stage.prepared(assistants=(section(epochs=1),))
    for one, record in zip(members(artefact), artefact.record["members"], strict=True):
        assert Member.of(json.loads(json.dumps(one.record()))) == one
        assert one.record().keys() == record.keys()


def test_rebuilt_networks_have_the_weights_that_were_kept(stage: Any, section: Section) -> None:
    artefact = stage.prepared(assistants=(section(epochs=1),))
    (teacher,) = teachers(artefact, None, stage.context).values()
    module = plain(teacher)
    fresh = skeleton(
        members(artefact)[1].described, torch.Generator().manual_seed(0), stage.context.catalogue
    )
    assert module.state_dict().keys() == fresh.state_dict().keys()
    assert same({f"1/{n}": t for n, t in module.state_dict().items()}, weights(artefact))
    assert teachers(artefact, None, stage.context)[members(artefact)[1].name] is teacher
