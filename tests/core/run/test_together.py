"""A run whose teacher and supernet are trained by two processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stillhouse.core.config.runfile import load
from stillhouse.core.errors import TrainingError
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.opened import open_run
from stillhouse.core.run.together import together

QUICK = ("search.finalists=1", "search.evaluations=3", "baselines=false", "recipe.distil.epochs=1")


def directory_of(project: Path, folder: Path, catalogue: Catalogue, processes: int) -> RunDirectory:
    sets = (*QUICK, f"train.processes={processes}")
    return RunDirectory.create(folder, load(project / "run.yaml", catalogue, sets=sets).to_yaml())


def weights(directory: RunDirectory, label: str) -> dict[str, torch.Tensor]:
    (place,) = directory.artefacts.glob(f"{label}-*")
    found: dict[str, torch.Tensor] = load_file(place / "artefact.safetensors")
    return found


@pytest.mark.slow
def test_two_processes_find_what_one_finds(
    project: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    kept = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        directory = directory_of(project, folder, catalogue, processes)
        plan = make_plan(load(directory.run_file, catalogue), catalogue)
        with directory:
            summary = execute(plan, catalogue, directory, Silent())
        assert summary.certificate.certified
        assert not torch.distributed.is_initialized()
        kept.append({label: weights(directory, label) for label in ("teacher", "supernet")})
    one, two = kept
    for label, tensors in one.items():
        for name, weight in tensors.items():
            # Attention does not depend on the bias of its keys: Adam steps along rounding errors.
            rows = slice(None, None, 2) if name.endswith("qkv_bias") else slice(None)
            torch.testing.assert_close(two[label][name][rows], weight[rows], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_process_that_ends_before_its_time_is_told_of(
    project: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    directory = directory_of(project, tmp_path / "run", catalogue, 2)
    plan = make_plan(load(directory.run_file, catalogue), catalogue)
    opened = open_run(plan, catalogue, directory, Silent())
    directory.run_file.write_text("task: nothing")
    refused = pytest.raises(TrainingError, match=r"one of the 2 processes .* resume the run")
    with refused, together(opened) as shared:
        shared.context.group.wait()


def test_one_process_is_the_run_as_it_was(
    project: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    directory = directory_of(project, tmp_path / "run", catalogue, 1)
    plan = make_plan(load(directory.run_file, catalogue), catalogue)
    opened = open_run(plan, catalogue, directory, Silent())
    with together(opened) as shared:
        assert shared is opened
        assert shared.context.group.size == 1
