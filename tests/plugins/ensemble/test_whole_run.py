"""A whole run with an ensemble, from its file to its summary, and the same run killed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
from safetensors.torch import load_file

from stillhouse.core.config.runfile import load
from stillhouse.core.errors import RunDirectoryError, UserError
from stillhouse.core.evaluate import Progress, Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary

RUN = """
task: {npz: {path: waves.npz}}
teacher: {model: keyword-transformer, width: 16, depth: 1, heads: 1, epochs: 2, batch_size: 16}
student: {model: keyword-transformer, width: 8, depth: 1, heads: 1, channels: [0, 1]}
recipe:
  - ensemble:
      assistants:
        - {model: keyword-transformer, name: wide, width: 12, depth: 1, heads: 1, epochs: 2, batch_size: 16}
        - {model: keyword-transformer, name: part, width: 8, depth: 1, heads: 1, epochs: 2, batch_size: 16, channels: [1, 2]}
      predictions: said
      topology: cascade
      mixing: {choices: [probabilities, logits]}
  - fresh
  - distil: {epochs: 1, batch_size: 16}
search: {minimize: log_loss, evaluations: 2, fidelity: 1, finalists: 1}
target:
  {runtime: onnxruntime-cpu, profile: 5, repeats: 3, processes: 1, patience_s: 0,
   device: device.json}
train: {threads: 1}
baselines: false
"""  # noqa: E501
CATALOGUE = Catalogue.discover()


class Killed(BaseException):
    """The death of the process: only the disk survives it."""


@final
class Dying:
    """Progress that dies when a stage begins."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def start(self, label: str, total: int) -> None:
        if label.startswith(self._stage):
            raise Killed

    def advance(self, steps: int = 1, note: str = "") -> None: ...
    def finish(self) -> None: ...


def write_said(folder: Path, seed: int = 0) -> None:
    """What a model that is not here says of 90 samples, of which the task has these many."""
    rng = np.random.default_rng(seed)
    (folder / "said").mkdir(exist_ok=True)
    splits = np.load(folder / "waves.npz")
    for place, split in enumerate(("train", "tuning", "validation", "test")):
        targets = splits["y"][splits["split"] == place]
        scores = rng.standard_normal((len(targets), 3)) + 2 * np.eye(3)[targets]
        np.savez(folder / "said" / f"absent.{split}.npz", logits=scores)


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory,
    measured_once: Callable[[], AbstractContextManager[None]],
) -> Iterator[Path]:
    """A folder with a run file, data, a model's predictions, and the finished run `reference`."""
    folder = tmp_path_factory.mktemp("ensemble")
    rng = np.random.default_rng(0)
    targets = np.arange(120) % 3
    time, phase = np.arange(12)[None, :, None], rng.uniform(0, 6, (120, 1, 4))
    inputs = np.sin((targets[:, None, None] + 1) * 0.4 * time + phase)
    inputs += 0.3 * rng.standard_normal(inputs.shape)
    splits = np.repeat([0, 1, 2, 3], (60, 24, 18, 18))
    np.savez(folder / "waves.npz", x=inputs.astype(np.float32), y=targets, split=splits)
    write_said(folder)
    (folder / "run.yaml").write_text(RUN)
    with measured_once():
        started(folder, folder / "reference")
        yield folder


def started(
    project: Path, folder: Path, progress: Progress | None = None, file: str = "run.yaml"
) -> RunSummary:
    if (folder / "run.yaml").exists():
        directory = RunDirectory.existing(folder)
        config = load(directory.run_file, CATALOGUE)
    else:
        config = load(project / file, CATALOGUE)
        directory = RunDirectory.create(folder, config.to_yaml())
    with directory:
        return execute(make_plan(config, CATALOGUE), CATALOGUE, directory, progress or Silent())


def outcome(folder: Path) -> dict[str, Any]:
    summary = RunSummary.from_json((folder / "summary.json").read_text())
    weights = load_file(folder / "best" / "model.safetensors")
    return {
        "found": summary.found,
        "rows": [dataclasses.asdict(row) for row in summary.rows],
        "exhibits": summary.exhibits,
        "weights": {name: tensor.tolist() for name, tensor in weights.items()},
    }


def members(folder: Path) -> dict[str, dict[str, Any]]:
    """What the run's one ensemble says of its models, by name."""
    (record,) = (folder / "artefacts").glob("ensemble-*/artefact.json")
    return {one["name"]: one for one in json.loads(record.read_text())["members"]}


def test_the_summary_shows_the_ensemble_and_what_needs_no_search(project: Path) -> None:
    summary = RunSummary.from_json((project / "reference" / "summary.json").read_text())
    (arms,) = (one for one in summary.exhibits if one["kind"] == "arms")
    roles = [arm["role"] for arm in arms["arms"]]
    assert roles == ["found", "uniform", "best-single", "teacher-alone", "labels-alone"]
    assert not [note for note in summary.notes if "could not" in note or "nothing to show" in note]
    (exhibit,) = (one for one in summary.exhibits if one["kind"] == "ensemble")
    assert exhibit["topology"] == "cascade"
    assert exhibit["samples"] == {"tuning": 24, "test": 18}
    labels = [row["label"] for row in exhibit["rows"] if row["role"] in ("teacher", "member")]
    assert labels == ["teacher", "wide", "part", "absent"]
    assert all(row["test"]["log_loss"]["mean"] > 0 for row in exhibit["rows"])


def test_assistants_have_their_views_and_teachers(project: Path) -> None:
    found = members(project / "reference")
    assert found["part"]["channels"] == [1, 2]
    assert found["part"]["learnt_from"] == ["wide"]
    assert found["wide"]["learnt_from"] == ["teacher"]
    assert (found["absent"]["source"], found["absent"]["macs"]) == ("file", None)


def test_the_assistants_are_no_part_of_what_is_exported(project: Path) -> None:
    weights = load_file(project / "reference" / "best" / "model.safetensors")
    record = json.loads((project / "reference" / "best" / "model.json").read_text())
    assert record["channels"] == [0, 1]
    assert record["structure"]["width"] == 8
    assert not [name for name in weights if "assistant" in name or "adapter" in name]
    assert (
        sum(w.numel() for w in weights.values()) == record["certificate"]["measured"]["parameters"]
    )


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("assistant/part", marks=pytest.mark.slow),
        pytest.param("predict train", marks=pytest.mark.slow),
        "predict test",
    ],
)
def test_a_run_killed_between_stages_ends_the_same(
    project: Path, tmp_path: Path, stage: str
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        started(project, folder, Dying(stage))
    started(project, folder)
    assert outcome(folder) == outcome(project / "reference")


@pytest.mark.slow
def test_a_prediction_file_that_changed_is_noticed(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        started(project, folder, Dying("predict test"))
    write_said(project, seed=1)
    try:
        with pytest.raises(RunDirectoryError, match="changed since it was started"):
            started(project, folder)
    finally:
        write_said(project)


@pytest.mark.slow
def test_a_limit_on_latency_is_measured_in_the_runs_target(project: Path, tmp_path: Path) -> None:
    text = RUN.replace("topology: cascade", "limit_on: latency_ms\n      limit: 1000")
    text = text.replace("      predictions: said\n", "")
    (project / "timed.yaml").write_text(text)
    started(project, tmp_path / "run", file="timed.yaml")
    found = members(tmp_path / "run")
    assert all(0 < one["latency_ms"] < 1000 for one in found.values())
    known = json.loads((project / "device.json").read_text())
    assert len([key for key in known["latencies"] if key.startswith("artefact-")]) >= len(found)


@pytest.mark.slow
def test_assistants_of_several_processes_say_the_same(project: Path, tmp_path: Path) -> None:
    text = RUN.replace("train: {threads: 1}", "train: {threads: 1, processes: 2}")
    (project / "several.yaml").write_text(text)
    started(project, tmp_path / "run", file="several.yaml")
    (one,) = (project / "reference" / "artefacts").glob("ensemble-*")
    (other,) = (tmp_path / "run" / "artefacts").glob("ensemble-*")
    for split in ("tuning", "train"):
        said, expected = (np.load(place / split / "predictions.npy") for place in (other, one))
        np.testing.assert_allclose(said, expected, atol=1e-5)


@pytest.mark.slow
def test_several_processes_refuse_to_time_networks(project: Path, tmp_path: Path) -> None:
    text = RUN.replace("train: {threads: 1}", "train: {threads: 1, processes: 2}")
    text = text.replace("topology: cascade", "limit_on: latency_ms")
    (project / "untimed.yaml").write_text(text)
    with pytest.raises(UserError, match="needs a run with a target and one process"):
        started(project, tmp_path / "run", file="untimed.yaml")
    assert not [*(tmp_path / "run").glob("checkpoints/ensemble-*")]
