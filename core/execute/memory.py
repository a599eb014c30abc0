"""What a process holds, as Linux counts it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_GONE: Final = (FileNotFoundError, ProcessLookupError)


def resident_bytes(process: int) -> int:
    """All memory of a process, with what it shares; 0 when it is gone. Costs 0.05 ms."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text("ascii").split()[1]
    except _GONE:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def private_bytes(process: int) -> int:
    """What a process shares with no other; 0 when it is gone. Costs some 5 ms."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
    except _GONE:
        return 0
    own = [line.split()[1] for line in lines if line.startswith(("Private_", "Swap:"))]
    return sum(int(kib) for kib in own) * 1024
