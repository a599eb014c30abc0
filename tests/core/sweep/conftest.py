"""A tiny run file with a sweep over it: three kinds of waves, trials of about a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.config.runfile import RunFile, load
from stillhouse.core.plugin import Catalogue
from stillhouse.core.sweep.directory import SweepDirectory

RATE = "recipe.supernet.learning_rate"
RUN_FILE = f"""
task: {{npz: {{path: waves.npz, shift: 0}}}}
teacher: {{model: keyword-transformer, width: 16, depth: 1, heads: 2, epochs: 1, batch_size: 32}}
recipe:
  - supernet: {{space: keyword-transformer-tiny, full_epochs: 0, epochs: 1, batch_size: 32}}
search: {{maximize: accuracy, limits: {{parameters: 9000}}, evaluations: 2, batch: 2, finalists: 1}}
target:
  {{runtime: onnxruntime-cpu, profile: 5, repeats: 1, processes: 1, patience_s: 0,
   device: device.json}}
baselines: false
train: {{threads: 1}}
sweep:
  parameters:
    {RATE}: {{low: 1.0e-3, high: 1.0e-2, log: true}}
    search.evaluations: {{low: 1, high: 3}}
    search.limits.parameters: {{choices: [9000, 1]}}
  maximize: accuracy
  limits: {{size_kb: 60}}
  trials: 4
"""
Made = Callable[..., SweepDirectory]


def write_waves(path: Path) -> None:
    """Noisy sines of three frequencies, (120 samples, 12 frames, 4 features)."""
    rng = np.random.default_rng(0)
    targets = np.arange(120) % 3
    time = np.arange(12)[None, :, None]
    inputs = np.sin((targets[:, None, None] + 1) * 0.4 * time + rng.uniform(0, 6, (120, 1, 4)))
    inputs += 0.3 * rng.standard_normal(inputs.shape)
    np.savez(path, x=inputs.astype(np.float32), y=targets)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue.discover()


@pytest.fixture(scope="session")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run file with a section sweep:, beside its data."""
    folder = tmp_path_factory.mktemp("swept")
    write_waves(folder / "waves.npz")
    (folder / "run.yaml").write_text(RUN_FILE)
    return folder / "run.yaml"


@pytest.fixture
def run_file(sweep_file: Path, catalogue: Catalogue) -> Callable[..., RunFile]:
    def read(*sets: str) -> RunFile:
        return load(sweep_file, catalogue, sets)

    return read


@pytest.fixture
def made(run_file: Callable[..., RunFile], tmp_path: Path) -> Made:
    """A fresh sweep's folder, with settings overridden."""

    def create(*sets: str) -> SweepDirectory:
        return SweepDirectory.create(tmp_path / "sweep", run_file(*sets).to_yaml())

    return create


@pytest.fixture(scope="module", autouse=True)
def quick_measuring(
    measured_once: Callable[[], AbstractContextManager[None]],
) -> Iterator[None]:
    with measured_once():
        yield
