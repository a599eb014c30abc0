"""Small valid files of every kind that may come from a stranger, and what reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import pytest
import torch
from onnx import external_data_helper
from safetensors.torch import save, save_file

from stillhouse.core.config.runfile import load as load_run_file
from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.distill.checkpoint import Checkpoint, Snapshot
from stillhouse.core.evaluate import Artefact, prediction_folder
from stillhouse.core.evaluate.artefacts import ArtefactStore
from stillhouse.core.evaluate.prediction_sheet import read_sheet
from stillhouse.core.evaluate.predictions import Origin, Predictions
from stillhouse.core.measure import DeviceFile, Latency
from stillhouse.core.measure.block_shapes import copies_of
from stillhouse.core.measure.bundle_result import artefact_hashes, device_file_of, runtime_note
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.costing import kept_facts
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import Stopwatch
from stillhouse.core.run.exported_model import ExportedModel
from stillhouse.core.run.ledger import Entry, Ledger, read_entries
from stillhouse.core.run.loading import described, load
from stillhouse.core.run.pool import Pool, mark_of
from stillhouse.core.run.reuse import answer
from stillhouse.core.run.summary import Certificate, Evaluation, LimitLine, ModelRow, RunSummary
from stillhouse.core.search import open_study
from stillhouse.core.space import load_space
from stillhouse.plugins.models.encoder.foreign.files import read_config
from stillhouse.plugins.targets.graph_file import read_graph
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
def onnx_model() -> Callable[..., onnx.ModelProto]:
    """Makes a small model: `external` names a file of its weights, `domain` its operator's."""
    return adding


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> dict[str, Sample]:
    folder = tmp_path_factory.mktemp("samples")
    made = {
        **_texts(folder, catalogue),
        **_records(folder),
        **_models(folder, catalogue),
        **_tensors(folder),
        **_predictions(folder),
        **_bundles(folder / "bundle"),
        **_artefacts(folder / "artefacts"),
        **_stored_run(folder / "run", catalogue),
        **_studies(folder),
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
        return read, ledger.entries


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


def _bundles(folder: Path) -> dict[str, Sample]:
    """A bundle of one network and one operator, and what a device measured."""
    folder.mkdir()
    artefacts = [{"key": key, "path": f"artefacts/{key}", "role": "network"} for key in "abcd"]
    shape = Shape("linear", 4, 8, 8, bias=1)
    keys = (shape.key, *(f"nothing copies={n}" for n in (1, copies_of(shape))))
    shapes = (shape.to_json(), None, None)
    manifest = {
        "format": 1,
        "target": "t",
        "settings": {"threads": 1},
        "identity": {"target": "t", "threads": 1},
        "written_with": "r 1",
        "repeats": 5,
        "warmup": 1,
        "artefacts": artefacts,
        "blocks": [
            {"key": key, "shape": one, "artefact": by}
            for key, one, by in zip(keys, shapes, "bcd", strict=True)
        ],
        "networks": [
            {"key": "n", "family": "f", "structure": {"width": 8}, "size_bytes": 9,
             "artefact": "a", "sha256": "0" * 64}
        ],
    }  # fmt: skip
    result = {
        "format": 1,
        "identity": {"cpu": "c", "cores": 2, "runtime": "r 1"},
        "settings": {"threads": 1},
        "latencies": {key: LATENCY.to_json() for key in "abcd"},
        "reference": {"ms": 0.5, "numpy": np.__version__},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "result.json").write_text(json.dumps(result))

    def read(path: Path) -> object:
        (out := folder / "out.json").unlink(missing_ok=True)
        device = device_file_of(folder / "result.json", folder, out)
        runtime_note(folder, device)
        return artefact_hashes(folder), _told(out)

    return {
        "bundle manifest": Sample(folder / "manifest.json", read),
        "bundle result": Sample(folder / "result.json", read),
    }


def _artefacts(folder: Path) -> dict[str, Sample]:
    made = Artefact({"w": torch.arange(6.0)}, {"updates": 3, "loss": float("inf")})
    place = folder / "teacher-key"
    ArtefactStore(folder).memo("teacher", "key", lambda: made)

    def read(path: Path) -> object:
        return ArtefactStore(folder).memo("teacher", "key", lambda: made)

    names = ("artefact.json", "artefact.safetensors")
    return {name: Sample(place / name, read) for name in names}


def _stored_run(folder: Path, catalogue: Catalogue) -> dict[str, Sample]:
    """A run that has ended, as `--reuse` and `certify` find it; its data are nowhere."""
    directory = RunDirectory.create(folder, RUN_FILE)
    space = make_plan(load_run_file(directory.run_file, catalogue), catalogue).space
    codes = space.unique(space.sample(20, np.random.default_rng(0)))
    report = {"measured": 4, "mape": 0.1, "spearman": 1, "kendall": 1, "within_10_percent": 1}
    latency = {
        "kind": "fitted", "coefficients": {"constant": 0.01}, "covariance": [[0.1]], "margin": 0.1,
        "noise": 0.1, "report": report,
    }  # fmt: skip
    teacher = {"parameters": 200.0, "latency_ms": 0.5}
    facts = {
        "teacher": teacher, "latency": latency, "energy": None, "resident": None, "why": "so",
        "size": {"coefficients": {"constant": 9.0}, "residual_bytes": 1.0}, "pairs": [],
        "measured": {"codes": codes[:2].tolist(), "latency_ms": [0.1, 0.1]},
    }  # fmt: skip
    directory.costs.write_text(json.dumps(facts))
    spread = np.linspace(0.5, 1.0, len(codes))
    table = {"parameters": 120 * spread, "latency_ms": 0.1 * spread}
    Pool(codes, table, False).write(folder / "pool.safetensors", mark_of(space, facts))
    (folder / "stages.json").write_text(json.dumps({"costs": 1.5}))
    genes = [space.decode(row) for row in codes[:3]]
    with Ledger(directory.ledger, "print") as ledger:
        for number, (key, gene) in enumerate(zip(space.keys(codes[:3]), genes, strict=True)):
            costs = {"parameters": 100.0, "latency_ms": 0.1}
            ledger.append(Entry(number, key, gene, costs, {"accuracy": 0.5}, 1.25))
    directory.summary.write_text(summary().to_json())
    directory.best.mkdir()
    (directory.best / "model.onnx").write_bytes(adding().SerializeToString())
    certificate = {"measured": COSTS, "machine": {"cpu": "c"}, "sha256": "0" * 64, "dropped": []}
    (directory.best / "model.json").write_text(
        json.dumps({
            "format": 1, "family": "keyword-transformer", "structure": {"width": 8}, "rebuilds": [],
            "configuration": genes[0], "certificate": certificate,
        })
    )  # fmt: skip

    def asked(path: Path) -> object:
        return answer(folder, ["parameters <= 1000"], catalogue)

    def certified(path: Path) -> object:
        opened = SimpleNamespace(target=SimpleNamespace(suffix=".onnx"), directory=directory)
        known = {"certificate": asdict(summary().certificate), "limits": [], "versions": {"x": "1"}}
        model = ExportedModel.of(cast("Any", opened), directory.best, known)
        return model.key, sorted(model.then.values()), list(model.altered()), asked(path)

    return {
        "costs": Sample(directory.costs, lambda path: (kept_facts(path), asked(path))),
        "stages": Sample(folder / "stages.json", lambda path: Stopwatch(path, float).seconds),
        "pool of a run": Sample(folder / "pool.safetensors", asked),
        "certificate": Sample(directory.best / "model.json", certified),
        "ONNX model": Sample(directory.best / "model.onnx", read_graph),
    }


def adding(external: str | None = None, domain: str = "") -> onnx.ModelProto:
    """Adds four weights, perhaps of another file, to its four inputs."""
    weights = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [4], [1.0, 2.0, 3.0, 4.0])
    if external is not None:
        del weights.float_data[:]
        external_data_helper.set_external_data(_with_raw(weights), external)
        weights.ClearField("raw_data")
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"], domain=domain)
    ends = [onnx.helper.make_tensor_value_info(name, 1, [4]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weights])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


def _with_raw(tensor: onnx.TensorProto) -> onnx.TensorProto:
    tensor.raw_data = b"\0" * 16
    return tensor


def _studies(folder: Path) -> dict[str, Sample]:
    space = load_space(SPACE)

    def continued(path: Path) -> object:
        with open_study(space, maximize="a", sampler="evolution", ledger=path) as study:
            return study.trials, study.ask(2)

    path = folder / "study.jsonl"
    with open_study(space, maximize="a", sampler="evolution", ledger=path) as study:
        study.tell(study.ask(3), {"a": [0.1, 0.2, float("nan")]})
        study.ask(2)
    return {"study": Sample(path, continued)}


_FILES = ("predictions.json", "predictions.npy", "targets.npy")
_ENDS = (".npy", ".npz", ".csv")
