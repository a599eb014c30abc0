"""Pools of real processes on benches beside these tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.execute import Executor, Job, Outcome, Work
from stillhouse.core.execute.processes import Processes

PATIENCE_S = 30.0

Pool = Callable[..., Processes]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Work]:
    """Work of `process_benches`, with the test's folder in its spec."""
    monkeypatch.syspath_prepend(Path(__file__).parent)

    def named(opener: str = "obedient", threads: int = 1, **spec: Any) -> Work:
        return Work(f"process_benches:{opener}", {"folder": str(tmp_path), **spec}, {}, threads)

    return named


@pytest.fixture
def pool(work: Callable[..., Work]) -> Iterator[Pool]:
    """Processes that are closed after the test."""
    with ExitStack() as stack:

        def opened(workers: int = 1, opener: str = "obedient", **settings: Any) -> Processes:
            return stack.enter_context(Processes(work(opener), workers, **settings))

        yield opened


@pytest.fixture
def ended() -> Callable[[Executor, int], list[Outcome]]:
    """So many outcomes of an executor, by number."""

    def awaited(executor: Executor, count: int) -> list[Outcome]:
        found: list[Outcome] = []
        while len(found) < count:
            some = executor.finished(PATIENCE_S)
            assert some
            found += some
        return sorted(found, key=lambda one: one.number)

    return awaited


@pytest.fixture
def spent(
    ended: Callable[[Executor, int], list[Outcome]],
) -> Callable[[Executor, Sequence[dict[str, Any]]], list[Outcome]]:
    """The outcomes of jobs with these payloads, in their order."""

    def awaited(executor: Executor, payloads: Sequence[dict[str, Any]]) -> list[Outcome]:
        executor.submit([Job(number, payload) for number, payload in enumerate(payloads)])
        return ended(executor, len(payloads))

    return awaited


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], None]:
    """Wait for a condition, with patience that ends."""

    def awaited(condition: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.005)

    return awaited
