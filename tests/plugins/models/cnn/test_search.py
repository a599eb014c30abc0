"""A whole search for a convolutional network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.core.config.runfile import load
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute

RUN_FILE = """\
task: {npz: {path: marks.npz, shift: 0}}
teacher: {model: cnn, dimensions: 2, width: 24, kernel: 5, block: residual, epochs: 3,
          batch_size: 16}
recipe:
  - soft-labels: {weight: 0.5}
  - supernet: {space: cnn-small-residual, full_epochs: 2, epochs: 2, batch_size: 16, sort: true}
search: {maximize: accuracy, limits: {size_kb: 60%}, evaluations: 6, finalists: 1}
target:
  {runtime: onnxruntime-cpu, profile: 12, repeats: 5, processes: 1, patience_s: 0,
   device: device.json}
train: {threads: 1}
"""


@pytest.mark.slow
def test_the_file_of_the_network_found_is_as_large_as_foretold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(90) % 3
    inputs = rng.standard_normal((90, 8, 6)).astype(np.float32)
    inputs[np.arange(90), 2 * targets] += 2
    np.savez(tmp_path / "marks.npz", x=inputs, y=targets)
    (tmp_path / "run.yaml").write_text(RUN_FILE)
    catalogue = Catalogue.discover()
    config = load(tmp_path / "run.yaml", catalogue)
    with RunDirectory.create(tmp_path / "run", config.to_yaml()) as directory:
        summary = execute(make_plan(config, catalogue), catalogue, directory, Silent())
    (limit,) = summary.certificate.limits
    found = next(row for row in summary.rows if row.role == "found")
    assert found.size_bytes <= 1000 * limit.bound
    foretold = [
        evaluation.costs["size_kb"]
        for evaluation in summary.evaluations
        if own(evaluation.configuration) == own(summary.found)
    ]
    assert found.size_bytes == pytest.approx(1000 * foretold[0], rel=2e-3)


def own(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("supernet."): value for name, value in configuration.items()}
