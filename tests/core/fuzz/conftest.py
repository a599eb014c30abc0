"""Small valid files of every kind that may come from a stranger, and what reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from stillhouse.core.config.runfile import load as load_run_file
from stillhouse.core.distill.checkpoint import Checkpoint, Snapshot
from stillhouse.core.evaluate import prediction_folder
from stillhouse.core.evaluate.prediction_sheet import read_sheet
from stillhouse.core.evaluate.predictions import Origin, Predictions
from stillhouse.core.measure import DeviceFile, Latency
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.ledger import Entry, Ledger, read_entries
from stillhouse.core.run.loading import described, load
from stillhouse.core.run.pool import Pool
from stillhouse.core.run.summary import Certificate, Evaluation, LimitLine, ModelRow, RunSummary
from stillhouse.core.space import load_space
from stillhouse.plugins.models.encoder.foreign.files import read_config
from stillhouse.plugins.targets.program import Program, Step
from stillhouse.plugins.targets.program_file import read_program, write_program
from stillhouse.plugins.tasks.archive import arrays


@dataclass(frozen=True)
class Sample:
    """A valid file, and what reads it: raises nothing for the file as it is."""

    path: Path
    read: Callable[[Path], object]


RUN_FILE = """\
name: waves
task: {npz: {path: waves.npz, shift: 0}}
teacher: {model: keyword-transformer, width: 24, depth: 2, heads: 2, epochs: 3, batch_size: 16}
recipe:
  - soft-labels: {weight: 0.5, temperature: {low: 1, high: 8, log: true}}
  - supernet: {space: keyword-transformer-tiny, full_epochs: 2, epochs: 2, batch_size: 16}
search: {maximize: accuracy, limits: {parameters: 70%, latency_ms: 0.2}, evaluations: 6}
target: {runtime: onnxruntime-cpu, device: device.json}
"""
SPACE = """\
name: small
dimensions:
  depth: {low: 1, high: 3}
  heads: {choices: [1, 2, 4], per: depth}
  dropout: {low: 0.0, high: 0.5}
  front: {choices: [waveform, mel]}
  bands: {choices: [40, 80], when: {front: mel}}
  weights: {simplex: 3}
  hints: {taps: 2, of: 4}
"""
GENES = {"supernet.depth": 2, "supernet.heads": [1, 2]}
COSTS = {"parameters": 120.0, "latency_ms": 0.125}
LATENCY = Latency(0.25, 0.3, 5, "2026-01-31", 0.26, 0.24, 0.27)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue.discover()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> dict[str, Sample]:
    folder = tmp_path_factory.mktemp("samples")
    made = {
        **_texts(folder, catalogue),
        **_records(folder),
        **_models(folder, catalogue),
        **_tensors(folder),
        **_predictions(folder),
    }
    for sample in made.values():
        sample.read(sample.path)
    return made


def _texts(folder: Path, catalogue: Catalogue) -> dict[str, Sample]:
    (folder / "run.yaml").write_text(RUN_FILE)
    (folder / "space.yaml").write_text(SPACE)
    return {
        "run file": Sample(folder / "run.yaml", lambda path: load_run_file(path, catalogue)),
        "search space": Sample(folder / "space.yaml", _drawn),
    }


def _drawn(path: Path) -> object:
    space = load_space(path)
    rows = space.sample(2, np.random.default_rng(0))
    return [space.decode(row) for row in rows], str(space.size())


def _records(folder: Path) -> dict[str, Sample]:
    with Ledger(folder / "ledger.jsonl", "print") as ledger:
        for number in range(3):
            key = f"{number:016x}"
            ledger.append(Entry(number, key, GENES, COSTS, {"accuracy": 0.5}, 1.25))
    device = DeviceFile.open(folder / "device.json", {"target": "t", "cpu": "c", "cores": 2})
    device.put("k", LATENCY, 1_000)
    device.put_structures("family", {"k": {"width": 8}})
    device.put_blocks({"b": ({"kind": "linear", "sizes": [1, 2]}, LATENCY)})
    device.set_anchors("family", [{"width": 8}])
    device.set_reference(0.5)
    (folder / "summary.json").write_text(summary().to_json())
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 8}))
    return {
        "ledger": Sample(folder / "ledger.jsonl", _continued),
        "device file": Sample(folder / "device.json", _told),
        "summary": Sample(folder / "summary.json", lambda path: RunSummary.read(path).to_json()),
        "transformers configuration": Sample(
            folder / "config.json", lambda path: read_config(path.parent)
        ),
    }


def _continued(path: Path) -> object:
    read = read_entries(path)
    with Ledger(path, "print") as ledger:
        return read, ledger.by_key


def _told(path: Path) -> object:
    device = DeviceFile.read(path)
    known = [device.get("k"), device.block("b"), device.reference_ms, device.energy]
    return known, device.structures("family"), device.anchors("family"), device.describe()


def summary() -> RunSummary:
    """A short one."""
    row = ModelRow("found", "found", GENES, {"accuracy": 0.5}, {}, 120, 480, 99, 64, 0.1, 0.2, 0.1)
    limit = LimitLine("latency_ms", "<=", 0.2, "<= 0.2")
    evaluation = Evaluation(0, "00", GENES, COSTS, {"accuracy": 0.5}, 1.5, on_front=True)
    certificate = Certificate(
        "best/model.onnx", "0" * 64, COSTS, [limit], 1e-6, "torch", {"cpu": "c"}, "2026-01-31"
    )
    return RunSummary(
        "run", "waves", [{"name": "accuracy", "maximize": True}], [limit], "random", 0, "12",
        [evaluation], [], {}, [row], GENES, GENES, certificate,
    )  # fmt: skip


def _models(folder: Path, catalogue: Catalogue) -> dict[str, Sample]:
    for name in ("described", "weighed"):
        place = folder / name
        place.mkdir()
        info = catalogue.model("keyword-transformer")
        family = catalogue.resolve(info)()  # type: ignore[operator]
        params = info.params(width=8, depth=1, heads=1)
        structure = family.structure(params, (12, 4), 3)
        module = family.build(structure, torch.Generator().manual_seed(0))
        save_file(module.state_dict(), place / "model.safetensors")
        record = {"format": 1, "family": info.name, "structure": structure, "rebuilds": []}
        (place / "model.json").write_text(json.dumps(record))

    def loaded(path: Path) -> object:
        return described(path.parent), load(path.parent, catalogue)

    return {
        "model.json": Sample(folder / "described" / "model.json", loaded),
        "model.safetensors": Sample(folder / "weighed" / "model.safetensors", loaded),
    }


def _tensors(folder: Path) -> dict[str, Sample]:
    Pool(np.array([[0.0, 1.0], [1.0, 0.25]]), {"macs": np.array([1.0, 2.0])}, True).write(
        folder / "pool.safetensors", "mark"
    )
    weights = {"w": torch.arange(6.0).reshape(2, 3)}
    step = Step("linear.default", ("x", "@0"), {})
    write_program(Program((1, 3), "float32", (step,), "%0", weights), folder / "net.program")
    kept = Checkpoint(folder, "teacher", "print")
    kept.save(Snapshot(weights, {"updates": 3}))
    (folder / "plain.safetensors").write_bytes(save(weights))
    return {
        "pool": Sample(folder / "pool.safetensors", lambda path: Pool.read(path, "mark")),
        "program": Sample(folder / "net.program", read_program),
        "checkpoint": Sample(
            folder / "teacher.safetensors",
            lambda path: Checkpoint(path.parent, path.stem, "print").load(),
        ),
    }


def _predictions(folder: Path) -> dict[str, Sample]:
    given = np.array([[0.25, 0.75], [0.5, 0.5], [0.75, 0.25]], np.float32)
    targets = np.array([1, 0, 0])
    origin = Origin((None,), ("a",))
    predictions = Predictions(("m",), ("a", "b"), "tuning", given[None], targets, origin)
    prediction_folder.write(predictions, folder / "predictions")
    np.save(folder / "rows.npy", given)
    np.savez(folder / "rows.npz", probabilities=given, targets=targets, classes=["a", "b"])
    np.savez_compressed(folder / "waves.npz", x=given, y=targets)
    (folder / "rows.csv").write_text("a,b\n0.25,0.75\n0.5,0.5\n")

    def read(path: Path) -> object:
        return prediction_folder.read(path.parent).verify()

    files = {name: Sample(folder / "predictions" / name, read) for name in _FILES}
    sheets = {f"rows{end}": Sample(folder / f"rows{end}", read_sheet) for end in _ENDS}
    return {**files, **sheets, "data": Sample(folder / "waves.npz", arrays)}


_FILES = ("predictions.json", "predictions.npy", "targets.npy")
_ENDS = (".npy", ".npz", ".csv")
