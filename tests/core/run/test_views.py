"""A student of two channels, a teacher of three, data of four."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.core import load
from stillhouse.core.config.runfile import parse
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModuleTeacher, Silent
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.evaluator import predict
from stillhouse.core.plan import make_plan
from stillhouse.core.plan.text import describe
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.tapped import tapped
from stillhouse.core.run.teaching import initial_state, settle_goals, train_teacher

RUN = """
task: {{npz: {{path: waves.npz, shift: {shift}}}}}
teacher: {{model: keyword-transformer, width: 24, depth: 2, heads: 2, epochs: 2,
  batch_size: 16{teacher}}}
{student}
recipe:
  - soft-labels
  - supernet: {{space: keyword-transformer-tiny, full_epochs: 1, epochs: 1, batch_size: 16}}
search: {{maximize: accuracy, limits: {{parameters: 70%, accuracy: ">= 1%"}}, evaluations: 2,
  finalists: 1}}
target:
  {{runtime: onnxruntime-cpu, profile: 6, repeats: 5, processes: 1, patience_s: 0,
   device: views.json}}
train: {{threads: 1}}
"""
TEACHER, STUDENT = ", channels: [3, 0, 1]", "channels: [3, 0]"


def text_of(shift: int = 1, teacher: str = TEACHER, student: str = STUDENT) -> str:
    section = f"student: {{model: keyword-transformer, {student}}}" if student else ""
    return RUN.format(shift=shift, teacher=teacher, student=section)


Open = Callable[..., Opened]


@pytest.fixture
def opened(project: Path, tmp_path: Path, catalogue: Catalogue) -> Open:
    def open_it(**words: Any) -> Opened:
        source = str(project / "run.yaml")
        plan = make_plan(parse(text_of(**words), source, catalogue), catalogue)
        return open_run(plan, catalogue, RunDirectory(tmp_path / "run"), Silent())

    return open_it


@pytest.mark.slow
def test_a_run_from_a_teacher_of_three_channels_to_a_student_of_two(
    project: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    run = parse(text_of(), str(project / "run.yaml"), catalogue)
    directory = RunDirectory.create(tmp_path / "run", run.to_yaml())
    with directory:
        summary = execute(make_plan(run, catalogue), catalogue, directory, Silent())
    shapes = {row.role: row.structure["input_shape"] for row in summary.rows}
    assert shapes == {"teacher": [12, 3], "found": [12, 2], "scratch": [12, 2], "scaled": [12, 2]}
    record = json.loads((directory.best / "model.json").read_text())
    assert (record["input_shape"], record["channels"]) == ([12, 2], [3, 0])
    assert {key: record["inputs"][key] for key in ("channels", "of")} == {
        "channels": [3, 0],
        "of": 4,
    }
    assert "takes only channels 3, 0 of 4" in (directory.best / "README.md").read_text()
    again = open_run(make_plan(run, catalogue), catalogue, directory, Silent())
    network, test = load(directory.folder), again.task.data.test
    found = next(row for row in summary.rows if row.role == "found")
    assert again.task.score(predict(network, test), test.targets) == pytest.approx(found.test)
    assert network(test.seen[:5][..., [3, 0]]).shape == (5, 3)


def test_goals_are_percent_of_what_the_teacher_scores_on_its_own_view(opened: Open) -> None:
    run = opened()
    teacher, split = train_teacher(run), run.teacher_task.data.validation
    expected = run.task.score(predict(teacher, split), split.targets)["accuracy"] / 100
    (limit,) = settle_goals(run, teacher).outcomes
    assert limit.bound == pytest.approx(expected)


@pytest.mark.parametrize("shift", [0, 1])
def test_the_runs_teacher_takes_its_channels_of_the_whole(opened: Open, shift: int) -> None:
    run = opened(shift=shift)
    student = train_teacher(run)
    teacher, data = initial_state(run, student).teachers["teacher"], run.task.data
    assert isinstance(teacher, ModuleTeacher)
    assert teacher.channels == (3, 0, 1)
    inputs = data.train.seen[:7]
    with torch.no_grad():
        expected = student.module(inputs[..., [3, 0, 1]])
    assert torch.allclose(teacher.observe(inputs).logits, expected, atol=1e-6)
    assert data.train.inputs.shape[1:] == (12, 2)


def test_without_a_student_section_both_have_one_view(opened: Open) -> None:
    run = opened(student="")
    assert run.task is run.teacher_task
    assert run.task.channels == (3, 0, 1)
    assert run.full == run.teacher_full


def test_what_a_run_starts_from_depends_on_both_views(opened: Open) -> None:
    views: list[Mapping[str, str]] = [
        {"teacher": teacher, "student": student}
        for teacher in ("", ", channels: [0, 1]", ", channels: [1, 0]")
        for student in ("channels: []", "channels: [2, 3]", "channels: [3, 2]")
    ]
    assert len({opened(**view).origin for view in views}) == len(views)


def test_the_key_of_a_run_without_views_knows_of_none(opened: Open) -> None:
    """Runs that began before there were views go on."""
    run = opened(teacher="", student="")
    training = asdict(run.plan.run.teacher.training)
    assert training.pop("channels") == ()
    settings = {k: v for k, v in run.plan.run.task.fixed.items() if k != "path"}
    assert run.origin == fingerprint(
        run.task.data.sha256, settings, "keyword-transformer", run.full, "keyword-transformer",
        run.teacher_full, "", training, 0, "cpu", "float32",
    )  # fmt: skip


def test_naming_all_channels_in_order_is_the_run_that_names_none(opened: Open) -> None:
    every = "channels: [0, 1, 2, 3]"
    named = opened(teacher=f", {every}", student=every)
    assert named.origin == opened(teacher="", student="channels: []").origin


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"teacher": ", channels: [4]"}, r"^teacher\.channels: expected numbers from 0 to 3"),
        ({"student": "channels: [9]"}, r"^student\.channels: expected numbers from 0 to 3"),
    ],
)
def test_channels_that_the_data_lack_are_refused(
    opened: Open, words: Mapping[str, str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        opened(**words)


def test_plan_and_taps_tell_who_sees_what(
    project: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    (tmp_path / "run.yaml").write_text(text_of().replace("waves.npz", str(project / "waves.npz")))
    run = parse(text_of(), str(project / "run.yaml"), catalogue)
    lines = describe(make_plan(run, catalogue)).splitlines()
    assert lines[2].startswith("teacher ")
    assert lines[2].endswith("sees channels 3, 0, 1")
    assert lines[3].startswith("student ")
    assert lines[3].endswith("sees channels 3, 0")
    found = tapped(str(tmp_path / "run.yaml"), None, catalogue)
    assert [network.input_shape for network in found] == [(12, 3), (12, 2)]


def test_a_plan_without_views_says_nothing_of_them(project: Path, catalogue: Catalogue) -> None:
    text = text_of(teacher="", student="")
    lines = describe(make_plan(parse(text, str(project / "run.yaml"), catalogue), catalogue))
    assert "student" not in lines
    assert "channels" not in lines


def test_a_frozen_teachers_head_is_trained_on_what_it_sees(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(teacher=f"{TEACHER}, freeze: true")
    family = type(run.teacher_family)

    def weights(self: Any, params: Any, structure: Mapping[str, Any]) -> Mapping[str, Tensor]:
        network = self.build(structure, torch.Generator().manual_seed(7))
        return {k: v for k, v in network.state_dict().items() if not k.startswith("head.")}

    monkeypatch.setattr(family, "pretrained", weights)
    monkeypatch.setattr(family, "head", lambda self, structure: "head")
    network = train_teacher(run).module.state_dict()
    kept = weights(run.teacher_family, None, run.teacher_full)
    assert kept["frames.weight"].shape[1] == 3
    assert all(torch.equal(network[name], tensor) for name, tensor in kept.items())
    assert network["head.bias"].abs().max() > 0
