"""What the benchmarks share: command line, means with their errors, one table, one JSON file."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from stillhouse.core.atomic import write_atomically
from stillhouse.core.measure import machine
from stillhouse.core.report.intervals import interval

_PACKAGES = ("stillhouse", "numpy", "scipy", "torch", "onnx", "onnxruntime", "optuna")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PIPE_WIDTH = 130


def parser(about: str, seeds: str, out: str) -> argparse.ArgumentParser:
    """A command line with `--seeds` (numbers and ranges such as 0-19) and `--out`."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--seeds", nargs="+", default=[seeds], metavar="SEED", help="e.g. 3 or 0-19")
    made.add_argument("--out", type=Path, default=Path(out), metavar="FILE.json")
    return made


def arguments(made: argparse.ArgumentParser) -> argparse.Namespace:
    """The parsed command line, `seeds` as distinct numbers in the order given."""
    given = made.parse_args()
    found: list[int] = []
    for word in given.seeds:
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        if not ends:
            made.error(f"--seeds: expected a number or a range such as 0-19, got '{word}'")
        found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    given.seeds = list(dict.fromkeys(found))
    if not given.seeds:
        made.error("--seeds: expected at least one seed, got an empty range")
    return given


def averaged(values: Iterable[float]) -> dict[str, Any]:
    """Per-seed values, their mean, and its standard error (None for a single value)."""
    per_seed = [float(value) for value in values]
    error = np.std(per_seed, ddof=1) / np.sqrt(len(per_seed)) if len(per_seed) > 1 else None
    return {
        "mean": float(np.mean(per_seed)),
        "standard_error": None if error is None else float(error),
        "per_seed": per_seed,
    }


def shown(average: Mapping[str, Any], digits: int = 2) -> str:
    """An average as "mean ± standard error"."""
    error = average["standard_error"]
    spread = "" if error is None else f" ± {error:.{digits}f}"
    return f"{average['mean']:.{digits}f}{spread}"


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean, half of its 95 % t-interval (None for a single value) and median over seeds."""
    found = interval(values)
    return {
        "mean": float(np.mean(values)),
        "half_width": None if found is None else found.half,
        "median": float(np.median(values)),
        "per_seed": list(values),
    }


def with_half(line: Mapping[str, Any], digits: int) -> str:
    """A mean over seeds as "mean ± half of the 95 % interval"."""
    half = line["half_width"]
    spread = "" if half is None else f" ± {half:.{digits}f}"
    return f"{line['mean']:.{digits}f}{spread}"


def show(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print one table; the first column is text, the others are figures."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left", no_wrap=i == 0)
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.width = console.width if console.is_terminal else _PIPE_WIDTH
    console.print(table)


def save(given: argparse.Namespace, results: Mapping[str, Any]) -> None:
    """Write the results with the settings, and the machine and versions they hold for."""
    settings = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(given).items()
        if name not in ("seeds", "out")
    }
    content = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_average": list(os.getloadavg()),
        "threads": {name: os.environ.get(name) for name in _THREADS},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
        "seeds": given.seeds,
        "settings": settings,
        **results,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(given.out, json.dumps(content, indent=2, allow_nan=False) + "\n")
    print(f"written: {given.out}")


def resident_mb(field: str) -> float:
    """A line of this process's status, such as VmHWM, in megabytes (10^6 bytes)."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    kib = next(int(line.split()[1]) for line in lines if line.startswith(field))
    return kib * 1024 / 1e6
