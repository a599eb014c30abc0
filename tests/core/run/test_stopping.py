from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from stillhouse.core.run.stopping import Stopping, terminable


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A program's usual handlers, whatever runs the tests; they must be there again in the end."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    after = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for one, handler in before.items():
        signal.signal(one, handler)
    assert after == (signal.default_int_handler, signal.SIG_DFL)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_says_what_is_finished(first: signal.Signals) -> None:
    said: list[str] = []
    with Stopping(said.append) as stop:
        stop.running = 3
        assert not stop.asked
        signal.raise_signal(first)
        assert stop.asked
    assert said == ["finishing 3 running evaluations; press Ctrl-C again to stop at once"]


@pytest.mark.parametrize(("running", "what"), [(1, "1 running evaluation"), (0, "what is running")])
def test_what_is_said_fits_the_number(running: int, what: str) -> None:
    said: list[str] = []
    with Stopping(said.append) as stop:
        stop.running = running
        signal.raise_signal(signal.SIGINT)
    assert said == [f"finishing {what}; press Ctrl-C again to stop at once"]


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_interrupts_at_once(second: signal.Signals) -> None:
    said: list[str] = []
    clock = Clock()
    with Stopping(said.append, clock=clock):
        signal.raise_signal(signal.SIGINT)
        clock.now = 0.2
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)
    assert len(said) == 1


def test_a_signal_sent_to_the_process_and_its_group_counts_once() -> None:
    clock = Clock()
    with Stopping(lambda _: None, clock=clock) as stop:
        signal.raise_signal(signal.SIGTERM)
        clock.now = 0.05
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked


def test_what_cannot_be_said_does_not_end_the_run() -> None:
    def refuse(text: str) -> None:
        raise BrokenPipeError(text)

    with Stopping(refuse) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked


def test_afterwards_a_signal_interrupts_as_ever() -> None:
    with Stopping(lambda _: None) as stop:
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert not stop.asked


def test_a_nested_one_asks_the_outer_one_too_and_speaks_alone() -> None:
    said: list[str] = []
    with Stopping(lambda _: said.append("outer")) as outer:
        with Stopping(lambda _: said.append("inner")) as inner:
            signal.raise_signal(signal.SIGINT)
        assert inner.asked
        assert outer.asked
        with pytest.raises(KeyboardInterrupt):
            _later(outer)
    assert said == ["inner"]


def _later(outer: Stopping) -> None:
    outer._clock = lambda: float("inf")
    signal.raise_signal(signal.SIGINT)


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Stopping(lambda _: None) as stop:
        signal.raise_signal(signal.SIGINT)
        assert not stop.asked
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_outside_the_main_thread_nothing_is_taken_over() -> None:
    seen: list[object] = []

    def elsewhere() -> None:
        with Stopping(lambda _: None), terminable():
            seen.append(signal.getsignal(signal.SIGINT))
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler, signal.SIG_DFL]


def test_terminating_interrupts_like_a_key() -> None:
    with terminable(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_inside_a_terminable_part_the_first_signal_still_only_asks() -> None:
    with terminable():
        with Stopping(lambda _: None) as stop:
            signal.raise_signal(signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_a_command_that_is_terminated_says_so_and_leaves_with_130() -> None:
    code = (
        "import os, signal, sys\n"
        "from stillhouse.core.cli import main as cli, schema\n"
        "schema.run = lambda args: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(cli.main(['schema']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
