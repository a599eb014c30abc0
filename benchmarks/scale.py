"""Many workers: overhead, speed-up, efficiency, asynchrony, faults, and ledgers of a million.

Each part prints a table with what was to be reached. The parts that time something want a quiet
machine; `storm` and `speedup` train networks.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any, Final

from record import arguments, parser, save, show

PARTS: Final = ("overhead", "speedup", "clock", "asynchrony", "storm", "ledger_size")


def main() -> None:
    made = parser(__doc__ or "", "0-4", "scale.json")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    made.add_argument("--runs", type=Path, default=Path("build/scale"), metavar="DIR")
    made.add_argument("--evaluations", type=int, default=48, help="of the speed-up's searches")
    made.add_argument("--entries", type=int, default=1_000_000, help="of the largest ledger")
    given = arguments(made)
    found: dict[str, Any] = {}
    for name in given.parts:
        began = time.perf_counter()
        report = importlib.import_module(f"scales.{name}").report(given)
        show(report.title, report.headings, report.rows)
        said = "reached" if report.reached else "NOT reached"
        print(f"{name}: {said}; {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        found[name] = {"figures": report.figures, "reached": report.reached}
    save(given, {"results": found})


if __name__ == "__main__":
    main()
