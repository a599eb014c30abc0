"""`docs/watching.md` against the code: fields, states, and the output that it shows."""

from __future__ import annotations

import re
import time
from dataclasses import fields
from pathlib import Path

import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.execute import WorkerState
from stillhouse.core.run import looking, status
from stillhouse.core.run.status import Pace, Piece, Status

PAGE = (Path(__file__).parents[2] / "docs" / "watching.md").read_text("utf-8")
TABLES = re.findall(r"\n\| (\w+) \|[^\n]*\n\| --- [^\n]*\n((?:\|[^\n]*\n)+)", PAGE)
FIRST = {head: [row.split("|")[1] for row in rows.splitlines()] for head, rows in TABLES}
SHOWN = re.search(r"\$ stillhouse status (\S+)\n(.*?)```", PAGE, re.DOTALL)


def test_every_field_of_the_file_is_in_the_table() -> None:
    named = re.findall(r"`(\w+)`", " ".join(FIRST["field"]))
    assert sorted(named) == sorted(field.name for field in fields(Status))
    for part in (Pace, Piece, WorkerState):
        assert all(f"`{field.name}`" in PAGE for field in fields(part)), part


def test_every_state_is_in_the_table() -> None:
    states = {status.RUNNING, status.STOPPING, status.STOPPED, status.FAILED, status.FINISHED}
    seen = {looking.KILLED, looking.SILENT, looking.UNKNOWN}
    assert {word.strip() for word in FIRST["state"]} == states | seen


def test_the_output_is_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert SHOWN is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(looking, "lives", lambda _: True)
    monkeypatch.setattr(looking.socket, "gethostname", lambda: "vm")
    folder, then = Path(SHOWN[1]), "1970-01-01T00:00:00+00:00"
    folder.mkdir(parents=True)
    for name in (".stillhouse-run", "run.yaml"):
        (folder / name).touch()
    stands = Status(
        "spoken-digits", "running", 9816, "vm", then, then, then,
        stage="search",
        work=[Piece("search", 64, 160, "best accuracy 0.8000")],
        evaluations=Pace(64, 160, per_minute=222.0, left_s=26.0),
        best="best accuracy 0.8000",
        workers=[
            WorkerState("worker 1", "vm", 62, 1.2, memory_bytes=76_000_000),
            WorkerState("worker 2", "vm", 66, 0.1, memory_bytes=86_000_000),
        ],
    )  # fmt: skip
    (folder / "status.json").write_text(stands.to_json())
    assert main(["status", SHOWN[1]]) == 0
    assert capsys.readouterr().out == SHOWN[2]
