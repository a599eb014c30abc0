"""A driver to be killed: prints a worker's process and its zygote's, then waits for ever."""

from __future__ import annotations

import sys
from pathlib import Path

from stillhouse.core.execute import Job, Work
from stillhouse.core.execute.processes import Processes

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    work = Work("process_benches:obedient", {"folder": sys.argv[1]})
    with Processes(work, 1) as processes:
        processes.submit([Job(0, {})])
        facts = processes.finished()[0].result or {}
        print(facts["pid"], facts["zygote"], flush=True)
        processes.submit([Job(1, {"do": "await", "file": "end"})])
        processes.finished()
