"""The supernet's figures on spoken digits: exactness, ranking, stages, samplers, search, speed."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from record import arguments, parser, save, show
from supernets import exact, extremes, fidelity, search, speed, stages, thirds
from supernets.ground import Ground
from supernets.part import Part
from supernets.sizes import QUICK, Sizes

PARTS: Final[Mapping[str, Part]] = {
    "exact": exact.PART,
    "fidelity": fidelity.PART,
    "thirds": thirds.PART,
    "stages": stages.PART,
    "extremes": extremes.PART,
    "search": search.PART,
    "speed": speed.PART,
}


def one_seed(seed: int, parts: Sequence[str], sizes: Sizes, folder: Path) -> dict[str, Any]:
    """The seed's cells by part, read from disk where they were found before; on one thread."""
    torch.set_num_threads(1)
    ground, cells = Ground.of(seed, sizes, folder), {}
    for name in parts:
        began = time.perf_counter()
        cells[name] = ground.cell(name, PARTS[name].reads, PARTS[name].cell)
        seconds = time.perf_counter() - began
        print(f"seed {seed}, {name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return cells


def every_seed(given: argparse.Namespace, sizes: Sizes) -> dict[int, dict[str, Any]]:
    """Cells by seed and part: several seeds at a time, then what needs both cores alone."""
    shared = [name for name in given.parts if not PARTS[name].apart]
    alone = [name for name in given.parts if PARTS[name].apart]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.jobs, spawn) as pool:
        running = {
            seed: pool.submit(one_seed, seed, shared, sizes, given.runs) for seed in given.seeds
        }
        cells = {seed: job.result() for seed, job in running.items()}
    for seed in given.seeds:
        cells[seed] |= one_seed(seed, alone, sizes, given.runs)
    return cells


def main() -> None:
    made = parser(__doc__ or "", "0-4", "supernet.json")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    made.add_argument("--runs", type=Path, default=Path("runs/supernet"), metavar="DIR")
    made.add_argument("--jobs", type=int, default=2, help="seeds at a time, a thread for each")
    made.add_argument("--quick", action="store_true", help="sizes at which figures mean nothing")
    given = arguments(made)
    if os.environ.get("OMP_NUM_THREADS") != "1":
        made.error("every network is trained on one thread: set OMP_NUM_THREADS=1")
    sizes = QUICK if given.quick else Sizes()
    cells = every_seed(given, sizes)
    results = {}
    for name in given.parts:
        report = PARTS[name].report({seed: found[name] for seed, found in cells.items()})
        mark = "reached" if report.reached else "NOT reached"
        show(f"{name} ({mark}). {report.title}", report.headings, report.rows)
        results[name] = {"reached": report.reached, **report.figures}
    save(given, {"sizes": asdict(sizes), "results": results})


if __name__ == "__main__":
    main()
