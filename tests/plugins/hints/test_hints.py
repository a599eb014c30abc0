from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, Context, MultiLabel, State
from stillhouse.core.evaluate.teacher import ModuleTeacher
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.distil.fresh import Fresh
from stillhouse.plugins.hints.hints import HintLayers
from stillhouse.plugins.hints.info import HintsParams

METHOD = HintLayers()


@pytest.fixture
def context(bench: Any, tmp_path: Path) -> Context:
    return replace(bench.context, catalogue=Catalogue.discover(), shared=tmp_path)


@pytest.fixture
def state(bench: Any) -> State:
    found: State = bench.state
    return found


def prepared(state: State, context: Context, **params: Any) -> Artefact:
    return METHOD.prepare(state, HintsParams(**params), context)


def applied(state: State, context: Context, **params: Any) -> State:
    choice = Choice(HintsParams(**params))
    return METHOD.apply(state, choice, prepared(state, context), context)


def trained(state: State, context: Context) -> dict[str, Tensor]:
    student = Fresh().apply(state, Choice(None), Artefact(), context).student
    assert student is not None
    fit(
        student.module,
        structure=student.structure,
        state=state,
        settings=TrainSettings(epochs=1, batch_size=8),
        context=context,
        label="student",
    )
    return {name: tensor.clone() for name, tensor in student.module.state_dict().items()}


def test_hints_add_one_normalised_term_between_paired_layers(
    state: State, context: Context
) -> None:
    found = applied(state, context, select="taps", taps=(0, 1), weight=2.0)
    (term,) = found.terms
    assert state.terms == ()
    assert term.name == "hints(loss=fitnets blocks.0>blocks.0 blocks.1>blocks.1)"
    assert (term.weight, term.normalised) == (2.0, True)
    assert term.teacher_taps == {"teacher": ("blocks.0", "blocks.1")}


def test_no_hints_leave_the_state_as_it_is(state: State, context: Context) -> None:
    assert applied(state, context, select="none") is state


@pytest.mark.parametrize("loss", Catalogue.discover().names("loss"))
def test_every_loss_trains_a_student_and_leaves_nothing_in_it(
    state: State, context: Context, loss: str
) -> None:
    plain = trained(state, context)
    hinted = trained(applied(state, context, select="taps", taps=(0, 1), loss=loss), context)
    assert plain.keys() == hinted.keys()
    assert any(not torch.equal(plain[name], hinted[name]) for name in plain)
    assert all(tensor.isfinite().all() for tensor in hinted.values())


def test_hints_train_alike_every_time(state: State, context: Context) -> None:
    one = trained(applied(state, context, select="uniform", k=2, loss="crd"), context)
    other = trained(applied(state, context, select="uniform", k=2, loss="crd"), context)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_student_that_is_there_already_is_paired_by_its_own_layers(
    state: State, context: Context
) -> None:
    narrow = Fresh().apply(state, Choice(None), Artefact(), context)
    assert narrow.student is not None
    depth = narrow.student.structure["depth"]
    shallow = {
        name: value[:1] if isinstance(value, (list, tuple)) and len(value) == depth else value
        for name, value in {**narrow.student.structure, "depth": 1}.items()
    }
    held = narrow.with_student(replace(narrow.student, structure=shallow))
    (term,) = applied(held, context, select="taps", taps=(1,)).terms
    assert term.name == "hints(loss=fitnets blocks.1>blocks.0)"


def test_choices_that_come_to_the_same_layers_are_one(state: State, context: Context) -> None:
    artefact = prepared(state, context)

    def effect(**params: Any) -> Any:
        return METHOD.effect(state, Choice(HintsParams(**params)), artefact, context)

    assert effect(select="uniform", k=2) == effect(select="taps", taps=(0, 1))
    assert effect(select="none", loss="at") == effect(select="none")
    assert effect(select="uniform", k=1) != effect(select="uniform", k=2)
    assert effect(select="uniform", loss="kd", k=1) == effect(select="uniform", loss="kd", k=2)


def test_layers_that_nothing_selects_are_refused_before_any_training(
    state: State, context: Context
) -> None:
    METHOD.check(state, Choice(HintsParams(select="taps", taps=(0, 1))), context)
    with pytest.raises(UserError, match=r"layers are given \(0, 1\), but select: auto chooses"):
        METHOD.check(state, Choice(HintsParams(taps=(0, 1))), context)


@pytest.mark.parametrize("loss", ["kd", "wsl"])
def test_losses_of_one_class_a_sample_are_refused_where_it_has_several_labels(
    state: State, context: Context, loss: str
) -> None:
    splits = {
        name: replace(state.data.split(name), targets=torch.ones(len(state.data.split(name)), 3))
        for name in ("train", "tuning", "validation", "test")
    }
    task = MultiLabel("tiny", replace(state.data, **splits), ("a", "b", "c"))  # type: ignore[arg-type]
    METHOD.check(state, Choice(HintsParams(loss=loss)), context)
    several = replace(context, task=task)
    METHOD.check(state, Choice(HintsParams(loss="fitnets")), several)
    with pytest.raises(UserError, match=rf"hints.loss: {loss} compares answers of one class"):
        METHOD.check(state, Choice(HintsParams(loss=loss)), several)


def test_a_matrix_is_computed_once_for_all_students_of_a_teacher(
    state: State, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    observe = ModuleTeacher.observe

    def counted(self: ModuleTeacher, inputs: Tensor, taps: Any = ()) -> Any:
        runs.append(len(inputs))
        return observe(self, inputs, taps)

    monkeypatch.setattr(ModuleTeacher, "observe", counted)
    first = prepared(state, context)
    assert sum(runs) == 24
    smaller = replace(context, full={**context.full, "width": 8})
    second = prepared(state, smaller)
    assert sum(runs) == 24
    assert torch.equal(first.tensors["distance"], second.tensors["distance"])
    prepared(state, context, similarity="rbf-cka")
    assert sum(runs) == 48


def test_a_matrix_says_what_it_was_made_from(state: State, context: Context) -> None:
    artefact = prepared(state, context, similarity="linear-cka+procrustes", samples=16)
    assert artefact.record == {
        "samples": 16,
        "data": "tiny",
        "layers": ["blocks.0", "blocks.1"],
        "similarities": ["linear-cka", "procrustes"],
    }
    assert set(artefact.tensors) == {"linear-cka", "procrustes", "distance"}
    assert artefact.tensors["distance"].diagonal().eq(0).all()


def test_a_matrix_is_of_one_view_of_the_teacher(state: State, context: Context) -> None:
    plain = state.teachers["teacher"]
    assert isinstance(plain, ModuleTeacher)
    turned = ModuleTeacher(plain.module, plain.taps, plain.widths, channels=(4, 3, 2, 1, 0))
    one = prepared(state, context)
    other = prepared(replace(state, teachers={"teacher": turned}), context)
    assert not torch.equal(one.tensors["distance"], other.tensors["distance"])
    assert (one.record.get("channels"), other.record["channels"]) == (None, [4, 3, 2, 1, 0])
    assert torch.equal(prepared(state, context).tensors["distance"], one.tensors["distance"])


def test_hints_teach_a_student_of_fewer_channels(state: State, context: Context) -> None:
    task = context.task.viewed((3, 0))
    full = {**context.full, "input_shape": list(task.input_shape)}
    narrow = replace(context, task=task, full=full)
    taught = applied(replace(state, data=task.data), narrow, k=2)
    weights, alone = trained(taught, narrow), trained(replace(taught, terms=()), narrow)
    assert weights["frames.weight"].shape[1] == 2
    assert not torch.equal(weights["frames.weight"], alone["frames.weight"])


def test_the_clustering_speaks_for_layers_near_all_others(state: State, context: Context) -> None:
    artefact = prepared(state, context)

    def proxy(**params: Any) -> float | None:
        return METHOD.proxy(state, Choice(HintsParams(**params)), artefact, context)

    assert proxy(select="uniform", k=2) == 0.0
    one = proxy(select="uniform", k=1)
    assert one is not None
    assert one < 0
    assert proxy(select="none") is None
    assert proxy(select="uniform", loss="wsl") is None


def test_every_search_has_three_control_arms(state: State) -> None:
    arms = METHOD.controls(HintsParams())
    chosen = {role: changes["select"] for role, changes in arms.items()}
    assert chosen == {
        "uniform-spacing": "uniform", "stage-ends": "stage-ends", "no-hints": "none"
    }  # fmt: skip


def test_what_the_report_shows_is_the_matrix_with_its_clusters(
    state: State, context: Context
) -> None:
    choice = Choice(HintsParams(k=2))
    shown = METHOD.exhibit(state, choice, prepared(state, context), context)
    assert (shown["layers"], shown["centres"]) == (["blocks.0", "blocks.1"], [0, 1])
    assert (shown["labels"], shown["pairs"]) == ([0, 1], [[0, 0], [1, 1]])
    assert shown["similarity"][0][0] == 1.0
    one = METHOD.exhibit(state, Choice(HintsParams(k=1)), prepared(state, context), context)
    assert (one["labels"], one["silhouette"]) == ([0, 0], None)
    none = METHOD.exhibit(state, Choice(HintsParams(loss="kd")), prepared(state, context), context)
    assert (none["pairs"], none["labels"]) == ([], [])
