from __future__ import annotations

import ast
import json
import mmap
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest

from stillhouse.core.measure import Latency
from stillhouse.core.measure.processor import cores
from stillhouse.plugins.targets import runner
from stillhouse.plugins.targets.standalone import script

SETTINGS = {"threads": 1, "batch": 2, "patience_s": 0, "opset": 20}


def _model(path: Path) -> Path:
    shape = [2, 3]
    given, answer = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in "xy"
    )
    node = onnx.helper.make_node("Exp", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [given], [answer])
    opset = onnx.helper.make_opsetid("", 18)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def _bundle(folder: Path, **changed: object) -> Path:
    """A folder as `stillhouse profile --bundle` writes it: two artefacts, one script."""
    artefacts = [
        {"key": key, "path": f"artefacts/{key}.onnx", "role": "network"} for key in ("a", "b")
    ]
    for one in artefacts:
        _model(folder / one["path"])
    manifest: Mapping[str, Any] = {
        "format": 1,
        "target": "onnxruntime-cpu",
        "settings": SETTINGS,
        "repeats": 3,
        "warmup": 1,
        "artefacts": artefacts,
        "blocks": [],
        **changed,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "measure.py").write_text(script())
    return folder


def _run(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(folder / "measure.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _imports(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def test_the_script_imports_nothing_but_onnxruntime_and_numpy() -> None:
    foreign = _imports(ast.parse(script())) - sys.stdlib_module_names
    assert foreign == {"numpy", "onnxruntime"}


def test_no_two_parts_of_the_script_define_the_same_name() -> None:
    names = [
        name
        for node in ast.parse(script()).body
        for name in (
            [node.name]
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            else [node.target.id]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            else [t.id for t in node.targets if isinstance(t, ast.Name)]
            if isinstance(node, ast.Assign)
            else []
        )
    ]
    assert len(names) > 40
    assert sorted(set(names)) == sorted(names)


def test_the_script_measures_its_folder_where_there_is_no_stillhouse(tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "bundle")
    done = _run(folder, "--memory")
    assert (done.returncode, done.stdout) == (0, "")
    result = json.loads((folder / "result.json").read_text())
    assert set(result) == {"format", "identity", "settings", "latencies", "memory", "reference"}
    assert (result["format"], result["settings"]) == (1, SETTINGS)
    identity = result["identity"]
    assert {"cpu", "cores", "flags", "os", "machine", "runtime"} < set(identity)
    assert (identity["threads"], identity["batch"]) == (1, 2)
    assert list(result["latencies"]) == ["a", "b"]
    assert all(Latency(**one).latency_ms > 0 for one in result["latencies"].values())
    assert all(one["peak_bytes"] >= mmap.PAGESIZE for one in result["memory"].values())
    assert result["reference"]["ms"] > 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "artefacts", "manifest.json", "measure.py", "result.json",
    ]  # fmt: skip


def _stopped_after_a_group(folder: Path) -> subprocess.CompletedProcess[str]:
    """The script of a bundle whose third artefact stops it as Ctrl-C does; one in each group."""
    _model(folder / "artefacts" / "c.onnx")
    program = (folder / "measure.py").read_text()
    stop = "    if path.name == 'c.onnx':\n        raise KeyboardInterrupt\n"
    head, tail = program.split("def _instances(", 1)
    before, after = tail.split("    try:\n", 1)
    (folder / "stopping.py").write_text(f"{head}def _instances({before}{stop}    try:\n{after}")
    command = [sys.executable, "-I", str(folder / "stopping.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _three(folder: Path) -> Path:
    keys = ("a", "b", "c")
    artefacts = [{"key": key, "path": f"artefacts/{key}.onnx"} for key in keys]
    _bundle(folder)
    return _rewritten(folder, artefacts=artefacts, group=1)


def _rewritten(folder: Path, **changed: object) -> Path:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    return folder


def test_a_measurement_that_is_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = _three(tmp_path / "bundle")
    stopped = _stopped_after_a_group(folder)
    assert stopped.returncode == 130
    assert "interrupted; " in stopped.stderr
    assert "result.partial.json has what was measured" in stopped.stderr
    assert not (folder / "result.json").exists()
    partial = json.loads((folder / "result.partial.json").read_text())
    assert list(partial["latencies"]) == ["a", "b"]
    partial["reference"]["ms"] = 1e-6
    (folder / "result.partial.json").write_text(json.dumps(partial))
    done = _run(folder)
    assert done.returncode == 0
    assert "2 of 3 are there" in done.stderr
    result = json.loads((folder / "result.json").read_text())
    assert list(result["latencies"]) == ["a", "b", "c"]
    assert {key: result["latencies"][key] for key in "ab"} == partial["latencies"]
    assert result["reference"]["ms"] == 1e-6
    assert not (folder / "result.partial.json").exists()


@pytest.mark.parametrize(
    "other",
    [
        {"latencies": {"z": {}}},
        {"identity": {"cpu": "Imaginary 3"}},
        {"settings": {"threads": 9}},
        {"latencies": 3},
    ],
)
def test_what_another_bundle_or_device_has_begun_is_not_gone_on_from(
    tmp_path: Path, other: dict[str, object]
) -> None:
    folder = _three(tmp_path / "bundle")
    _stopped_after_a_group(folder)
    path = folder / "result.partial.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **other}))
    begun = runner._begun(path, json.loads((folder / "manifest.json").read_text()))
    assert begun["latencies"] == {}
    path.write_text("{")
    assert runner._begun(path, json.loads((folder / "manifest.json").read_text())) == begun


def test_stopped_before_anything_is_measured_it_says_so(tmp_path: Path) -> None:
    folder = _rewritten(_three(tmp_path / "bundle"), group=3)
    stopped = _stopped_after_a_group(folder)
    assert stopped.returncode == 130
    assert stopped.stderr == "error: interrupted; nothing was measured yet\n"


def test_the_script_loads_neither_stillhouse_nor_torch(tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "bundle")
    code = (
        "import runpy, sys\n"
        "sys.argv = ['measure.py']\n"
        "try: runpy.run_path(sys.path.pop(), run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'stillhouse', 'torch', 'onnx'}))"
    )
    program = f"import sys; sys.path.append({str(folder / 'measure.py')!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_result_goes_where_it_is_wanted(tmp_path: Path) -> None:
    folder, out = _bundle(tmp_path / "bundle"), tmp_path / "there.json"
    assert _run(folder, "--out", str(out)).returncode == 0
    assert json.loads(out.read_text())["format"] == 1
    assert not (folder / "result.json").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": 2}, 'expected an object with "format": 1'),
        ({"target": "tflite"}, "expected target onnxruntime-cpu, got 'tflite'"),
        ({"repeats": "many"}, 'damaged, no int at "repeats"'),
        ({"artefacts": [{"key": "a"}]}, 'lacks "key" or "path"'),
        ({"settings": {"threads": cores() + 1}}, f"threads: expected 1 to {cores()} "),
        ({"settings": {"threads": "two"}}, "got 'two'"),
        ({"settings": {"affinity": "loose"}}, "affinity: expected none or pinned, got 'loose'"),
        ({"artefacts": [{"key": "a", "path": "lost.onnx"}]}, "lost.onnx: No such file"),
        ({"artefacts": [{"key": "a", "path": "measure.py"}]}, "measure.py in ONNX Runtime"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    tmp_path: Path, changed: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _bundle(tmp_path / "bundle", **changed)
    assert runner.main([str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert not (folder / "result.json").exists()


def test_a_missing_or_damaged_manifest_is_one_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _bundle(tmp_path / "bundle")
    (folder / "manifest.json").write_text("{")
    assert runner.main([str(folder)]) == 2
    assert "damaged, not JSON" in capsys.readouterr().err
    (folder / "manifest.json").unlink()
    done = _run(folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "manifest.json: No such file" in done.stderr


def test_a_result_that_cannot_be_written_is_one_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _bundle(tmp_path / "bundle")
    assert runner.main([str(folder), "--out", str(tmp_path / "nowhere" / "r.json")]) == 2
    said, error = capsys.readouterr().err.splitlines()
    assert said == "measured 2 of 2"
    assert error.startswith("error: cannot write ")


def test_without_the_runtime_the_script_says_what_to_install(tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "bundle")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "measure.py")], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: No module named 'numpy'; run: pip install")
    assert done.stderr.count("\n") == 1
