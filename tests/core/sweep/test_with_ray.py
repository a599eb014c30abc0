"""Whole sweeps on a Ray cluster of this machine: interrupted, halved, as a population."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("ray.tune", reason="needs the extra ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COMMAND: Final = (sys.executable, "-m", "stillhouse.core.cli.main", "sweep")
BUDGET: Final = "sweep.budget={parameter: recipe.supernet.epochs, rungs: [1, 2, 4]}"
WAIT_S: Final = 240


def swept(*words: str | Path) -> str:
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=WAIT_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def started(*words: str | Path) -> subprocess.Popen[bytes]:
    """A sweep that hears Ctrl-C even where the tests run in the background."""
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def settings(*given: str) -> list[str]:
    return [word for one in given for word in ("--set", one)]


def entries(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "ledger.jsonl").read_text().splitlines()[1:]
    return [json.loads(line) for line in lines]


def told(folder: Path) -> list[Any]:
    """What a ledger says but times and what was measured on this machine."""
    return [
        (e["number"], e["key"], e["configuration"], e.get("fidelity"), e["values"]["accuracy"])
        if e["values"]
        else (e["number"], e["key"], e["error"].partition(":")[0])
        for e in entries(folder)
    ]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def finished(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.glob("trials/*/trial.json")
    }


def test_a_sweep_that_is_killed_or_stopped_ends_as_an_undisturbed_one(
    sweep_file: Path, tmp_path: Path
) -> None:
    swept(sweep_file, "--out", tmp_path / "whole")
    folder = tmp_path / "killed"
    first = started(sweep_file, "--out", folder)
    until(lambda: len(finished(folder)) >= 1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = started("--resume", folder)
    before = finished(folder)
    until(lambda: len(finished(folder)) > len(before))
    second.send_signal(signal.SIGINT)
    assert second.wait(WAIT_S) == 130
    before |= {name: at for name, at in finished(folder).items() if name not in before}
    said = swept("--resume", folder)
    after = finished(folder)
    assert {name: after[name] for name in before} == before
    assert told(folder) == told(tmp_path / "whole")
    failed = [one for one in told(folder) if one[-1] == "LimitError"]
    assert 0 < len(failed) < 4
    seen = json.loads((folder / "status.json").read_text())["evaluations"]
    assert (seen["done"], seen["total"]) == (4, 4)
    assert (folder / "best" / "model.onnx").is_file()
    assert re.search(r"trial 000\d  learning_rate", said)
    page = (folder / "report.html").read_text()
    best = next(one for one in page.split("<tr") if "report.html" in one)
    assert (folder / re.findall(r'href="(trials/[^"]+)"', best)[0]).is_file()
    assert (folder / "results.csv").read_text().count("\n") == 5


def descendants(pid: int) -> list[int]:
    """Processes below one, as /proc has them."""
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            above = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            parents.setdefault(above, []).append(int(place.name))
    found, open_ones = [], [pid]
    while open_ones:
        below = parents.get(open_ones.pop(), [])
        found += below
        open_ones += below
    return found


def trial_workers(pid: int) -> list[int]:
    found = []
    for one in descendants(pid):
        with suppress(OSError):
            if b"TrialRun" in Path(f"/proc/{one}/cmdline").read_bytes():
                found.append(one)
    return found


def test_a_trial_whose_worker_is_killed_is_begun_again(sweep_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "swept"
    path = "sweep.parameters={recipe.supernet.learning_rate: {low: 0.001, high: 0.01}}"
    driver = started(sweep_file, "--out", folder, *settings(path, "sweep.trials=1"))
    until(lambda: (folder / "trials" / "0000" / "stages.json").exists())
    for worker in trial_workers(driver.pid):
        os.kill(worker, signal.SIGKILL)
    assert not finished(folder)
    assert driver.wait(WAIT_S) == 0
    (found,) = entries(folder)
    assert found["error"] == ""
    assert found["values"]["accuracy"] > 0.3


def test_a_fault_of_the_machine_ends_the_sweep_in_one_message(
    sweep_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "swept"
    place = folder / "trials" / "0001"
    driver = started(sweep_file, "--out", folder, *settings("sweep.trials=2"))
    until(lambda: (folder / "trials").is_dir())
    place.mkdir()
    (place / "foreign").touch()
    assert driver.wait(WAIT_S) == 1
    assert [entry["key"] for entry in entries(folder)] == ["0000"]
    again = subprocess.run(
        [*COMMAND, "--resume", str(folder)], capture_output=True, text=True, timeout=WAIT_S
    )
    assert again.returncode == 1
    assert "Traceback" not in again.stderr
    assert "SweepError: " in again.stderr
    assert "found something that is no run" in again.stderr
    (place / "foreign").unlink()
    swept("--resume", folder)
    assert [entry["key"] for entry in entries(folder)] == ["0000", "0001"]


def test_halving_stops_trials_on_their_rungs(sweep_file: Path, tmp_path: Path) -> None:
    # A sampler that learns may propose ever better ones, of which none is stopped.
    asha, by_chance = "sweep.scheduler={asha: {eta: 2}}", "sweep.sampler=random"
    more = settings(asha, BUDGET, by_chance, "sweep.concurrent=2")
    rate = "sweep.parameters={recipe.supernet.learning_rate: {low: 1.0e-5, high: 0.01, log: true}}"
    swept(sweep_file, "--out", tmp_path / "asha", *more, *settings(rate, "sweep.trials=6"))
    reached = [(e["key"], e["fidelity"]) for e in entries(tmp_path / "asha")]
    assert len(set(reached)) == len(reached)
    counts = [sum(rung == wanted for _, rung in reached) for wanted in (1.0, 2.0, 4.0)]
    assert counts[0] == 6
    assert counts[0] > counts[2] >= 1
    assert counts[1] >= counts[2]
    teachers = [p.name for p in (tmp_path / "asha" / "artefacts").glob("*/teacher-*")]
    assert len({name for name in teachers if not name.startswith(".")}) == 1
    before = finished(tmp_path / "asha")
    swept("--resume", tmp_path / "asha")
    assert finished(tmp_path / "asha") == before


def test_a_population_hands_weights_over(sweep_file: Path, tmp_path: Path) -> None:
    rate = "sweep.parameters={recipe.supernet.learning_rate: {low: 1.0e-5, high: 0.01, log: true}}"
    more = settings("sweep.scheduler={pbt: {share: 0.5}}", BUDGET, rate)
    outcomes = []
    for name, concurrent in (("one", 1), ("three", 3)):
        folder = tmp_path / name
        swept(sweep_file, "--out", folder, *more, *settings(f"sweep.concurrent={concurrent}"))
        found = [json.loads(p.read_text()) for p in sorted(folder.glob("trials/*/trial.json"))]
        outcomes.append(
            [(o["number"], o["step"], o["values"], o["measured"].get("accuracy")) for o in found]
        )
        assert len(found) == 12
        own = {(o["number"], o["step"]): o["artefact"] for o in found}
        later = [o for o in found if o["step"]]
        assert all(o["start"] in own.values() for o in later)
        assert any(o["start"] != own[o["number"], o["step"] - 1] for o in later)
    assert outcomes[0] == outcomes[1]


SCRIPT: Final = """
import os
import sys
from ray import tune
from stillhouse.core.sweep.searcher import StudySearcher

def train(config):
    tune.report({"loss": (config["x"] - 0.3) ** 2, "size": config["layers"]})

class Ending(tune.Callback):
    def on_step_end(self, iteration, trials, **info):
        if os.environ.get("END") and sum(trial.is_finished() for trial in trials) >= 3:
            os._exit(9)

searcher = StudySearcher(
    {"x": {"low": 0.0, "high": 1.0}, "layers": {"choices": [2, 4, 6]}},
    minimize=["loss"], limits=["size <= 4"], measures=["size"], sampler="optuna-tpe", seed=0,
)
where, trials = sys.argv[1], int(sys.argv[2])
if len(sys.argv) > 3:
    tuner = tune.Tuner.restore(where + "/users", train, restart_errored=True)
else:
    tuner = tune.Tuner(
        train,
        tune_config=tune.TuneConfig(search_alg=searcher, num_samples=trials, metric="loss",
                                    mode="min", max_concurrent_trials=1),
        run_config=tune.RunConfig(name="users", storage_path=where, verbose=0,
                                  callbacks=[Ending()]),
    )
found = tuner.fit()
print(len(found), len(found.errors))
"""


def test_the_searcher_serves_a_users_own_script_and_its_restoring(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(SCRIPT)
    for more, end in (((), "1"), (("restored",), "")):
        done = subprocess.run(
            [sys.executable, tmp_path / "own.py", tmp_path / "results", "6", *more],
            env={**os.environ, "END": end, "TUNE_GLOBAL_CHECKPOINT_S": "0"},
            capture_output=True, text=True, timeout=WAIT_S,
        )  # fmt: skip
        assert done.returncode == (9 if end else 0), done.stderr
    assert done.stdout.splitlines()[-1:] == ["6 0"], done.stderr
    states = (tmp_path / "results" / "users").glob("searcher-state-*")
    events = json.loads(max(states).read_text())["events"]
    assert sum("tell" in event for event in events) == 6
