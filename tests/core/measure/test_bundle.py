from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Silent
from stillhouse.core.measure import DeviceFile, Exported, Latency, Target
from stillhouse.core.measure.bench import export_untrained, structure_key
from stillhouse.core.measure.bundle import Bundle, Networks, write_bundle
from stillhouse.core.measure.bundle_result import artefact_hashes, device_file_of

SCRIPT = """
import json, pathlib, numpy
here = pathlib.Path(__file__).parent
manifest = json.loads((here / "manifest.json").read_text())
def latency(one):
    ms = int((here / one["path"]).read_text().split()[0]) / 1000
    return {"latency_ms": ms, "p95_ms": ms, "median_ms": ms, "low_ms": ms, "high_ms": ms,
            "repeats": manifest["repeats"], "date": "2026-01-02", "conditions": "quiet"}
result = {
    "format": 1,
    "identity": {"cpu": "Imaginary 3", "cores": 2, "flags": [], "os": "Linux", "machine": "arm",
                 "runtime": "ruler 1.0", "threads": 1, "batch": 1},
    "settings": manifest["settings"],
    "latencies": {one["key"]: latency(one) for one in manifest["artefacts"]},
    "memory": {},
    "reference": {"ms": 0.03, "numpy": numpy.__version__},
}
(here / "result.json").write_text(json.dumps(result))
"""
SHAPES = [Shape("linear", 4, 8, 8, bias=1), Shape("add", 4, 0, 8)]
WIDTHS = [{"width": width} for width in (3, 1, 5, 9)]
STRUCTURES = {structure_key("linear", structure): structure for structure in WIDTHS}
EXPORT = {"torch": "2.13.0", "input_shape": [4]}


@final
class _Ruler(Target):
    """Writes microseconds: one a weight, a hundred a block and one for the file."""

    name = "ruler"
    suffix = ".txt"

    def __init__(self, cpu: str = "Imaginary 9", script: str | None = SCRIPT) -> None:
        self._cpu, self._script = cpu, script

    def identity(self) -> Mapping[str, Any]:
        hardware = {"cpu": self._cpu, "cores": 2, "flags": [], "os": "Linux", "machine": "arm"}
        return {"target": self.name, **hardware, "runtime": "ruler 1.0", "threads": 1, "batch": 1}

    def export(self, module: nn.Module, example: Tensor, path: Path) -> Exported:
        weights = sum(p.numel() for p in module.parameters())
        path.write_text(f"{weights} of {np.random.default_rng(weights).random()}")
        return Exported(path, 4 * weights, "ruler", 0.0)

    def measure(
        self, paths: Sequence[Path], example: Tensor | None, *, repeats: int, warmup: int
    ) -> list[Latency]:
        raise NotImplementedError

    def measure_afresh(
        self, paths: Sequence[Path], *, repeats: int, warmup: int, processes: int
    ) -> list[list[Latency]]:
        raise NotImplementedError

    def run(self, path: Path, inputs: Tensor) -> NDArray[np.float32]:
        raise NotImplementedError

    def write_block(self, shape: Shape | None, copies: int, path: Path) -> Path | None:
        path.write_text(f"{1 + 100 * copies * (shape is not None)} us {copies} {shape}")
        return path

    def standalone_script(self) -> str | None:
        return self._script

    def pool_weights(self, paths: Sequence[Path], pool: Path) -> None:
        for path in paths:
            path.write_text(f"{path.read_text()} pooled")


def _written(folder: Path, target: Target | None = None, run: Path | None = None) -> Bundle:
    def build(structure: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
        return nn.Linear(4, structure["width"])

    def export(structure: Mapping[str, Any], path: Path) -> Exported:
        return export_untrained(structure, build, target or _Ruler(), torch.zeros(1, 4), path)

    ruler = target or _Ruler()
    networks = Networks("linear", STRUCTURES, export, pooled=run is None, certifies=run)
    return write_bundle(
        folder, ruler, {**ruler.identity(), **EXPORT}, SHAPES, networks, Silent(), 7
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that has been measured."""
    folder = tmp_path / "bundle"
    _written(folder)
    subprocess.run([sys.executable, "-I", "measure.py"], cwd=folder, check=True)
    return folder


def test_a_bundle_says_what_is_in_it_and_holds_nothing_else(tmp_path: Path) -> None:
    written = _written(tmp_path / "bundle")
    files = {path.name for path in written.folder.iterdir()}
    assert files == {"README.md", "artefacts", "manifest.json", "measure.py"}
    assert written.networks == 4
    manifest = json.loads((written.folder / "manifest.json").read_text())
    assert written.blocks == len(manifest["blocks"])
    paths = {one["path"] for one in manifest["artefacts"]}
    assert paths == {f"artefacts/{p.name}" for p in (written.folder / "artefacts").iterdir()}
    assert manifest["settings"] == {"threads": 1, "batch": 1}
    assert "cpu" not in manifest["identity"], "the device's, not this machine's"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_readme_gives_the_commands_in_ten_lines(tmp_path: Path) -> None:
    text = (_written(tmp_path / "pi").folder / "README.md").read_text()
    assert len(text.splitlines()) <= 10
    assert "pip install ruler==1.0 numpy" in text
    assert "stillhouse profile --from-result pi/result.json --bundle pi --out device.json" in text


def test_a_certifying_bundle_has_the_exact_artefacts_and_their_hashes(tmp_path: Path) -> None:
    exact, pooled = (
        _written(tmp_path / name, run=run).folder
        for name, run in (("exact", tmp_path / "run"), ("pooled", None))
    )
    for folder, end in ((exact, ""), (pooled, " pooled")):
        hashes, manifest = (
            artefact_hashes(folder),
            json.loads((folder / "manifest.json").read_text()),
        )
        assert hashes.keys() == STRUCTURES.keys()
        paths = {one["key"]: one["path"] for one in manifest["artefacts"]}
        for entry in manifest["networks"]:
            content = (folder / paths[entry["artefact"]]).read_bytes()
            weights = 5 * entry["structure"]["width"]
            assert (
                content.decode() == f"{weights} of {np.random.default_rng(weights).random()}{end}"
            )
            assert hashes[entry["key"]] == hashlib.sha256(content).hexdigest()


def test_a_certifying_bundle_names_the_command_it_is_for(tmp_path: Path) -> None:
    run = tmp_path / "run"
    text = (_written(tmp_path / "pi", run=run).folder / "README.md").read_text()
    assert f"stillhouse certify {run} --from-result pi/result.json --bundle pi`" in text
    assert "profile" not in text
    assert "device.json" not in text
    with pytest.raises(UserError, match=f"run there: stillhouse certify {run}$"):
        _written(tmp_path / "other", _Ruler(script=None), run)
    (tmp_path / "pi" / "manifest.json").write_text("{")
    anew = f"stillhouse certify {run} --bundle DIR"
    for read in (
        lambda: artefact_hashes(tmp_path / "pi", written_by=anew),
        lambda: device_file_of(
            tmp_path / "r.json", tmp_path / "pi", tmp_path / "d.json", written_by=anew
        ),
    ):
        with pytest.raises(UserError, match=f"write the bundle anew with: {anew}$"):
            read()


def test_a_manifest_without_hashes_is_refused(tmp_path: Path) -> None:
    folder = _written(tmp_path / "bundle").folder
    _edited(folder / "manifest.json", lambda m: m["networks"][0].pop("sha256"))
    with pytest.raises(UserError, match=r"manifest\.json: not a file that can be used: .*sha256"):
        artefact_hashes(folder)


def test_a_result_becomes_the_devices_file(bundle: Path, tmp_path: Path) -> None:
    device = device_file_of(bundle / "result.json", bundle, tmp_path / "device.json")
    again = DeviceFile.open(
        tmp_path / "device.json", {**_Ruler("Imaginary 3").identity(), **EXPORT}
    )
    assert not again.foreign
    assert again.identity == device.identity
    found = [(s, m.latency.latency_ms, m.size_bytes) for s, m in again.structures("linear")]
    by_width = {s["width"]: (ms, size) for s, ms, size in found}
    assert by_width == {w: (5 * w / 1000, 20 * w) for w in (3, 1, 5, 9)}
    assert again.anchors("linear") == WIDTHS[:3]
    assert again.reference_ms == 0.03
    known = again.blocks()
    assert [known[shape.key][1].latency_ms for shape in SHAPES] == pytest.approx([0.1, 0.1])
    assert DeviceFile.open(device.path, {**_Ruler().identity(), **EXPORT}).foreign


def test_a_result_read_twice_gives_the_same_file(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "device.json"
    device_file_of(bundle / "result.json", bundle, out)
    once = out.read_bytes()
    device_file_of(bundle / "result.json", bundle, out)
    assert out.read_bytes() == once


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="expected a new or empty folder"):
        _written(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_bundle_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    @final
    class BrokenError(Exception): ...

    def export(structure: Mapping[str, Any], path: Path) -> Exported:
        path.write_text("half")
        raise BrokenError

    networks = Networks("linear", STRUCTURES, export)
    with pytest.raises(BrokenError):
        write_bundle(tmp_path / "b", _Ruler(), _Ruler().identity(), [], networks, Silent())
    assert list(tmp_path.iterdir()) == []


def test_a_target_without_a_script_says_what_to_do_instead(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"target ruler has no script.*install stillhouse"):
        _written(tmp_path / "bundle", _Ruler(script=None))


def _edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    raw = json.loads(path.read_text())
    edit(raw)
    path.write_text(json.dumps(raw))


def _renamed(result: dict[str, Any]) -> None:
    latencies = result["latencies"]
    latencies["0" * 32] = latencies.pop(next(iter(latencies)))


RESULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "of another bundle": (_renamed, "is not of the bundle .*1 of its"),
    "cut short": (lambda r: r["latencies"].popitem(), "lacks 1 of the"),
    "of another format": (lambda r: r.update(format=2), 'expected an object with "format": 1'),
    "with other settings": (lambda r: r["settings"].update(threads=4), "'threads': 4"),
    "without a device": (lambda r: r["identity"].pop("cpu"), "cpu"),
    "of no times": (lambda r: r["latencies"].update({"0": {}}), "its latencies"),
    "of negative times": (
        lambda r: next(iter(r["latencies"].values())).update(latency_ms=-1),
        "expected a time above 0 ms, got -1",
    ),
    "of no time at all": (
        lambda r: next(iter(r["latencies"].values())).update(low_ms=0),
        "expected a time above 0 ms, got 0",
    ),
    "of a reference that is no number": (
        lambda r: r["reference"].update(ms=float("nan")),
        "result.json: .*expected a finite number, got NaN",
    ),
}


@pytest.mark.parametrize(("edit", "said"), RESULTS.values(), ids=RESULTS)
def test_a_result_that_does_not_fit_is_refused_and_writes_nothing(
    edit: Callable[[dict[str, Any]], object], said: str, bundle: Path, tmp_path: Path
) -> None:
    _edited(bundle / "result.json", edit)
    with pytest.raises(UserError, match=said):
        device_file_of(bundle / "result.json", bundle, tmp_path / "device.json")
    assert not (tmp_path / "device.json").exists()


MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no artefacts": lambda m: m.pop("artefacts"),
    "no networks": lambda m: m.pop("networks"),
    "a block of no shape": lambda m: m["blocks"][-1].update(shape={"kinder": 1}),
    "a network of no file": lambda m: m["networks"][0].update(artefact="0"),
    "a structure that is a number": lambda m: m["networks"][0].update(structure=3),
}


@pytest.mark.parametrize("edit", MANIFESTS.values(), ids=MANIFESTS)
def test_a_damaged_manifest_is_refused_by_name(
    edit: Callable[[dict[str, Any]], object], bundle: Path, tmp_path: Path
) -> None:
    _edited(bundle / "manifest.json", edit)
    with pytest.raises(UserError, match=r"manifest\.json: not a file that can be used"):
        device_file_of(bundle / "result.json", bundle, tmp_path / "device.json")


@pytest.mark.parametrize("name", ["manifest.json", "result.json"])
def test_a_file_that_is_missing_or_no_json_is_named(
    name: str, bundle: Path, tmp_path: Path
) -> None:
    (bundle / name).write_bytes(b"\xff")
    with pytest.raises(UserError, match=f"{name}: not a file that can be used: it is not JSON"):
        device_file_of(bundle / "result.json", bundle, tmp_path / "device.json")
    (bundle / name).unlink()
    with pytest.raises(UserError, match=f"{name}: cannot be read"):
        device_file_of(bundle / "result.json", bundle, tmp_path / "device.json")


def test_a_result_is_not_added_to_another_devices_file(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    DeviceFile.open(out, {**_Ruler().identity(), **EXPORT})
    before = out.read_bytes()
    with pytest.raises(UserError, match=r"mine\.json holds another device's measurements"):
        device_file_of(bundle / "result.json", bundle, out)
    assert out.read_bytes() == before
