"""The command answers at once and imports nothing heavy for it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

from stillhouse.core.cli.main import COMMANDS, main

HEAVY = ("torch", "transformers", "ray", "sklearn", "scipy.stats", "optuna", "onnxruntime")
PROBE = """
import sys
from stillhouse.core.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("HEAVY", [name for name in {heavy!r} if name in sys.modules])
"""


def heavy_after(*arguments: str) -> str:
    probe = PROBE.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", probe, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.rpartition("HEAVY ")[2].strip()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["search", "--help"],
        ["plugins"],
        ["plugins", "show", "supernet"],
        ["schema"],
        ["plan", "examples/spoken_digits.yaml"],
        ["search", "pyproject.toml"],
        ["search", "examples/spoken_digits.yaml", "--set", "search.maximize=acuracy"],
        ["search", "examples/spoken_digits.yaml", "--set", "recipe.supernt.epochs=5"],
    ],
    ids=" ".join,
)
def test_commands_that_run_nothing_import_nothing_heavy(arguments: list[str]) -> None:
    assert heavy_after(*arguments) == "[]"


def test_help_answers_within_three_tenths_of_a_second() -> None:
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "stillhouse.core.cli.main", "--help"],
            capture_output=True,
            check=True,
        )
        seconds.append(time.perf_counter() - began)
    assert statistics.median(seconds) < 0.3


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in text] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search"], "expected a run file"),
        (["search", "a.yaml", "--resume", "b"], "takes no run file"),
        (["search", "--resume", "nowhere"], "expected a run directory"),
        (["search", "nowhere.yaml"], "nowhere.yaml"),
        (["plan", "nowhere.yaml"], "nowhere.yaml"),
        (["report", "nowhere"], "expected a run directory"),
        (["plugins", "show", "supernt"], "did you mean 'supernet'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_user_gets_wrong_is_one_line_and_exit_code_two(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
