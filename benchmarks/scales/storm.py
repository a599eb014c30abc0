"""A fault storm: a search whose workers and driver are killed must end as if nothing had been.

A real `stillhouse search` on spoken digits, twice from the same teacher and supernet: undisturbed,
and with a random worker killed (SIGKILL) every ten seconds and the driver three times, each time
resumed by `--resume`. *Lost* are evaluations that were on disk when the driver died, or that the
undisturbed search has, and that are missing in the end. *Repeated* are those on disk then whose
seconds are others in the end, and candidates that the ledger holds twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

from scales.part import Report

RUN: Final = """
task: spoken-digits
teacher: {model: keyword-transformer, width: 96, depth: 6, heads: 6, ffn_ratio: 2.0, epochs: 4}
recipe:
  - soft-labels: {temperature: 4.0}
  - supernet: {space: keyword-transformer-small, full_epochs: 1, epochs: 4}
  - distil: {epochs: 12, learning_rate: 2.0e-3}
search:
  {maximize: accuracy, minimize: size_kb, limits: {size_kb: 9%}, evaluations: EVALUATIONS,
   batch: 8, ahead: 1, fidelity: 0.08, finalists: 1, seed: SEED}
target:
  {runtime: onnxruntime-cpu, batch: 1, threads: 1, profile: 6, repeats: 20, processes: 1,
   device: DEVICE}
train: {threads: 1}
execute: {kind: processes, workers: WORKERS, store: STORE, retries: 5}
"""
EVALUATIONS: Final = 200
WORKERS: Final = 2
KILL_EVERY_S: Final = 10.0
DRIVER_KILLS: Final = 3
_LOOK_S: Final = 0.05
_PATIENCE_S: Final = 10.0

Line = Mapping[str, Any]


def report(given: argparse.Namespace) -> Report:
    """What each storm lost and repeated, a seed each."""
    cells = {seed: measure(given.runs / f"storm-{seed}", seed) for seed in given.seeds}
    rows = [
        [
            f"seed {seed}",
            *(str(cell[name]) for name in ("workers_killed", "drivers_killed", "lost", "repeated")),
            *("same" if cell[name] else "DIFFERENT" for name in ("same_ledger", "same_front")),
            str(cell["survivors"]),
        ]
        for seed, cell in cells.items()
    ]
    reached = all(
        cell["lost"] == cell["repeated"] == cell["survivors"] == 0
        and cell["same_ledger"]
        and cell["same_front"]
        and cell["drivers_killed"] == DRIVER_KILLS
        for cell in cells.values()
    )
    headings = [
        "storm", "workers killed", "drivers killed", "lost", "repeated", "ledger", "front",
        "left running",
    ]  # fmt: skip
    title = f"{EVALUATIONS} evaluations, {WORKERS} workers, a worker killed every 10 s"
    return Report(title, headings, rows, {"evaluations": EVALUATIONS, "seeds": cells}, reached)


def measure(folder: Path, seed: int, evaluations: int = EVALUATIONS) -> dict[str, Any]:
    """An undisturbed search and a storm in this folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run_file = folder / "run.yaml"
    named = {
        "EVALUATIONS": str(evaluations),
        "SEED": str(seed),
        "WORKERS": str(WORKERS),
        "STORE": json.dumps(str((folder / "store").absolute())),
        "DEVICE": json.dumps(str((folder / "device.json").absolute())),
    }
    text = RUN
    for name, value in named.items():
        text = text.replace(name, value)
    run_file.write_text(text, "utf-8")
    calm, stormy = folder / "calm", folder / "stormy"
    began = time.perf_counter()
    Driver(folder / "calm.log", "search", str(run_file), "--out", str(calm)).finish()
    calm_s = time.perf_counter() - began
    storm = Storm(run_file, stormy, evaluations, random.Random(seed))  # noqa: S311
    began = time.perf_counter()
    storm.rage()
    return {
        **compared(lines(calm), lines(stormy), storm.kept),
        "workers_killed": storm.workers_killed,
        "drivers_killed": storm.drivers_killed,
        "survivors": storm.survivors,
        "calm_s": calm_s,
        "stormy_s": time.perf_counter() - began,
    }


def compared(calm: Sequence[Line], stormy: Sequence[Line], kept: Sequence[Line]) -> dict[str, Any]:
    """The end of a storm beside the undisturbed search, and what was `kept` when drivers died."""
    found = {line["number"]: line for line in stormy}
    missing = {line["number"] for line in (*calm, *kept) if line["number"] not in found}
    other = {line["number"] for line in kept if found.get(line["number"], line) != line}
    keys = Counter((line["key"], line.get("fidelity")) for line in stormy)
    twice = sum(count - 1 for count in keys.values())
    untimed = [[{**line, "seconds": 0} for line in some] for some in (calm, stormy)]
    return {
        "evaluations": len(stormy),
        "lost": len(missing),
        "repeated": len(other) + twice,
        "failed": sum(not line["values"] for line in stormy),
        "same_ledger": untimed[0] == untimed[1],
        "same_front": front(calm) == front(stormy),
        "front": len(front(stormy)),
    }


def front(found: Sequence[Line]) -> set[tuple[str, float, float]]:
    """Candidates that no other beats in accuracy without being larger, with both figures."""
    points = {
        (line["key"], -line["values"]["accuracy"], line["costs"]["size_kb"])
        for line in found
        if line["values"]
    }
    return {
        one
        for one in points
        if not any(b[1] <= one[1] and b[2] <= one[2] and b[1:] != one[1:] for b in points)
    }


def lines(folder: Path) -> list[Line]:
    """The whole lines of a run's ledger, and of what waits for its turn, by number."""
    found: list[Line] = []
    for path in (folder / "ledger.jsonl", folder / "ledger-ahead.jsonl"):
        if path.exists():
            whole = path.read_bytes().rpartition(b"\n")[0].splitlines()
            found += [json.loads(line) for line in whole[1:]]
    return sorted({line["number"]: line for line in found}.values(), key=lambda one: one["number"])


@final
class Driver:
    """A `stillhouse` command as a process of its own; what it says is appended to a file."""

    def __init__(self, log: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "stillhouse.core.cli.main", *arguments]
        self._log = log
        with log.open("ab") as said:
            self.process = subprocess.Popen(command, stdout=said, stderr=said)

    def finish(self) -> None:
        """Wait for its end, which must be a good one."""
        if self.process.wait():
            said = self._log.read_text("utf-8", "replace")[-2000:]
            raise RuntimeError(f"the search ended with {self.process.returncode}: {said}")

    def workers(self) -> list[int]:
        """The processes that evaluate: those that its zygote has forked."""
        return [
            worker
            for child in children(self.process.pid)
            if "execute.zygote" in command_of(child)
            for worker in children(child)
        ]

    def kill(self) -> list[int]:
        """End it outright; which of its descendants are there ten seconds later."""
        below = [*children(self.process.pid), *self.workers()]
        self.process.kill()
        self.process.wait()
        until = time.monotonic() + _PATIENCE_S
        while (left := [one for one in below if alive(one)]) and time.monotonic() < until:
            time.sleep(_LOOK_S)
        return left


@final
class Storm:
    """A search under fire; `kept` are the evaluations on disk whenever a driver died."""

    def __init__(
        self, run_file: Path, folder: Path, evaluations: int, chance: random.Random
    ) -> None:
        self._begin, self._folder, self._chance = run_file, folder, chance
        self.kept: list[Line] = []
        self.workers_killed = self.drivers_killed = self.survivors = 0
        share = evaluations // (DRIVER_KILLS + 1)
        self._moments = [chance.randint(share * k - share // 3, share * k + share // 3)
                         for k in range(1, DRIVER_KILLS + 1)]  # fmt: skip
        self._next_s = 0.0

    def rage(self) -> None:
        """Until the search has come to its end."""
        log = self._folder.with_suffix(".log")
        driver = Driver(log, "search", str(self._begin), "--out", str(self._folder))
        while driver.process.poll() is None:
            self._strike(driver)
            if self._moments and len(lines(self._folder)) >= self._moments[0]:
                self._moments.pop(0)
                self.survivors += len(driver.kill())
                self.drivers_killed += 1
                self.kept += lines(self._folder)
                driver = Driver(log, "search", "--resume", str(self._folder))
            time.sleep(_LOOK_S)
        driver.finish()

    def _strike(self, driver: Driver) -> None:
        """Kill a worker where ten seconds with workers have gone by since the last."""
        workers = driver.workers()
        if not workers:
            return
        self._next_s = self._next_s or time.monotonic() + KILL_EVERY_S
        if time.monotonic() >= self._next_s:
            os.kill(self._chance.choice(workers), 9)
            self.workers_killed += 1
            self._next_s = time.monotonic() + KILL_EVERY_S


def children(process: int) -> list[int]:
    """The processes that a process has started and that have not ended; Linux alone."""
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        return [int(pid) for one in threads for pid in (one / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def command_of(process: int) -> str:
    """How a process was started; nothing when it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(process: int) -> bool:
    """Whether a process has not ended, be it reaped or not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
