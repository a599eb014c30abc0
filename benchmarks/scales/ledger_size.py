"""A ledger of a million evaluations: opened, appended to, and a search resumed from it.

A resumed search that learns results as they come tells its sampler all at once. One that learns in
the order of proposals leads its sampler through them again, which costs what proposing cost: its
rate is measured on fewer evaluations, in batches of 1,000.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from record import resident_mb

from scales.ground import COSTS, GOALS, SPACE, measured, study
from scales.part import Report
from scales.virtual import VirtualWorkers
from stillhouse.core.run.ledger import Entry, Ledger
from stillhouse.core.run.spending import Policy, spend

SAMPLERS: Final = ("evolution", "random")
RESUME_S: Final = 10.0
APPEND_MS: Final = 1.0
_GROUP: Final = 1_000
_TIMES: Final = 200
_LED: Final = 20_000


def report(given: argparse.Namespace) -> Report:
    """Each figure once: the ledger is large enough for that."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        figures = measure(Path(folder) / "ledger.jsonl", given.entries)
    rows = [[name, f"{value:.4g}", asked] for name, value, asked in _lines(figures)]
    reached = figures["append_ms"] <= APPEND_MS and all(
        figures["resume_s"][name] <= RESUME_S for name in SAMPLERS
    )
    title = f"ledger of {given.entries:,} evaluations, {figures['bytes_each']:.0f} bytes each"
    return Report(title, ["what", "found", "asked"], rows, figures, reached)


def measure(path: Path, entries: int) -> dict[str, Any]:
    """Figures of a ledger that is written to `path`."""
    found: dict[str, Any] = {"entries": entries, "written_s": _write(path, entries)}
    size_bytes = path.stat().st_size
    found["bytes_each"] = size_bytes / entries
    before = resident_mb("VmRSS")
    with _timed() as taken, Ledger(path, "size") as ledger:
        found["open_s"] = taken()
        found["memory_bytes_each"] = (resident_mb("VmRSS") - before) * 1e6 / entries
        found["append_ms"] = 1e3 * _each(lambda i: ledger.append(_next(ledger, i)), _TIMES)
        found["append_64_together_ms"] = 1e3 / 64 * _each(lambda i: _many(ledger, i), 20)
    os.truncate(path, size_bytes)  # what was appended repeats candidates
    found["fsync_ms"] = 1e3 * _fsync(path.with_name("alone"))
    found["resume_s"] = {name: _afresh(path, name) for name in SAMPLERS}
    found["lead_ms"] = {name: 1e3 * _led(path.with_name(name), name) for name in SAMPLERS}
    return found


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, float, str]]:
    for name in SAMPLERS:
        yield f"resumed as they come, {name}, s", found["resume_s"][name], f"{RESUME_S:g}"
    yield "of which opening, s", found["open_s"], ""
    yield "one appended, ms (median)", found["append_ms"], f"{APPEND_MS:g}"
    yield "the disk's own fsync, ms (median)", found["fsync_ms"], ""
    yield "each of 64 appended together, ms", found["append_64_together_ms"], ""
    for name in SAMPLERS:
        yield f"led through in order, {name}, ms each", found["lead_ms"][name], ""
    yield "memory, bytes each", found["memory_bytes_each"], ""


def _write(path: Path, entries: int) -> float:
    """Seconds that it took to write as many evaluations of random candidates."""
    rng, number = np.random.default_rng(0), 0
    with _timed() as taken, Ledger(path, "size") as ledger:
        while number < entries:
            codes = SPACE.sample(min(50_000, entries - number), rng)
            genes = SPACE.decode_all(codes)
            table = {name: column.tolist() for name, column in COSTS.table(codes).items()}
            costs = [
                dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)
            ]
            for start in range(0, len(codes), _GROUP):
                some = range(start, min(start + _GROUP, len(codes)))
                ledger.finish([_entry(number + i, genes[i], costs[i]) for i in some])
            number += len(codes)
        return taken()


def _entry(number: int, genes: dict[str, Any], costs: dict[str, float]) -> Entry:
    values = measured({"configuration": genes})["values"]
    return Entry(number, SPACE.key(genes), genes, costs, values, 1.0)


def _next(ledger: Ledger, i: int) -> Entry:
    """The i-th entry with the number and a key that come next."""
    old, number = ledger.entries[i], len(ledger.entries)
    return Entry(number, f"{number:016x}", old.configuration, old.costs, old.values, old.seconds)


def _many(ledger: Ledger, i: int) -> None:
    first = _next(ledger, i)
    facts = (first.configuration, first.costs, first.values, first.seconds)
    numbers = range(first.number, first.number + 64)
    ledger.finish([Entry(number, f"{number:016x}", *facts) for number in numbers])


def _afresh(path: Path, sampler: str) -> float:
    """The median of `_resumed` in three fresh processes, as whoever resumes has one."""
    command = [sys.executable, "-m", "scales.ledger_size", str(path.resolve()), sampler]
    here, taken = Path(__file__).parents[1], []
    for _ in range(3):
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=here)
        os.truncate(path, path.stat().st_size - len(_last(path)))
        taken.append(float(done.stdout))
    return float(np.median(taken))


def _last(path: Path) -> bytes:
    """The line that a resumed search appended."""
    with path.open("rb") as file:
        file.seek(-4096, os.SEEK_END)
        return file.read().splitlines(keepends=True)[-1]


def _resumed(path: Path, sampler: str) -> float:
    """Seconds from an unopened ledger to a sampler that knows all of it and has proposed again."""
    with _timed() as taken, Ledger(path, "size") as ledger:
        known = len(ledger.entries)
        asked = study(sampler, known + 1, 0)
        pool = VirtualWorkers(1, measured, 0)
        spend(asked, pool, ledger, GOALS, Policy(known + 1, 1, deterministic=False))
        return taken()


def _led(path: Path, sampler: str) -> float:
    """Seconds for each evaluation of a search in order that finds all of them in its ledger."""
    policy = Policy(_LED, _GROUP)
    with Ledger(path, "led") as ledger:
        spend(study(sampler, _LED, 0), VirtualWorkers(1, measured, 0), ledger, GOALS, policy)
    with _timed() as taken, Ledger(path, "led") as ledger:
        spend(study(sampler, _LED, 0), VirtualWorkers(1, measured, 0), ledger, GOALS, policy)
        return taken() / _LED


def _fsync(path: Path) -> float:
    with path.open("wb", buffering=0) as file:

        def write(_: int) -> None:
            file.write(b"x" * 500)
            os.fsync(file.fileno())

        return _each(write, _TIMES)


def _each(act: Callable[[int], None], times: int) -> float:
    """Median seconds."""
    taken = []
    for i in range(times):
        with _timed() as spent:
            act(i)
            taken.append(spent())
    return float(np.median(taken))


@contextmanager
def _timed() -> Iterator[Callable[[], float]]:
    began = time.perf_counter()
    yield lambda: time.perf_counter() - began


if __name__ == "__main__":
    print(_resumed(Path(sys.argv[1]), sys.argv[2]))
