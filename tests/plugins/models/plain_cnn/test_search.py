"""Whole searches with the networks of the ladder: from one family's teacher to a subnet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stillhouse.core import load
from stillhouse.core.config.runfile import load as load_run_file
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute

RUN_FILE = """\
task: {{npz: {{path: marks.npz, shift: 0}}}}
teacher: {{model: {teacher}, epochs: 3, batch_size: 16}}
student: {{model: {student}}}
recipe:
  - soft-labels: {{weight: 0.5}}
  - supernet: {{space: auto, full_epochs: 2, epochs: 2, batch_size: 16, sort: true}}
search: {{maximize: accuracy, limits: {{size_kb: 60%}}, evaluations: 3, finalists: 1}}
target: {{runtime: torch-cpu, repeats: 5, processes: 1, patience_s: 0}}
train: {{threads: 1}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("teacher", "student"),
    [("plain-cnn, size: 8", "plain-cnn, size: 2"), ("resnet, size: 14", "resnet, size: 8")],
)
def test_a_search_leaves_a_smaller_network_of_the_students_family(
    tmp_path: Path, teacher: str, student: str
) -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(90) % 3
    inputs = rng.standard_normal((90, 8, 6)).astype(np.float32)
    inputs[np.arange(90), 2 * targets] += 2
    np.savez(tmp_path / "marks.npz", x=inputs, y=targets)
    (tmp_path / "run.yaml").write_text(RUN_FILE.format(teacher=teacher, student=student))
    catalogue = Catalogue.discover()
    config = load_run_file(tmp_path / "run.yaml", catalogue)
    with RunDirectory.create(tmp_path / "run", config.to_yaml()) as directory:
        summary = execute(make_plan(config, catalogue), catalogue, directory, Silent())
    found = next(row for row in summary.rows if row.role == "found")
    teachers = next(row for row in summary.rows if row.role == "teacher")
    assert found.parameters < teachers.parameters
    module = load(tmp_path / "run")
    assert sum(w.numel() for w in module.parameters()) == found.parameters
