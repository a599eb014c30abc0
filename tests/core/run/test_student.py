"""A student that is not of the teacher's shape, and a teacher whose weights are named."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.core.config.runfile import parse
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModuleTeacher, Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue, ModelInfo, Provenance, hookimpl
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.teaching import initial_state, train_teacher
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily

LOCAL = Provenance("tests", "0", "local")
PLAIN = "keyword-transformer"

RUN = """
task: {{npz: {{path: waves.npz, shift: {shift}}}}}
teacher: {{model: {teacher}, width: 24, depth: 2, heads: 2, epochs: 3, batch_size: 16{more}}}
student: {{model: keyword-transformer, head_dim: 4}}
recipe:
  - soft-labels
  - supernet: {{space: keyword-transformer-tiny, full_epochs: 1, epochs: 1, batch_size: 16}}
search: {{maximize: accuracy, limits: {{parameters: 70%}}, evaluations: 4, batch: 2, finalists: 1}}
target:
  {{runtime: onnxruntime-cpu, profile: 6, repeats: 5, processes: 1, patience_s: 0,
   device: device.json}}
train: {{threads: 1}}
"""


class NamedTransformer(KeywordTransformerFamily):
    """Its weights come from a seed that a parameter names, in place of a file."""

    name = "named-transformer"

    def pretrained(self, params: Any, structure: Mapping[str, Any]) -> Mapping[str, Tensor]:
        network = self.build(structure, torch.Generator().manual_seed(7))
        return {k: v for k, v in network.state_dict().items() if not k.startswith("head.")}

    def weights_source(self, params: Any) -> str:
        return "seed 7"

    def head(self, structure: Mapping[str, Any]) -> str:
        return "head"


@pytest.fixture
def named() -> Iterator[Catalogue]:
    """The catalogue with one more model family."""
    module = ModuleType("named_transformer")
    module.NamedTransformer = NamedTransformer  # type: ignore[attr-defined]

    @hookimpl
    def stillhouse_models() -> Iterator[ModelInfo]:
        yield ModelInfo(
            name="named-transformer",
            summary="a keyword transformer with named weights",
            build="named_transformer:NamedTransformer",
            params=KeywordTransformerParams,
        )

    module.stillhouse_models = stillhouse_models  # type: ignore[attr-defined]
    sys.modules["named_transformer"] = module
    yield Catalogue.discover(extra=[("model", "named-transformer", module, LOCAL)])
    del sys.modules["named_transformer"]


def opened_at(folder: Path, project: Path, catalogue: Catalogue, **words: str) -> Opened:
    text = RUN.format(**{"teacher": "named-transformer", "more": "", "shift": "0", **words})
    plan = make_plan(parse(text, str(project / "run.yaml"), catalogue), catalogue)
    return open_run(plan, catalogue, RunDirectory.create(folder, plan.run.to_yaml()), Silent())


@pytest.mark.slow
def test_the_student_has_its_own_shape_and_the_teacher_keeps_its(
    project: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    text = RUN.format(teacher=PLAIN, more="", shift=0)
    plan = make_plan(parse(text, str(project / "run.yaml"), catalogue), catalogue)
    directory = RunDirectory.create(tmp_path / "run", plan.run.to_yaml())
    with directory:
        summary = execute(plan, catalogue, directory, Silent())
    rows = {row.role: row.structure for row in summary.rows}
    assert rows["teacher"]["head_dim"] == 16
    assert rows["found"]["head_dim"] == rows["scaled"]["head_dim"] == 4


def test_a_frozen_teacher_keeps_the_named_weights_and_trains_its_head(
    project: Path, tmp_path: Path, named: Catalogue
) -> None:
    opened = opened_at(tmp_path / "run", project, named, more=", freeze: true")
    weights = train_teacher(opened).module.state_dict()
    before = opened.teacher_family.pretrained(opened.teacher_params(), opened.teacher_full)
    assert before is not None
    assert all(torch.equal(weights[name], tensor) for name, tensor in before.items())
    assert set(weights) - set(before) == {"head.weight", "head.bias"}
    assert weights["head.bias"].abs().max() > 0


def test_a_named_teacher_that_is_not_frozen_trains_on_from_its_weights(
    project: Path, tmp_path: Path, named: Catalogue
) -> None:
    opened = opened_at(tmp_path / "run", project, named)
    weights = train_teacher(opened).module.state_dict()
    before = opened.teacher_family.pretrained(opened.teacher_params(), opened.teacher_full)
    assert before is not None
    assert not torch.equal(weights["frames.weight"], before["frames.weight"])


@pytest.mark.parametrize(("shift", "often"), [(0, 1), (2, 2)])
def test_a_teacher_runs_once_on_a_sample_that_has_no_views(
    shift: int, often: int, project: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    opened = opened_at(tmp_path / "run", project, catalogue, teacher=PLAIN, shift=str(shift))
    teacher = initial_state(opened, train_teacher(opened)).teachers["teacher"]
    assert isinstance(teacher, ModuleTeacher)
    seen: list[int] = []
    teacher.module.register_forward_hook(lambda _, given, out: seen.append(len(out)))
    train = opened.task.data.train
    for batch in [*train.batches(16, seed=1), *train.batches(16, seed=2)]:
        teacher.observe(batch.inputs)
    assert sum(seen) == often * len(train)


def test_freezing_a_teacher_without_named_weights_is_refused(
    project: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    opened = opened_at(tmp_path / "run", project, catalogue, teacher=PLAIN, more=", freeze: true")
    with pytest.raises(UserError, match="expected parameters that name trained weights"):
        train_teacher(opened)


def test_a_run_file_with_a_student_reads_back_as_it_was_written(
    project: Path, catalogue: Catalogue
) -> None:
    text = RUN.format(teacher=PLAIN, more="", shift=0)
    run = parse(text, str(project / "run.yaml"), catalogue)
    assert parse(run.to_yaml(), "again.yaml", catalogue) == run
    assert run.student.fixed["head_dim"] == 4
