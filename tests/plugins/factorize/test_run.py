"""A whole run in which the rank is searched: found, exported, loaded, certified again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from stillhouse.core.cli.main import main
from stillhouse.core.run.loading import load
from stillhouse.core.run.summary import RunSummary

RUN = """
task: {npz: {path: waves.npz}}
teacher: {model: keyword-transformer, width: 24, depth: 2, heads: 2, epochs: 2}
recipe:
  - supernet: {space: keyword-transformer-tiny, full_epochs: 1, epochs: 2}
  - factorize: {rank: {low: 0.1, high: 0.4}, feed_forward: {low: 0.1, high: 1}}
  - distil: {epochs: 1}
search: {maximize: accuracy, limits: {parameters: 60%}, evaluations: 6, batch: 3, finalists: 2}
target: {runtime: onnxruntime-cpu, profile: 6, repeats: 5, device: device.json, processes: 1,
         patience_s: 0}
baselines: false
train: {threads: 1}
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory,
    measured_once: Callable[[], AbstractContextManager[None]],
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("factorised")
    rng = np.random.default_rng(0)
    targets = np.arange(120) % 3
    phase = rng.uniform(0, 6, (120, 1, 4))
    inputs = np.sin((targets[:, None, None] + 1) * 0.4 * np.arange(12)[None, :, None] + phase)
    np.savez(folder / "waves.npz", x=inputs.astype(np.float32), y=targets)
    (folder / "run.yaml").write_text(RUN)
    with pytest.MonkeyPatch.context() as patch, measured_once():
        patch.chdir(folder)
        assert main(["search", "run.yaml", "--out", "found"]) == 0
        assert main(["search", "run.yaml", "--out", "again"]) == 0
        yield folder / "found"


def test_the_found_model_has_the_ranks_and_the_weights_that_were_counted(found: Path) -> None:
    summary = RunSummary.from_json((found / "summary.json").read_text())
    record = json.loads((found / "best" / "model.json").read_text())
    (limit,) = summary.limits
    counted = summary.certificate.measured["parameters"]
    assert counted <= limit.bound
    assert counted == sum(w.numel() for w in load(found).parameters())
    shown = next(one for one in summary.exhibits if one["kind"] == "factorize")
    ranks = {row["name"]: row["rank"] for row in shown["layers"]}
    changes = [change["record"]["ranks"] for change in record["rebuilds"]]
    assert changes == [ranks]
    assert ranks


def test_the_loaded_model_answers_as_the_exported_one(found: Path) -> None:
    inputs = np.load(found.parent / "waves.npz")["x"][:1]
    session = onnxruntime.InferenceSession(
        found / "best" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (exported,) = session.run(None, {session.get_inputs()[0].name: inputs})
    with torch.no_grad():
        ours = load(found)(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(ours, exported, atol=1e-5)


def test_a_second_run_with_the_seed_evaluates_and_finds_the_same(found: Path) -> None:
    one, two = (
        RunSummary.from_json((found.parent / name / "summary.json").read_text())
        for name in ("found", "again")
    )
    assert [e.configuration for e in one.evaluations] == [e.configuration for e in two.evaluations]
    assert [e.values for e in one.evaluations] == [e.values for e in two.evaluations]
    mine, theirs = (load(found.parent / name).state_dict() for name in ("found", "again"))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_its_models_are_measured_again(
    found: Path, measured_once: Callable[[], AbstractContextManager[None]]
) -> None:
    with measured_once():
        assert main(["certify", str(found)]) == 0
