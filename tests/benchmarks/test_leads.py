"""Simulated heartbeats, and who sees which leads of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.cost.terms import parameters
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import Context, ModuleTeacher, MultiLabel, State, Task
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.ensemble.ensemble import TeachingEnsemble
from stillhouse.plugins.ensemble.info import EnsembleParams
from stillhouse.plugins.ensemble.lesson import lesson
from stillhouse.plugins.ensemble.mixture import EnsembleTeacher, Mixing
from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.info import CnnParams
from stillhouse.plugins.tasks.info import NpzParams
from stillhouse.plugins.tasks.npz import build

LIMB, CHEST = (0, 1), tuple(range(6, 12))
FAMILY = CnnFamily()
SHAPE = CnnParams(block="residual", stages=1, strides=[8], width=4, depth=1, kernel=3)


@pytest.fixture(scope="module")
def beats(benchmark_script: Callable[[str], Any]) -> Any:
    return benchmark_script("beats")


@pytest.fixture
def task(beats: Any, tmp_path: Path) -> MultiLabel:
    beats.write(tmp_path / "beats.npz", 120, seed=1)
    return task_of(tmp_path / "beats.npz")


def task_of(path: Path) -> MultiLabel:
    torch.set_num_threads(1)
    found = build(NpzParams(path=str(path)))
    assert isinstance(found, MultiLabel)
    return found


def network(task: Task, seed: int = 0) -> tuple[Mapping[str, Any], Any]:
    full = FAMILY.structure(SHAPE, task.input_shape, task.outputs)
    return full, FAMILY.build(full, torch.Generator().manual_seed(seed))


def watched(module: nn.Module) -> list[Tensor]:
    given: list[Tensor] = []
    module.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    return given


def test_a_seed_decides_every_beat(beats: Any) -> None:
    inputs, findings = beats.beats(50, 3)
    again, same = beats.beats(50, 3)
    other, _ = beats.beats(50, 4)
    assert (inputs.shape, inputs.dtype) == ((50, 96, 12), np.float32)
    assert (findings.shape, set(np.unique(findings))) == ((50, 4), {0, 1})
    np.testing.assert_array_equal(inputs, again)
    np.testing.assert_array_equal(findings, same)
    assert not np.array_equal(inputs, other)


def test_limb_leads_follow_from_two_of_them(beats: Any) -> None:
    lead = dict(zip(beats.LEADS, beats.beats(20, 0)[0].transpose(2, 0, 1), strict=True))
    np.testing.assert_allclose(lead["I"] + lead["III"], lead["II"], atol=1e-6)
    np.testing.assert_allclose(lead["aVR"] + lead["aVL"] + lead["aVF"], 0, atol=1e-6)


@pytest.mark.slow
def test_chest_leads_tell_every_finding_and_limb_leads_hint_at_it(beats: Any) -> None:
    """Least squares on how a lead's voltages are spread, whatever the moment; half held out."""
    inputs, findings = beats.beats(2000, 0)
    spread = np.quantile(inputs, np.linspace(0, 1, 13), axis=1)
    told = {name: _told(spread[..., list(leads)], findings) for name, leads in VIEWS.items()}
    assert (told["chest"] > told["limb"] + 0.1).all()
    assert (told["limb"] > 0.1).all(), "so that there is something for a small student to learn"


VIEWS = {"limb": LIMB, "chest": CHEST}


def _told(spread: np.ndarray, findings: np.ndarray) -> np.ndarray:
    """Correlation of each finding with what is predicted of it, on the second half."""
    features = np.concatenate([*spread.transpose(0, 2, 1), np.ones((1, len(findings)))]).T
    half = len(findings) // 2
    weights, *_ = np.linalg.lstsq(features[:half], findings[:half], rcond=None)
    said = features[half:] @ weights
    return np.array([np.corrcoef(said[:, k], findings[half:, k])[0, 1] for k in range(4)])


def test_teachers_and_student_are_given_their_own_leads_of_one_batch(task: MultiLabel) -> None:
    view = task.viewed(LIMB)
    teachers, given = {}, {}
    for name, channels in {"all": (), "chest": CHEST, "limb": LIMB}.items():
        _, module = network(task.viewed(channels))
        teachers[name] = ModuleTeacher(module, (), {}, channels=channels)
        given[name] = watched(module)
    mixed = EnsembleTeacher(list(teachers.values()), [0.5, 0.3, 0.2], Mixing(sigmoid=True), 2.0)
    full, student = network(view, seed=1)
    own = watched(student)
    context = Context(view, FAMILY, full, root_seed=1)
    state = State({"mixed": mixed}, view.data, terms=(lesson(("mixed",), 1.0, 2.0, True),))
    settings = TrainSettings(epochs=1, batch_size=32)
    fit(student, structure=full, state=state, settings=settings, context=context, label="d")
    assert [tuple(one.shape) for one in own] == [(32, 96, 2), (32, 96, 2), (2, 96, 2)]
    for whole, chest, limb, seen in zip(*given.values(), own, strict=True):
        assert (whole.shape[2], chest.shape[2], limb.shape[2]) == (12, 6, 2)
        assert torch.equal(chest, whole[..., 6:])
        assert torch.equal(limb, whole[..., :2])
        assert torch.equal(seen, limb)


def test_a_student_of_the_same_leads_is_the_same_wherever_they_lie_in_the_file(
    beats: Any, tmp_path: Path
) -> None:
    inputs, findings = beats.beats(120, 1)
    order = np.random.default_rng(0).permutation(12)
    trained = []
    for name, kept in {"plain": np.arange(12), "permuted": order}.items():
        np.savez(tmp_path / f"{name}.npz", x=inputs[..., kept], y=findings)
        places = tuple(int(np.flatnonzero(kept == lead)[0]) for lead in (1, 9))
        view = task_of(tmp_path / f"{name}.npz").viewed(places)
        full, student = network(view)
        fit(
            student, structure=full, state=State({}, view.data), label="d",
            settings=TrainSettings(epochs=2, batch_size=32),
            context=Context(view, FAMILY, full, root_seed=1),
        )  # fmt: skip
        trained.append((places, student.state_dict()))
    (here, one), (there, other) = trained
    assert here == (1, 9) != there
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_leads_come_in_the_order_given(task: MultiLabel) -> None:
    """A network whose first layer takes them the other way round answers the same."""
    straight, turned = task.viewed((1, 9)), task.viewed((9, 1))
    (_, one), (_, other) = network(straight), network(turned)
    inputs = straight.data.test.inputs
    assert torch.equal(turned.data.test.inputs, inputs.flip(2))
    with torch.no_grad():
        other.stem.weight.copy_(one.stem.weight.flip(1))
        assert torch.allclose(one.eval()(inputs), other.eval()(inputs.flip(2)), atol=1e-6)
        assert not torch.allclose(one(inputs), one(inputs.flip(2)), atol=1e-3)


@pytest.fixture
def leads(benchmark_script: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    found = benchmark_script("leads")
    monkeypatch.setattr(found, "SAMPLES", 40)
    return found


def test_every_run_has_a_teacher_of_fifty_students_and_views_of_its_own(
    leads: Any, tmp_path: Path
) -> None:
    catalogue = Catalogue.discover()
    given = argparse.Namespace(runs=tmp_path, sets=["task.npz.split_seed=1"])
    for name in leads.RUNS:
        run = leads.configured(given, catalogue, name, 3)
        assert (run.search.seed, run.student_channels) == (3, LIMB)
        assert run.teacher.training.channels == ()
        make_plan(run, catalogue)
        sizes = [_size(run.teacher.model, 12), _size(run.student, 2)]
        assert sizes[0] >= leads.RATIO * sizes[1]


def test_every_row_is_an_arm_of_its_run(leads: Any, tmp_path: Path) -> None:
    catalogue, arms = Catalogue.discover(), {}
    for name in leads.RUNS:
        run = leads.configured(argparse.Namespace(runs=tmp_path, sets=[]), catalogue, name, 3)
        (ensemble,) = (use for use in run.recipe if use.name == "ensemble")
        arms[name] = {"found", *TeachingEnsemble().controls(EnsembleParams(**ensemble.fixed))}
    assert all(role in arms[run] for run, role in leads.ROWS.values())
    compared = {row for other, rows in leads.AGAINST.items() for row in (other, *rows)}
    assert compared <= set(leads.ROWS)


def _size(use: Any, leads: int) -> float:
    full = FAMILY.structure(CnnParams(**use.fixed), (96, leads), 4)
    return float(parameters(FAMILY.sheet(full, FAMILY.columns([full])))[0])
