"""How far does a latency differ from process to process? The same files in fresh processes.

For each seed some networks of a space, of many sizes, are exported once and timed in so many
fresh processes, one after another. The coefficient of variation (standard deviation over mean) is
over the processes: of the latency that limits are held against, plain and in terms of the other
networks (each process's times divided by their median ratio), and of the median over all runs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from predictors.bench import Bench
from record import arguments, averaged, parser, save, show, shown

from stillhouse.core.cost.spread import spread
from stillhouse.core.cost.terms import macs
from stillhouse.core.errors import StillhouseError
from stillhouse.core.measure import Latency
from stillhouse.core.measure.bench import export_untrained

Array = NDArray[np.float64]

ROWS = {
    "plain": "latency, plain",
    "beside": "latency, in terms of the other networks",
    "all_runs": "median over all runs",
    "covered": "a process inside the interval of another one",
}


def variation(times: Array) -> Array:
    """Percent, (networks,), of times (processes, networks)."""
    return np.asarray(100 * times.std(axis=0, ddof=1) / times.mean(axis=0))


def beside(times: Array) -> Array:
    """Every process's times divided by the median ratio of the other networks' to their means."""
    ratios = times / times.mean(axis=0)
    out = np.empty_like(times)
    for i in range(times.shape[1]):
        out[:, i] = times[:, i] / np.median(np.delete(ratios, i, axis=1), axis=1)
    return out


def covered(runs: Sequence[Sequence[Latency]]) -> float:
    """Percent of the latencies that lie inside the interval of another process's."""
    inside = [
        a[i].low_ms <= b[i].latency_ms <= a[i].high_ms
        for a in runs
        for b in runs
        if a is not b
        for i in range(len(a))
    ]
    return 100 * float(np.mean(inside))


def one_seed(bench: Bench, given: argparse.Namespace, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    pool = bench.space.unique(bench.space.sample(1000, rng))
    codes = pool[spread(macs(bench.sheet(pool))[:, None], given.networks, rng)]
    example = torch.zeros(1, *bench.full["input_shape"])
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        paths = [
            export_untrained(
                bench.family.subnet(bench.full, bench.space.decode(row)),
                bench.family.build,
                bench.target,
                example,
                Path(folder) / f"{number}{bench.target.suffix}",
            ).path
            for number, row in enumerate(codes)
        ]
        runs = bench.target.measure_afresh(
            paths, repeats=given.repeats, warmup=10, processes=given.processes
        )
    times = np.array([[one.latency_ms for one in run] for run in runs])
    medians = np.array([[one.median_ms for one in run] for run in runs])
    columns = {
        "plain": variation(times),
        "beside": variation(beside(times)),
        "all_runs": variation(medians),
    }
    return {
        "mean_ms": times.mean(axis=0).tolist(),
        "conditions": [[one.conditions for one in run] for run in runs],
        "latency_ms": times.tolist(),
        "covered": covered(runs),
        **{name: column.tolist() for name, column in columns.items()},
    }


def figure(name: str, seed: Mapping[str, Any]) -> float:
    return float(np.mean(seed[name]))


def main() -> None:
    made = parser(__doc__ or "", "0-4", "repeatability.json")
    made.add_argument("--networks", type=int, default=7)
    made.add_argument("--processes", type=int, default=10)
    made.add_argument("--repeats", type=int, default=200, help="timed runs of each network")
    made.add_argument("--space", default="keyword-transformer")
    made.add_argument("--target", default="onnxruntime-cpu")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--input-shape", nargs="+", type=int, default=[32, 13], metavar="N")
    made.add_argument("--outputs", type=int, default=10)
    given = arguments(made)
    if given.networks < 3 or given.processes < 2:
        made.error("expected --networks from 3, --processes from 2")
    torch.set_num_threads(1)
    try:
        bench = Bench.of(given)
        seeds = [one_seed(bench, given, seed) for seed in given.seeds]
    except StillhouseError as error:
        raise SystemExit(f"{made.prog}: {error}") from None
    averages = {name: averaged(figure(name, seed) for seed in seeds) for name in ROWS}
    worst = {name: max(float(np.max(seed[name])) for seed in seeds) for name in ROWS}
    show(
        f"{given.networks} networks of {given.space} in {given.processes} fresh processes, "
        f"{len(given.seeds)} seeds; coefficient of variation, %",
        ["", "mean ± standard error", "largest"],
        ([label, shown(averages[n]), f"{worst[n]:.2f}"] for n, label in ROWS.items()),
    )
    save(given, {"results": averages, "largest": worst, "per_seed": seeds})


if __name__ == "__main__":
    main()
