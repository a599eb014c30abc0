"""`kill -9` on a real process, then `--resume` in another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from stillhouse.core.cli.main import main
from stillhouse.core.run.looking import look

COMMAND = [sys.executable, "-m", "stillhouse.core.cli.main", "search"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def seen(folder: Path, moment: str) -> bool:
    """Whether a running search has reached a moment."""
    if moment == "training":
        return any(folder.glob("checkpoints/*/*"))
    if moment == "searching":
        ledger = folder / "ledger.jsonl"
        return ledger.exists() and ledger.read_bytes().count(b"\n") >= 3
    return any(folder.glob("artefacts/control-*"))


def killed_at(moment: str, project: Path, folder: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, str(project / "run.yaml"), "--out", str(folder)],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 90
    while not seen(folder, moment) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"


def ledger(folder: Path) -> list[dict[str, object]]:
    text = (folder / "ledger.jsonl").read_text() if (folder / "ledger.jsonl").exists() else ""
    return [json.loads(line) for line in text.splitlines()[1:] if line.endswith("}")]


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("training", marks=pytest.mark.slow),
        "searching",
        pytest.param("controls", marks=pytest.mark.slow),
    ],
)
def test_a_process_killed_outright_loses_nothing_it_finished(
    project: Path, tmp_path: Path, moment: str
) -> None:
    folder = tmp_path / "run"
    killed_at(moment, project, folder)
    before = ledger(folder)
    assert main(["search", "--resume", str(folder)]) == 0
    assert ledger(folder)[: len(before)] == before
    undisturbed = project / "reference"
    fields = ("number", "key", "configuration", "costs", "values")
    assert [[e[f] for f in fields] for e in ledger(folder)] == [
        [e[f] for f in fields] for e in ledger(undisturbed)
    ]
    found, expected = (
        load_file(where / "best" / "model.safetensors") for where in (folder, undisturbed)
    )
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in expected.items()}


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["training", "searching"])
def test_an_interrupt_says_how_to_go_on(
    project: Path, tmp_path: Path, moment: str, sent: signal.Signals
) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [*COMMAND, str(project / "run.yaml"), "--out", str(folder)],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not seen(folder, moment) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(sent)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--resume {folder}" in error
    assert "Traceback" not in error
    assert ("press Ctrl-C again to stop at once" in error) == (moment == "searching")
    status = look(folder, time.time())
    assert (status.standing, status.resume) == ("stopped", f"stillhouse search --resume {folder}")
