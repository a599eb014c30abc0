"""Are models that were returned within their limits still within them when measured again?

Whole searches on the spoken digits with limits drawn at random, in the example's space; teacher
and supernet of a seed are trained once, briefly. The loss falls with size, so that a search presses
on its limits and picks what the predictors flatter. What is returned is timed once more in one
more fresh process beside the run's anchors, like any later user of the same machine would.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from record import arguments, averaged, parser, save, show, shown

from stillhouse.core.config.runfile import parse
from stillhouse.core.errors import LimitError, StillhouseError
from stillhouse.core.evaluate import Silent
from stillhouse.core.measure.afresh import slowdown
from stillhouse.core.measure.latency import NOISY, QUIET, THROTTLED
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.exported_model import known_anchors
from stillhouse.core.run.opened import open_run
from stillhouse.core.run.summary import RunSummary

RUN = """
task: spoken-digits
teacher: {{model: keyword-transformer, width: 96, depth: 6, heads: 6, ffn_ratio: 2.0, epochs: 6}}
recipe:
  - soft-labels: {{temperature: 4.0}}
  - supernet:
      {{space: {space}, full_epochs: 2, epochs: 8, sampler: size_bins, learning_rate: 2.0e-3}}
search:
  {{minimize: log_loss, limits: {limits}, evaluations: {evaluations}, finalists: 2, seed: {seed}}}
target:
  {{runtime: onnxruntime-cpu, device: {device}, predictor: {predictor}, processes: {processes}}}
baselines: false
train: {{threads: 1}}
"""
SPANS = {"latency_ms": (13, 30), "size_kb": (5, 25), "macs": (6, 25)}
"""Limits, in percent of the teacher's, are drawn evenly on a logarithmic scale between these.

Above 30 % of its latency no more of it lowers the loss of so short a training: a search has no
reason to use a looser limit up.
"""


@dataclass(frozen=True)
class Job:
    """One search: its limits as a run file has them."""

    number: int
    limits: Mapping[str, str]

    @staticmethod
    def drawn(number: int, seed: int) -> Job:
        """A limit on latency, and one time in two another one as well."""
        rng = np.random.default_rng([seed, number])
        names = ["latency_ms", *rng.permutation(["size_kb", "macs"])[: rng.integers(2)]]
        bounds = {name: np.exp(rng.uniform(*np.log(SPANS[name]))) for name in names}
        return Job(number, {name: f"{bound:.4g}%" for name, bound in bounds.items()})


def one_search(
    job: Job, seed: int, given: argparse.Namespace, folder: Path, catalogue: Catalogue
) -> dict[str, Any]:
    """Run it, measure what it returned again, and compare."""
    text = RUN.format(
        space=given.space, limits=json.dumps(job.limits), seed=seed,
        evaluations=given.evaluations, device=folder / "device.json",
        predictor=given.predictor, processes=given.processes,
    )  # fmt: skip
    plan = make_plan(parse(text, str(folder / "run.yaml"), catalogue), catalogue)
    directory = RunDirectory.create(folder / str(job.number), plan.run.to_yaml(), overwrite=True)
    stored = folder / "artefacts"
    if stored.is_dir():
        shutil.copytree(stored, directory.artefacts)
    told: dict[str, Any] = {"number": job.number, "limits": dict(job.limits)}
    began = time.perf_counter()
    try:
        with directory:
            summary = execute(plan, catalogue, directory, Silent())
    except LimitError as error:
        return {**told, "refused": str(error)}
    told["seconds"] = time.perf_counter() - began
    if not stored.is_dir():
        shutil.copytree(directory.artefacts, stored)
    told |= judged(summary, again(plan, catalogue, directory))
    told["stages"] = dict(summary.stages)
    shutil.rmtree(directory.folder)
    return told


def again(plan: Any, catalogue: Catalogue, directory: RunDirectory) -> list[Mapping[str, Any]]:
    """Times of the returned model in one more fresh process: beside anchors, and plain.

    Where a process calls its own measurement disturbed, the next one is asked, up to five.
    """
    opened = open_run(plan, catalogue, directory, Silent())
    anchors, _ = known_anchors(opened)
    repeats, found = plan.run.target.repeats, list[Mapping[str, Any]]()
    paths = [directory.best / "model.onnx", *anchors]
    while len(found) < 5 and (not found or found[-1]["conditions"] != QUIET):
        run = opened.target.measure_afresh(paths, repeats=repeats, warmup=10, processes=1)[0]
        ratio, plain_ms = slowdown(run[1:], list(anchors.values())), run[0].latency_ms
        conditions = max((one.conditions for one in run), key=(QUIET, NOISY, THROTTLED).index)
        times = {"latency_ms": plain_ms / ratio, "plain_ms": plain_ms, "slowdown": ratio}
        found.append({**times, "conditions": conditions})
    return found


def judged(summary: RunSummary, times: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether each limit is met, and the least room left under one, in percent of it."""
    found, last = summary.certificate.measured, times[-1]
    now = {**found, "latency_ms": last["latency_ms"]}
    room = {line.cost: 100 * (1 - now[line.cost] / line.bound) for line in summary.limits}
    dropped = [d for d in summary.certificate.dropped if "bound" in d]
    return {
        "met": min(room.values()) >= 0,
        "slack_percent": min(room.values()),
        "room_percent": room,
        "certified_ms": [found["low_ms"], found["latency_ms"], found["high_ms"]],
        "again_ms": last["latency_ms"],
        "again": list(times),
        "certified_in": summary.certificate.conditions,
        "finalists_dropped": len(dropped),
        "predictor": dict(summary.predictor),
    }


def one_seed(
    seed: int, given: argparse.Namespace, catalogue: Catalogue
) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as place:
        for number in range(given.searches):
            job = Job.drawn(number, seed)
            yield one_search(job, seed, given, Path(place), catalogue)


def figures(searches: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of one seed's searches: what was met, and how closely."""
    done = [one for one in searches if "met" in one]
    misses = [one["certified_ms"][1] for one in done]
    drift = [100 * abs(one["again_ms"] / ms - 1) for one, ms in zip(done, misses, strict=True)]
    return {
        "disturbed": float(np.sum([one["again"][-1]["conditions"] != QUIET for one in done])),
        "met": 100 * float(np.mean([one["met"] for one in done])),
        "slack": float(np.median([one["slack_percent"] for one in done])),
        "drift": float(np.median(drift)),
        "dropped": float(np.sum([one["finalists_dropped"] for one in done])),
        "refused": float(len(searches) - len(done)),
        "seconds": float(np.mean([one["seconds"] for one in done])),
    }


ROWS = {
    "met": "meet every limit when measured again, %",
    "disturbed": "measured again by a disturbed process only",
    "slack": "median slack under the tightest limit, %",
    "drift": "median difference from the certified latency, %",
    "dropped": "finalists dropped by measuring",
    "refused": "searches refused: impossible limits",
    "seconds": "seconds a search",
}


def main() -> None:
    made = parser(__doc__ or "", "0-4", "certification.json")
    made.add_argument("--searches", type=int, default=20, help="searches for each seed")
    made.add_argument("--space", default="keyword-transformer-small")
    made.add_argument("--evaluations", type=int, default=80)
    made.add_argument("--processes", type=int, default=3)
    made.add_argument("--predictor", default="auto")
    given = arguments(made)
    catalogue, per_seed = Catalogue.discover(), {}
    try:
        for seed in given.seeds:
            per_seed[seed] = []
            for told in one_seed(seed, given, catalogue):
                per_seed[seed].append(told)
                shown_of_it = {k: v for k, v in told.items() if k not in ("predictor", "again")}
                print(seed, json.dumps(shown_of_it), flush=True)
            report(given, per_seed)
    except StillhouseError as error:
        raise SystemExit(f"{made.prog}: {error}") from None


def report(given: argparse.Namespace, per_seed: Mapping[int, Sequence[Mapping[str, Any]]]) -> None:
    """The table of the seeds so far, and the file."""
    tables = {seed: figures(searches) for seed, searches in per_seed.items()}
    averages = {name: averaged(table[name] for table in tables.values()) for name in ROWS}
    every = figures([one for searches in per_seed.values() for one in searches])
    show(
        f"{given.searches} searches for each of {len(per_seed)} seeds, {given.space}",
        ["", "all together", "mean of seeds ± standard error"],
        ([label, f"{every[n]:.2f}", shown(averages[n])] for n, label in ROWS.items()),
    )
    done = argparse.Namespace(**{**vars(given), "seeds": list(per_seed)})
    save(done, {"results": averages, "all": every, "searches": per_seed})


if __name__ == "__main__":
    main()
