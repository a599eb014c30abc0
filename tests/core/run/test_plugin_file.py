"""A whole run with a file of plugins beside its run file: named, it runs; stored, it is data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

from stillhouse.core import load
from stillhouse.core.cli.main import main
from stillhouse.core.plugin import Catalogue

pytestmark = pytest.mark.slow

FILE = "stillhouse_plugins.py"
CODE = """
import copy
from dataclasses import replace
from typing import final

from torch import nn

from stillhouse.core.evaluate import Method, Rebuild
from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param


class LouderParams(Params):
    factor: float = param(0.5, low=0.1, high=2, phase="apply", help="of the answers")


class Louder(nn.Module):
    def __init__(self, inner, factor):
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, inputs):
        return self.inner(inputs) * self.factor


@final
class Loud(Method):
    def apply(self, state, choice, artefact, context):
        return state.with_student(self.skeleton(state.student, choice, context))

    def skeleton(self, student, choice, context):
        change = Rebuild("louder", {"factor": choice.params.factor})
        module = self.rebuild(student.module, change.record)
        return replace(student, module=module, rebuilds=(*student.rebuilds, change))

    def rebuild(self, skeleton, record):
        return Louder(copy.deepcopy(skeleton), record["factor"]).eval()


@hookimpl
def stillhouse_methods():
    yield MethodInfo(
        name="louder", summary="answers times a factor", build="stillhouse_plugins:Loud",
        params=LouderParams, changes="form", needs=frozenset({"student", "float weights"}),
    )
"""
RUN = """
plugins: stillhouse_plugins.py
task: {npz: {path: waves.npz, shift: 0}}
teacher: {model: keyword-transformer, width: 24, depth: 2, heads: 2, epochs: 2, batch_size: 16}
recipe:
  - supernet: {space: keyword-transformer-tiny, full_epochs: 1, epochs: 1, batch_size: 16}
  - louder: {factor: {choices: [0.5, 1.5]}}
search: {maximize: accuracy, limits: {parameters: 90%}, evaluations: 4, batch: 2, finalists: 1}
target: {runtime: onnxruntime-cpu, profile: 5, repeats: 3, processes: 1, patience_s: 0,
         device: device.json}
baselines: false
train: {threads: 1}
"""
LOAD = """
import sys
from stillhouse.core import load
model = load(sys.argv[1], plugins=sys.argv[2])
print(type(model).__name__, "stillhouse.core.distill.training" in sys.modules)
"""
Once = Callable[[], AbstractContextManager[None]]
Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, project: Path, measured_once: Once
) -> Iterator[Path]:
    """A finished search in `out`; what follows is invoked in its parent."""
    folder = tmp_path_factory.mktemp("beside")
    shutil.copyfile(project / "waves.npz", folder / "waves.npz")
    (folder / FILE).write_text(CODE)
    (folder / "run.yaml").write_text(RUN)
    with pytest.MonkeyPatch.context() as patch, measured_once():
        patch.chdir(folder)
        assert main(["search", "run.yaml", "--out", "out"]) == 0
        yield folder


def test_the_plan_has_the_methods_parameters(folder: Path, capsys: Said) -> None:
    assert main(["plan", "run.yaml"]) == 0
    assert "louder.factor: one of 0.5, 1.5" in capsys.readouterr().out


def test_the_run_keeps_the_code_that_it_began_with(folder: Path) -> None:
    assert (folder / "out" / FILE).read_text() == CODE
    assert (folder / "out" / "best" / FILE).read_text() == CODE


def test_a_stored_run_names_no_code(folder: Path, capsys: Said) -> None:
    for command in (
        ["search", "--resume", "out"],
        ["search", "--reuse", "out"],
        ["certify", "out"],
        ["export", "out", "--optuna", "sqlite:///study.db"],
    ):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert f"'{FILE}' is code, and runs only where you name it" in said
        assert f"add --plugins {folder / 'out' / FILE}" in said


def test_named_again_it_works_as_before(folder: Path, capsys: Said) -> None:
    again = ["--plugins", f"out/{FILE}"]
    assert main(["search", "--resume", "out", *again]) == 0
    assert main(["search", "--reuse", "out", "--limit", "parameters <= 9000", *again]) == 0
    assert main(["report", "out", *again]) == 0
    assert main(["export", "out", "--target", "torch-cpu", "--out", "found.pt2", *again]) == 0
    assert "agrees   with the torch model within 0" in capsys.readouterr().out


def test_what_it_measures_stays_its_own(folder: Path) -> None:
    assert "louder" in (folder / "out" / "device.json").read_text()
    assert not (folder / "device.json").exists()


def test_a_report_needs_no_code(folder: Path) -> None:
    assert main(["report", "out"]) == 0


def test_the_users_own_file_serves_as_long_as_it_is_the_same(folder: Path, capsys: Said) -> None:
    assert main(["search", "--resume", "out", "--plugins", FILE]) == 0
    edited = folder / "edited" / FILE
    edited.parent.mkdir()
    edited.write_text(CODE + "# edited\n")
    assert main(["search", "--resume", "out", "--plugins", str(edited)]) == 2
    assert "goes on with the file that it began with, byte for byte" in capsys.readouterr().err


def test_a_model_is_loaded_with_the_file_that_is_named(folder: Path) -> None:
    best = folder / "out" / "best"
    model = load(best, plugins=best / FILE)
    ran = load(best, Catalogue.discover().beside(folder / FILE))
    inputs = torch.zeros(1, 12, 4)
    assert type(model).__name__ == "Louder"
    assert torch.equal(model(inputs), ran(inputs))


def test_a_model_runs_nothing_that_is_not_named(folder: Path, capsys: Said) -> None:
    assert main(["export", "out", "--target", "torch-cpu", "--out", "other.pt2"]) == 2
    said = capsys.readouterr().err
    assert f"expected the code of {FILE} (sha256 " in said
    assert "which the model needs and which runs only where you name it, got none" in said


def test_a_file_that_was_changed_is_not_taken_for_the_models(folder: Path, capsys: Said) -> None:
    best = Path(shutil.copytree(folder / "out" / "best", folder / "tampered"))
    (best / FILE).write_text(CODE + "# changed\n")
    given = ["--plugins", f"tampered/{FILE}"]
    assert main(["export", "tampered", "--target", "torch-cpu", "--out", "x.pt2", *given]) == 2
    assert f"got {FILE} (sha256 " in capsys.readouterr().err


@pytest.mark.parametrize(
    "code", [{"file": "../evil.py", "sha256": ""}, {"file": 5}, [1], {"file": "a.py", "sha256": 1}]
)
def test_a_models_record_of_its_file_is_checked(code: object, folder: Path, capsys: Said) -> None:
    best = folder / "damaged"
    shutil.rmtree(best, ignore_errors=True)
    shutil.copytree(folder / "out" / "best", best)
    record = json.loads((best / "model.json").read_text())
    (best / "model.json").write_text(json.dumps({**record, "plugins": code}))
    assert main(["export", "damaged", "--target", "torch-cpu", "--out", "x.pt2"]) == 2
    assert "not a model description" in capsys.readouterr().err


def test_artefacts_are_of_the_content(folder: Path, measured_once: Once) -> None:
    (folder / "second").mkdir(exist_ok=True)
    shutil.copyfile(folder / "waves.npz", folder / "second" / "waves.npz")
    (folder / "second" / "run.yaml").write_text(RUN)
    (folder / "second" / FILE).write_text(CODE + "# of another digest\n")
    assert main(["search", "second/run.yaml", "--out", "second/out"]) == 0
    one, two = (
        {path.name for path in (folder / place / "artefacts").iterdir()}
        for place in ("out", "second/out")
    )
    assert one
    assert not one & two


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("../stillhouse_plugins.py", "expected the name of a Python file beside the run file"),
        ("/tmp/x.py", "expected the name of a Python file beside the run file"),  # noqa: S108
        ("sub/x.py", "expected the name of a Python file beside the run file"),
        ("plugins.txt", "expected the name of a Python file beside the run file"),
        ("[x.py]", "expected the name of a Python file beside the run file"),
        ("stillhouse_plugin.py", "no such file; did you mean 'stillhouse_plugins.py'?"),
    ],
)
def test_a_run_file_names_a_file_of_its_own_folder(
    key: str, said: str, folder: Path, capsys: Said
) -> None:
    (folder / "other.yaml").write_text(RUN.replace("stillhouse_plugins.py", key, 1))
    assert main(["plan", "other.yaml"]) == 2
    assert said in capsys.readouterr().err


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "outside.py").write_text("raise RuntimeError('it ran')")
    (folder / "link.py").symlink_to(tmp_path / "outside.py")
    (folder / "other.yaml").write_text(RUN.replace("stillhouse_plugins.py", "link.py", 1))
    assert main(["plan", "other.yaml"]) == 2
    assert "got a link; copy the file here" in capsys.readouterr().err


def test_an_error_in_the_file_is_one_line_with_its_place(folder: Path, capsys: Said) -> None:
    (folder / "broken.py").write_text("import json\nraise RuntimeError('no licence')\n")
    (folder / "other.yaml").write_text(RUN.replace("stillhouse_plugins.py", "broken.py", 1))
    assert main(["plan", "other.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    place = f"{folder / 'broken.py'}:2"
    assert line == f"PluginError: {place}: failed on import: RuntimeError: no licence"


def test_a_run_file_that_names_none_runs_none(folder: Path, capsys: Said) -> None:
    (folder / "other.yaml").write_text(RUN.replace("plugins: stillhouse_plugins.py", "", 1))
    assert main(["plan", "other.yaml"]) == 2
    assert "unknown method 'louder'" in capsys.readouterr().err


def test_the_option_is_for_stored_runs(folder: Path, capsys: Said) -> None:
    assert main(["search", "run.yaml", "--plugins", FILE]) == 2
    assert "--plugins FILE goes with --resume DIR and --reuse DIR" in capsys.readouterr().err


@pytest.mark.slow
def test_a_fresh_process_loads_it(folder: Path) -> None:
    best = folder / "out" / "best"
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(best), str(best / FILE)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "Louder False\n"


@pytest.mark.slow
def test_processes_that_train_together_have_it(folder: Path) -> None:
    given = ["--out", "two", "--set", "train.processes=2"]
    assert main(["search", "run.yaml", *given]) == 0
    assert (folder / "two" / "best" / FILE).is_file()
