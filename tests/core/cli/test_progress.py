from __future__ import annotations

import pytest

from stillhouse.core.cli.progress import Lines


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
