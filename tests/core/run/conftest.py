"""Whole searches in seconds: three kinds of waves, very small keyword transformers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.config.runfile import load
from stillhouse.core.evaluate import Silent
from stillhouse.core.evaluate.context import Progress
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary

Once = Callable[[], AbstractContextManager[None]]
RUN_FILE = """
task: {npz: {path: waves.npz, shift: 0}}
teacher: {model: keyword-transformer, width: 24, depth: 2, heads: 2, epochs: 3, batch_size: 16}
recipe:
  - soft-labels: {weight: 0.5}
  - supernet: {space: keyword-transformer-tiny, full_epochs: 2, epochs: 2, batch_size: 16}
  - distil: {epochs: 2, batch_size: 16}
search: {maximize: accuracy, limits: {parameters: 70%}, evaluations: 6, batch: 3, finalists: 2}
target:
  {runtime: onnxruntime-cpu, profile: 6, repeats: 5, processes: 1, patience_s: 0,
   device: device.json}
train: {threads: 1}
"""


def write_waves(path: Path, samples: int = 120) -> None:
    """Noisy sines of three frequencies, (samples, 12 frames, 4 features)."""
    rng = np.random.default_rng(0)
    targets = np.arange(samples) % 3
    phase = rng.uniform(0, 6, (samples, 1, 4))
    time = np.arange(12)[None, :, None]
    inputs = np.sin((targets[:, None, None] + 1) * 0.4 * time + phase)
    inputs += 0.3 * rng.standard_normal(inputs.shape)
    np.savez(path, x=inputs.astype(np.float32), y=targets)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue.discover()


@pytest.fixture(scope="session")
def project(
    tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue, measured_once: Once
) -> Path:
    """A folder with a run file, its data, and a device file in which everything is measured."""
    folder = tmp_path_factory.mktemp("project")
    write_waves(folder / "waves.npz")
    (folder / "run.yaml").write_text(RUN_FILE)
    with measured_once():
        started(folder, folder / "reference", catalogue)
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick_measuring(measured_once: Once) -> Iterator[None]:
    with measured_once():
        yield


@pytest.fixture(scope="session")
def run(project: Path, catalogue: Catalogue) -> Callable[..., RunSummary]:
    """Search into a folder, or go on with the run that is there."""

    def searched(folder: Path, progress: Progress | None = None) -> RunSummary:
        return started(project, folder, catalogue, progress)

    return searched


@pytest.fixture
def other_waves(tmp_path: Path) -> Path:
    """A data file of the same shape with other content."""
    write_waves(tmp_path / "other.npz", samples=123)
    return tmp_path / "other.npz"


@pytest.fixture
def finished(project: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(project / "reference", tmp_path / "finished"))


def started(
    project: Path, folder: Path, catalogue: Catalogue, progress: Progress | None = None
) -> RunSummary:
    if (folder / "run.yaml").exists():
        directory = RunDirectory.existing(folder)
        config = load(directory.run_file, catalogue)
    else:
        config = load(project / "run.yaml", catalogue)
        directory = RunDirectory.create(folder, config.to_yaml())
    with directory:
        return execute(make_plan(config, catalogue), catalogue, directory, progress or Silent())
