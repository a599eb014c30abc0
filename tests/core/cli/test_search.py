"""`stillhouse search` where the machine, not the run, is at fault; and on other workers."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.config.runfile import RunFile

TINY = Path(__file__).parents[2] / "data" / "tiny.yaml"


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch):
    """Runs that the command would begin; what it is to raise instead may be put in `raises`."""
    from stillhouse.core.run import engine

    class Begun(list):  # type: ignore[type-arg]
        raises: BaseException = KeyboardInterrupt()

    begun = Begun()

    def instead(plan, *_):
        begun.append(plan.run)
        raise begun.raises

    monkeypatch.setattr(engine, "execute", instead)
    return begun


def test_a_full_disk_ends_with_one_line_that_says_how_to_go_on(executed, tmp_path, capsys):
    executed.raises = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert main(["search", str(TINY), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert f"make room, then continue with: stillhouse search --resume {tmp_path / 'run'}" in said


def test_workers_may_change_when_a_run_is_resumed_and_its_batches_ahead_stay(executed, tmp_path):
    folder = str(tmp_path / "run")
    assert main(["search", str(TINY), "--workers", "8", "--out", folder]) == 130
    assert main(["search", "--resume", folder]) == 130
    assert main(["search", "--resume", folder, "--workers", "3"]) == 130
    assert main(["search", "--resume", folder, "--workers", "1"]) == 130
    assert [_workers(run) for run in executed] == [
        ("processes", 8, 3), ("processes", 8, 3), ("processes", 3, 3), ("processes", 1, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("count", ["0", "-1", "two", "1e3", "٣", "100001"])
def test_workers_are_a_whole_number(count, capsys):
    with pytest.raises(SystemExit) as left:
        main(["search", str(TINY), f"--workers={count}"])
    assert left.value.code == 2
    assert "expected a whole number from 1 to 100000" in capsys.readouterr().err


def _workers(run: RunFile) -> tuple[str | None, int, int | None]:
    return run.execute.kind, run.execute.workers, run.search.ahead
