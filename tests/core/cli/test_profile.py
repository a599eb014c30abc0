"""`stillhouse profile`: a device measured here or through a bundle; what goes wrong is one error.

One small run is profiled and bundled once; every test works on copies of these files.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.measure import DeviceFile
from stillhouse.core.measure.blocks import general_shapes

RUN_FILE = """\
task: {npz: {path: data.npz}}
teacher: {model: keyword-transformer, width: 16, depth: 1, heads: 1, epochs: 1}
recipe:
  - supernet: {space: keyword-transformer-tiny, epochs: 1, full_epochs: 1}
search: {maximize: accuracy, limits: {parameters: 90%}, evaluations: 4}
target: {runtime: onnxruntime-cpu, profile: 5, repeats: 3}
"""


@pytest.fixture(scope="module", autouse=True)
def few_shapes() -> Iterator[None]:
    """A few general operators of each kind, timed as often as asked; the workings are the same."""
    every = general_shapes(np.random.default_rng(0))
    kinds = {shape.kind for shape in every}
    few = [s for kind in sorted(kinds) for s in [s for s in every if s.kind == kind][::5]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stillhouse.core.measure.timing._MOST_TIMES", 1)
        patch.setattr("stillhouse.core.measure.profile.general_shapes", lambda rng: few)
        yield


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, a bundle of it with its result, and the device file made of that."""
    folder = tmp_path_factory.mktemp("workshop")
    rng = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=rng.standard_normal((60, 6, 3)), y=np.arange(60) % 3)
    (folder / "run.yaml").write_text(RUN_FILE)
    run, pi = str(folder / "run.yaml"), folder / "pi"
    assert main(["profile", "--run", run, "--bundle", str(pi)]) == 0
    _measured(pi)
    result = ["--from-result", str(pi / "result.json"), "--bundle", str(pi)]
    assert main(["profile", *result, "--out", str(folder / "device.json")]) == 0
    return folder


@pytest.fixture
def bench(workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(workshop, tmp_path / "bench")
    monkeypatch.chdir(tmp_path / "bench")
    return tmp_path / "bench"


def _measured(bundle: Path) -> None:
    """Runs the bundle's script where stillhouse cannot be imported, with little patience."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["repeats"] = manifest["warmup"] = 1
    manifest["settings"]["patience_s"] = 0
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    subprocess.run(
        [sys.executable, "-I", "measure.py"], cwd=bundle, check=True, capture_output=True
    )


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def _refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["profile", *arguments]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) <= 6
    return error


def test_a_bundles_result_is_a_device_file_with_networks_and_operators(bench: Path) -> None:
    device = DeviceFile.read(bench / "device.json")
    structures = device.structures("keyword-transformer")
    assert len(structures) == len(device) >= 5
    assert all(measured.size_bytes > 1000 for _, measured in structures)
    kinds = {shape["kind"] for shape, _ in device.blocks().values()}
    assert {"session", "linear", "attention", "norm", "add", "gelu"} <= kinds
    assert device.identity["input_shape"] == [6, 3]
    assert device.reference_ms is not None


def test_a_bundle_is_small_because_its_networks_share_weights(bench: Path) -> None:
    manifest = json.loads((bench / "pi" / "manifest.json").read_text())
    own = sum(network["size_bytes"] for network in manifest["networks"])
    networks = {network["artefact"] for network in manifest["networks"]}
    files = [bench / "pi" / "artefacts" / f"{key}.onnx" for key in networks]
    assert sum(file.stat().st_size for file in files) < own / 2
    weights = bench / "pi" / "artefacts" / "weights.bin"
    assert weights.stat().st_size < max(n["size_bytes"] for n in manifest["networks"])


@pytest.mark.slow
def test_a_device_is_profiled_here_and_continued(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["profile", "--out", "here.json", "--set", "patience_s=0", "--set", "batch=2"]
    stopped = [True]

    def stopping(self: DeviceFile, blocks: object) -> None:
        put(self, blocks)  # type: ignore[arg-type]
        if stopped.pop():
            raise KeyboardInterrupt

    put = DeviceFile.put_blocks
    monkeypatch.setattr("stillhouse.core.measure.blocks._GROUP", 8)
    with monkeypatch.context() as patch:
        patch.setattr(DeviceFile, "put_blocks", stopping)
        assert main(arguments) == 130
    assert "what was measured is kept in here.json" in capsys.readouterr().err
    first = DeviceFile.read(bench / "here.json").blocks()
    assert first
    assert main(arguments) == 0
    device = DeviceFile.read(bench / "here.json")
    assert len(device.blocks()) > len(first)
    assert first.items() <= device.blocks().items(), "what was there stays"
    assert device.identity["batch"] == 2
    assert "input_shape" not in device.identity
    said = capsys.readouterr().out
    assert f"batch 2: 0 networks, {len(device.blocks())} blocks" in said


def test_adapting_to_a_device_without_what_it_takes_names_it_and_the_command(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = bench / "device.json"
    adapting = ("--adapt", "device.json", "--run", "run.yaml", "--out", "new.json")

    def without_attention(raw: dict[str, Any]) -> None:
        raw["structures"] = {}
        for key in [key for key in raw["blocks"] if key.startswith("attention")]:
            del raw["blocks"][key]

    _edit(there, without_attention)
    error = _refused(capsys, *adapting)
    assert "no measurements of operators that this run's networks contain: attention." in error
    assert "stillhouse profile --run RUN_FILE --bundle DIR" in error
    _edit(there, lambda raw: raw.update(blocks={}))
    error = _refused(capsys, *adapting)
    assert "knows 0 networks of this run and no operators" in error
    assert "stillhouse profile --run RUN_FILE" in error
    assert not (bench / "new.json").exists()


WRITTEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "of another runtime version": (
        lambda path: _edit(path, lambda raw: raw["identity"].update(runtime="onnxruntime 1.2.3")),
        "runtime: file 'onnxruntime 1.2.3', now 'onnxruntime",
    ),
    "of other settings": (
        lambda path: _edit(path, lambda raw: raw["identity"].update(batch=9)),
        "batch: file 9, now 1",
    ),
    "of another device": (
        lambda path: _edit(path, lambda raw: raw["identity"].update(cpu="Imaginary 3")),
        "holds another device's measurements",
    ),
    "of another format": (
        lambda path: _edit(path, lambda raw: raw.update(format=1)),
        "a device file of format 1",
    ),
    "cut short": (lambda path: path.write_text(path.read_text()[:99]), "it is not JSON"),
    "of no times": (
        lambda path: _edit(path, lambda raw: raw["latencies"].update(k={})),
        "latencies.k",
    ),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "cannot read the device file"),
}


@pytest.mark.parametrize(("write", "said"), WRITTEN.values(), ids=WRITTEN)
def test_a_device_file_that_cannot_be_continued_is_one_clear_error(
    write: Callable[[Path], object],
    said: str,
    bench: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(bench / "device.json")
    assert said in _refused(capsys, "--run", "run.yaml", "--out", "device.json")


def test_a_result_of_another_bundle_is_refused(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _edit(bench / "pi" / "result.json", lambda raw: raw["latencies"].popitem())
    result = ("--from-result", "pi/result.json", "--bundle", "pi", "--out", "new.json")
    assert "pi/result.json lacks 1 of the" in _refused(capsys, *result)
    assert not (bench / "new.json").exists()


def test_a_result_of_another_runtime_is_taken_with_a_note(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _edit(bench / "pi" / "result.json", lambda r: r["identity"].update(runtime="onnxruntime 1.2"))
    result = ["--from-result", "pi/result.json", "--bundle", "pi", "--out", "new.json"]
    assert main(["profile", *result]) == 0
    assert "note: measured with onnxruntime 1.2" in capsys.readouterr().err
    assert DeviceFile.read(bench / "new.json").identity["runtime"] == "onnxruntime 1.2"


def test_an_artefact_that_cannot_be_read_stops_the_script_with_its_name(bench: Path) -> None:
    manifest = json.loads((bench / "pi" / "manifest.json").read_text())
    path = manifest["artefacts"][3]["path"]
    (bench / "pi" / path).write_bytes(b"not a model")
    command = [sys.executable, "-I", "pi/measure.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert path in done.stderr
    assert "Traceback" not in done.stderr


OPTIONS = {
    "nothing to write": ([], "expected --out FILE"),
    "a result without its bundle": (["--from-result", "r", "--out", "o"], "--bundle DIR"),
    "a bundle that measures": (["--bundle", "b", "--out", "o"], "measures nothing"),
    "networks of no run": (["--networks", "3", "--out", "o"], "add --run RUN_FILE"),
    "no networks": (["--run", "run.yaml", "--networks", "0", "--out", "o"], "at least 1"),
    "two targets": (["--run", "run.yaml", "--target", "x", "--out", "o"], "leave --target out"),
    "a target of a result": (
        ["--from-result", "r", "--bundle", "b", "--target", "x", "--out", "o"],
        "what the bundle fixed",
    ),
    "more threads than cores": (["--set", "threads=200", "--out", "o"], "threads: expected 1 to"),
    "threads that are no number": (["--set", "threads=two", "--out", "o"], "--set threads=two"),
    "no threads": (["--set", "threads=0", "--out", "o"], "threads"),
    "an unknown setting": (["--set", "thread=2", "--out", "o"], "did you mean 'threads'"),
    "an unknown target": (["--target", "onnxruntime", "--out", "o"], "onnxruntime-cpu"),
    "a target that measures no operators": (
        ["--target", "torch-cpu", "--out", "o"],
        "target torch-cpu cannot measure single operators",
    ),
    "a run that is not there": (["--run", "rum.yaml", "--out", "o"], "did you mean 'run.yaml'"),
    "a bundle's folder in use": (["--bundle", "pi"], "expected a new or empty folder"),
    "a device file that is not there": (
        ["--adapt", "no.json", "--run", "run.yaml", "--out", "o"],
        "cannot read the device file no.json",
    ),
}


@pytest.mark.parametrize(("options", "said"), OPTIONS.values(), ids=OPTIONS)
def test_options_that_make_no_sense_are_one_clear_error(
    options: list[str], said: str, bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in _refused(capsys, *options)
    assert not (bench / "o").exists()
