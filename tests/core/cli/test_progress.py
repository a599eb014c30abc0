from __future__ import annotations

import os
import pty
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO

import pytest
from rich.console import Console

from stillhouse.core.cli.progress import Bars, Lines, bars
from stillhouse.core.execute import WorkerState
from stillhouse.core.run.status import Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_pipe_gets_a_line_each_minute_with_the_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    lines = Lines(clock)
    lines.start("supernet/sampled", 1000)
    for _ in range(9):
        clock.now += 20
        lines.advance(10, "loss 0.5")
    clock.now += 5
    lines.finish()
    assert capsys.readouterr().err.splitlines() == [
        "supernet/sampled (1000) ...",
        "supernet/sampled: 30 of 1000, about 32 min left  loss 0.5",
        "supernet/sampled: 60 of 1000, about 31 min left  loss 0.5",
        "supernet/sampled: 90 of 1000, about 30 min left  loss 0.5",
        "supernet/sampled: 185.0 s  loss 0.5",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"), [(60, "about 15 s"), (1200, "about 5 min"), (40_000, "about 2.8 h")]
)
def test_time_left_is_told_in_fitting_units(
    capsys: pytest.CaptureFixture[str], seconds: float, said: str
) -> None:
    clock = Clock()
    lines = Lines(clock)
    lines.start("work", 10)
    clock.now = seconds
    lines.advance(8)
    assert f"work: 8 of 10, {said} left" in capsys.readouterr().err


def test_quick_work_says_only_that_it_starts_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(Clock())
    lines.start("teacher", 2)
    lines.advance(2, "loss 0.1")
    lines.finish()
    assert capsys.readouterr().err.splitlines() == ["teacher (2) ...", "teacher: 0.0 s  loss 0.1"]


CREW = [WorkerState("w1", "node-a", 40, 61.0, 1, 300_000_000), WorkerState("w2", "node-b")]
PACE = Pace(40, 200, 1, 2, 30.0, 320.0)


def test_a_pipe_is_told_of_the_workers_with_the_line_of_the_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    lines = Lines(clock)
    lines.start("search", 200)
    lines.workers(PACE, CREW)
    clock.now = 61
    lines.start("distil", 10)
    clock.now = 122
    lines.advance(5, "loss 0.5")
    lines.finish()
    lines.advance(40, "best accuracy 0.9")
    lines.finish()
    assert capsys.readouterr().err.splitlines() == [
        "search (200) ...",
        "distil (10) ...",
        "distil: 5 of 10, about 1 min left  loss 0.5",
        "distil: 61.0 s  loss 0.5",
        "search: 40 of 200, about 5 min left  best accuracy 0.9  "
        "(2 workers, 1 busy, 1 died, 1 failure, 2 attempts repeated)",
        "search: 122.0 s  best accuracy 0.9",
    ]


def test_a_pipe_is_told_at_once_that_the_run_stops(capsys: pytest.CaptureFixture[str]) -> None:
    Lines(Clock()).stopping("finishing 2 running evaluations")
    assert capsys.readouterr().err == "finishing 2 running evaluations\n"


def pictured(shown: Bars, console: Console) -> list[str]:
    with console.capture() as seen:
        console.print(shown.picture())
    return [line.rstrip() for line in seen.get().splitlines()]


@pytest.fixture
def console() -> Console:
    return Console(width=120, color_system=None)


def test_workers_are_shown_beneath_the_bar_until_the_search_is_over(console: Console) -> None:
    shown = Bars(console)
    shown.start("search", 200)
    shown.advance(40, "best accuracy 0.9")
    assert len(pictured(shown, console)) == 1
    shown.workers(PACE, CREW)
    search, *below = pictured(shown, console)
    assert search.startswith("search ")
    assert " 40/200 " in search
    assert below == [
        "30 a minute · about 5 min left · 2 workers, 1 busy, 1 died, 1 failure, "
        "2 attempts repeated",
        "  w1  node-a  job 40, 1 min  300 MB  1 died",
        "  w2  node-b  waits",
    ]
    shown.finish()
    assert len(pictured(shown, console)) == 1


def test_of_many_workers_seven_are_shown(console: Console) -> None:
    shown = Bars(console)
    shown.start("search", 200)
    shown.workers(PACE, [WorkerState(f"w{i}", "n", i, float(i % 100)) for i in range(127)])
    _, _, *below = pictured(shown, console)
    assert [line.split()[0] for line in below] == [*(f"w{i}" for i in range(93, 100)), "and"]
    assert below[-1] == "  and 120 more"


def test_stopping_is_said_beneath_everything(console: Console) -> None:
    shown = Bars(console)
    shown.start("search", 200)
    shown.workers(PACE, CREW)
    shown.stopping("finishing 1 running evaluation; press Ctrl-C again to stop at once")
    assert pictured(shown, console)[-1].startswith("finishing 1 running evaluation; press")


def test_a_terminal_gets_bars_and_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, 120))
    with ThreadPoolExecutor() as reader, os.fdopen(master, "rb", buffering=0) as screen:
        reading = reader.submit(all_of, screen)
        with os.fdopen(slave, "w") as terminal:
            monkeypatch.setattr(sys, "stderr", terminal)
            with bars() as shown:
                assert isinstance(shown, Bars)
                shown.start("search", 200)
                shown.workers(PACE, CREW)
                shown.advance(40, "best accuracy 0.9")
        seen = reading.result(timeout=10)
    last = seen[seen.rindex("search ") :]
    assert "40/200" in last
    assert "w1  node-a  job 40, 1 min  300 MB  1 died" in last


def all_of(screen: IO[bytes]) -> str:
    """What a terminal is sent until nobody can send more."""
    seen = b""
    with suppress(OSError):
        while part := screen.read(4096):
            seen += part
    return seen.decode()
