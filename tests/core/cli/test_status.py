from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.execute import WorkerState
from stillhouse.core.run.looking import look
from stillhouse.core.run.status import Pace, Piece, Status, born

NOON = 1_750_000_000.0
RUN_FILE = "name: digits\nsearch: {maximize: accuracy, evaluations: 200}\n"
DRIVER = """
import sys, time
from pathlib import Path
from stillhouse.core.run.watching import Watching

class Silent:
    def __getattr__(self, name):
        return lambda *_: None

with Watching(Path(sys.argv[1]) / "status.json", Silent(), name="digits", every_s=0.02) as watching:
    watching.start("search", 200)
    watching.evaluations(done=31, total=200, failed=0, repeated=0, workers=())
    time.sleep(60)
"""


def text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def running(**changed: Any) -> Status:
    """A run of this very process, written five seconds before now."""
    status = Status(
        "digits", "running", os.getpid(), socket.gethostname(),
        text(NOON), text(NOON), text(NOON), born(),
    )  # fmt: skip
    return replace(status, **changed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that has just begun."""
    place = tmp_path / "runs" / "digits"
    place.mkdir(parents=True)
    (place / ".stillhouse-run").touch()
    (place / "run.yaml").write_text(RUN_FILE)
    return place


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """Five seconds after `running` was written."""
    monkeypatch.setattr(time, "time", lambda: NOON + 5)
    return NOON + 5


def shown(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    assert main(["status", str(folder), *options]) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def put(folder: Path, status: Status) -> None:
    (folder / "status.json").write_text(status.to_json())


def of_other_host(status: Status) -> Status:
    return replace(status, host="elsewhere")


def test_a_run_that_goes_on_is_shown_with_its_workers(
    folder: Path, now: float, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = (
        WorkerState("w1", "node-a", 40, 61.0, 0, 300_000_000),
        WorkerState("w10", "node-b", None, 0.0, 2),
    )
    status = running(
        stage="search",
        work=(Piece("search", 40, 200, "best accuracy 0.9"), Piece("distil", 3, 9, "loss 1")),
        evaluations=Pace(40, 200, 1, 2, 30.0, 320.0),
        best="best accuracy 0.9",
        workers=workers,
        dashboard="http://127.0.0.1:8265",
    )
    put(folder, status)
    assert shown(folder, capsys) == [
        f"run        digits  ({folder})",
        f"state      running, process {os.getpid()} on {socket.gethostname()}",
        "stage      search",
        "search     40 of 200",
        "distil     3 of 9  loss 1",
        "pace       30 a minute · about 5 min left · 2 workers, 1 busy, 2 died, 1 failure, "
        "2 attempts repeated",
        "dashboard  http://127.0.0.1:8265",
        "best       accuracy 0.9",
        "  w1   node-a  job 40, 1 min  300 MB",
        "  w10  node-b  waits                  2 died",
    ]


def test_of_many_workers_the_longest_at_a_job_are_shown(
    folder: Path, now: float, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = [WorkerState(f"w{i}", "n", i if i % 2 else None, float(i)) for i in range(1024)]
    put(folder, running(workers=workers))
    lines = shown(folder, capsys)
    assert len(lines) == 2 + 32
    assert lines[2].split() == ["w963", "n", "job", "963,", "16", "min"]
    assert lines[-1] == "  and 993 more"


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_killed_driver_is_found_out(
    folder: Path, option: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(folder)])
    deadline = time.monotonic() + 20
    while '"done": 31' not in read_if_there(folder / "status.json"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert look(folder, time.time()).standing == "running"
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    lines = shown(folder, capsys, *option)
    if option:
        derived = json.loads("\n".join(lines))["derived"]
        assert (derived["standing"], derived["alive"]) == ("killed", False)
        assert derived["resume"] == f"stillhouse search --resume {folder}"
        return
    assert lines[1].startswith("state        killed ")
    assert f"process {driver.pid} on {socket.gethostname()} is gone" in lines[1]
    assert lines[2:] == [
        "evaluations  31 of 200",
        f"continue     stillhouse search --resume {folder}",
    ]


def test_workers_of_a_killed_driver_are_not_shown_as_if_they_worked(
    folder: Path, now: float, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder, running(born=born() - 1, workers=(WorkerState("w1", "n", 40, 1.0),)))
    assert not any("job 40" in line for line in shown(folder, capsys))


def read_if_there(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_another_process_with_the_old_number_is_no_driver(folder: Path) -> None:
    put(folder, running(born=born() - 1))
    assert look(folder, NOON + 5).standing == "killed"


@pytest.mark.parametrize(("age_s", "standing"), [(59, "running"), (61, "silent")])
def test_a_driver_elsewhere_is_known_by_what_it_writes(
    folder: Path, age_s: float, standing: str
) -> None:
    put(folder, of_other_host(running()))
    seen = look(folder, NOON + age_s)
    assert (seen.standing, seen.alive, seen.ended) == (standing, None, False)


def test_a_silent_driver_elsewhere_is_said_to_be_just_that(
    folder: Path, now: float, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder, of_other_host(running(updated=text(NOON - 600))))
    assert shown(folder, capsys)[1] == (
        f"state     silent: nothing was heard of process {os.getpid()} on elsewhere for 10 min; "
        "look there whether it still runs"
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"updated": text(NOON - 600)},
            "; its status was last written 10 min ago (is the disk full?)",
        ),
        ({"progressed": text(NOON - 600)}, "; last progress 10 min ago"),
    ],
)
def test_a_driver_that_makes_no_progress_is_told_of(
    folder: Path, now: float, capsys: pytest.CaptureFixture[str], changed: Any, said: str
) -> None:
    put(folder, running(**changed))
    assert shown(folder, capsys)[1].endswith(f"{socket.gethostname()}{said}")


@pytest.mark.parametrize(
    ("state", "message", "lines"),
    [
        ("stopped", "", ["state        stopped 5 s ago"]),
        (
            "failed",
            "DataError: gone",
            ["state        failed 5 s ago", "message      DataError: gone"],
        ),
    ],
)
def test_a_run_that_ended_early_says_how_it_goes_on(
    folder: Path, now: float, capsys: pytest.CaptureFixture[str],
    state: str, message: str, lines: Sequence[str],
) -> None:  # fmt: skip
    put(folder, running(state=state, message=message, evaluations=Pace(4, 200, 1, 1)))
    assert shown(folder, capsys) == [
        f"run          digits  ({folder})",
        *lines,
        "evaluations  4 of 200, 1 failure, 1 attempt repeated",
        f"continue     stillhouse search --resume {folder}",
    ]


def test_the_command_that_continues_names_the_runs_own_plugins(folder: Path) -> None:
    (folder / "run.yaml").write_text(f"{RUN_FILE}plugins: my_methods.py\n")
    put(folder, running(state="stopped"))
    assert look(folder, NOON).resume == (
        f"stillhouse search --resume {folder} --plugins {folder / 'my_methods.py'}"
    )


def test_a_finished_run_shows_its_report(
    folder: Path, now: float, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "report.html").touch()
    put(folder, running(state="finished", evaluations=Pace(200, 200), best="best accuracy 0.95"))
    assert shown(folder, capsys) == [
        f"run          digits  ({folder})",
        "state        finished 5 s ago",
        "evaluations  200 of 200",
        "best         accuracy 0.95",
        f"report       {folder / 'report.html'}",
    ]


def test_a_run_without_a_status_tells_what_its_ledger_does(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"number": 0, "key": "a", "configuration": {}, "costs": {}, "seconds": 1.0}
    lines = [
        {"format": 1, "fingerprint": "f"},
        {**entry, "values": {"accuracy": 0.5}, "error": ""},
        {**entry, "number": 1, "key": "b", "values": {}, "error": "diverged"},
    ]
    (folder / "ledger.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    told = shown(folder, capsys)
    assert told[1].startswith("state        unknown: this run keeps no status")
    assert told[2] == "evaluations  2 of 200, 1 failure"
    assert told[-1] == f"continue     stillhouse search --resume {folder}"


def test_a_sweep_is_continued_as_one(folder: Path) -> None:
    (folder / ".stillhouse-sweep").touch()
    put(folder, running(state="stopped", kind="sweep"))
    assert look(folder, NOON).resume == f"stillhouse sweep --resume {folder}"


@pytest.mark.parametrize(("summary", "standing"), [(True, "finished"), (False, "unknown")])
def test_a_sweep_without_a_status_is_known_by_its_files(
    folder: Path, summary: bool, standing: str
) -> None:
    (folder / ".stillhouse-sweep").touch()
    if summary:
        (folder / "sweep.json").touch()
    seen = look(folder, NOON)
    assert (seen.standing, seen.status.kind, seen.status.name) == (standing, "sweep", "digits")


def test_json_is_the_files_content_and_what_follows_from_it(
    folder: Path, now: float, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder, running(workers=(WorkerState("a", job=3),)))
    told = json.loads("\n".join(shown(folder, capsys, "--json")))
    derived = told.pop("derived")
    assert told == json.loads((folder / "status.json").read_text())
    assert derived == {
        "standing": "running", "alive": True, "silent_s": 5.0, "stalled_s": 5.0,
        "resume": "", "report": "",
    }  # fmt: skip


def test_watching_ends_with_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder, running())
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            put(folder, running(state="finished"))

    monkeypatch.setattr(time, "sleep", sleep)
    lines = shown(folder, capsys, "--watch", "0.5", "--json")
    assert [json.loads(line)["derived"]["standing"] for line in lines] == ["running"] * 3 + [
        "finished"
    ]
    assert slept == [0.5] * 3


def test_what_moves_a_cursor_is_spelt_out(
    folder: Path, now: float, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder, running(name="\x1b[2Jdigits", workers=(WorkerState("\x1b[1A"),)))
    out = "\n".join(shown(folder, capsys))
    assert "\x1b" not in out
    assert "\\x1b[2Jdigits" in out
    assert "\\x1b[1A" in out


@pytest.mark.parametrize("content", ['{"format": 2}', "[]", "{", '{"format": 1}'])
def test_a_damaged_status_is_a_users_error(
    folder: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "status.json").write_text(content)
    assert main(["status", str(folder)]) == 2
    assert "not a status that this version reads" in capsys.readouterr().err


@pytest.mark.parametrize("mark", [".stillhouse-run", ".stillhouse-sweep"])
def test_a_link_that_leads_out_is_refused(
    folder: Path, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / mark).touch()
    other = folder.parent / "other.json"
    other.write_text(running().to_json())
    (folder / "status.json").symlink_to(other)
    assert main(["status", str(folder)]) == 2
    assert "own file or folder, got a link" in capsys.readouterr().err


def test_no_run_is_a_users_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 2
    assert "expected a run directory" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan"])
def test_an_interval_that_is_none_is_refused(
    folder: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["status", str(folder), f"--watch={value}"])
    assert "expected seconds from 0.1 to 86400" in capsys.readouterr().err


def test_looking_imports_neither_torch_nor_numpy(folder: Path) -> None:
    put(folder, running())
    code = (
        "import sys; from stillhouse.core.cli.main import main; "
        f"main(['status', {str(folder)!r}]); "
        "print(sorted({'torch', 'numpy', 'ray', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
