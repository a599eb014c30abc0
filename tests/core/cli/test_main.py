"""The command answers at once and imports nothing heavy for it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

from stillhouse.core.cli.main import COMMANDS, main

HEAVY = ("torch", "transformers", "ray", "sklearn", "scipy.stats", "optuna", "onnxruntime")
LIGHT = (
    "--help",
    "--version",
    "search --help",
    "plugins",
    "plugins show supernet",
    "schema",
    "plan examples/spoken_digits.yaml",
    "search pyproject.toml",
    "search examples/spoken_digits.yaml --set search.maximize=acuracy",
    "search examples/spoken_digits.yaml --set recipe.supernt.epochs=5",
)
PROBE = """
import sys
from stillhouse.core.cli.main import main
seen = set()
for command in sys.argv[1:]:
    try:
        main(command.split())
    except SystemExit:
        pass
    now = {name for name in %r if name in sys.modules}
    print("HEAVY", *sorted(now - seen))
    seen = now
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, str]:
    """What each command was the first to import, of what is heavy; one process for all."""
    command = [sys.executable, "-c", PROBE % (HEAVY,), *LIGHT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("HEAVY")]
    return dict(zip(LIGHT, lines, strict=True))


@pytest.mark.parametrize("command", LIGHT)
def test_commands_that_run_nothing_import_nothing_heavy(
    imported: dict[str, str], command: str
) -> None:
    assert imported[command] == "HEAVY"


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
