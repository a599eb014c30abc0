"""`stillhouse sweep` refuses what cannot be swept before it starts Ray."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.core.cli.main import main

RUN_FILE = """\
task: spoken-digits
teacher: {model: keyword-transformer}
recipe: [supernet]
search: {maximize: accuracy}
target: {runtime: onnxruntime-cpu}
"""
SWEEP = """\
sweep:
  parameters: {recipe.supernet.learning_rate: {low: 0.001, high: 0.01}}
  maximize: accuracy
"""


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN_FILE + SWEEP)
    return path


def refusal(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(list(map(str, ("sweep", *words)))) == 2
    return capsys.readouterr().err


def test_a_run_file_without_a_sweep_is_refused(
    run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file.write_text(RUN_FILE)
    said = refusal(capsys, run_file)
    assert f"{run_file}: expected a section sweep:, for example sweep: {{parameters:" in said


def test_a_value_that_the_run_file_refuses_is_told_with_its_line(
    run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file.write_text(run_file.read_text().replace("high: 0.01", "high: 7"))
    assert f"ConfigError: {run_file}:7:66: recipe.supernet.learning_rate: " in refusal(
        capsys, run_file
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "expected a run file with a section sweep:"),
        (("--resume", "somewhere", "--set", "sweep.trials=2"), "as it is; it takes no run file"),
        (("--resume", "nowhere"), "nowhere: expected a sweep's folder"),
        (("a.yaml", "--plugins", "b.py"), "--plugins FILE goes with --resume DIR"),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(capsys, *words)


def test_a_run_is_no_sweep_and_a_sweep_no_run(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stillhouse.core.sweep.directory import SweepDirectory

    SweepDirectory.create(tmp_path / "swept", run_file.read_text())
    assert main(["search", "--resume", str(tmp_path / "swept")]) == 2
    assert "expected a run, got a sweep; continue it with: stillhouse sweep" in (
        capsys.readouterr().err
    )
    assert main(["report", str(tmp_path / "swept")]) == 2
    assert "expected a finished sweep, found none; finish it with: stillhouse sweep --resume" in (
        capsys.readouterr().err
    )


def test_the_plan_tells_of_the_sweep(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(run_file)]) == 0
    assert "sweep     20 trials of infinitely many settings" in capsys.readouterr().out


def test_help_and_plan_load_neither_ray_nor_torch(run_file: Path) -> None:
    code = (
        "import sys; from stillhouse.core.cli.main import main\n"
        f"main(['plan', {str(run_file)!r}])\n"
        "print([m for m in ('ray', 'torch', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
