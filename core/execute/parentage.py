"""Processes that do not outlive their parent, whatever ends it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
"""linux/prctl.h; the signal comes when the thread that started this process ends."""

_SACRIFICE: Final = 300
"""proc(5), oom_score_adj: added to the score, of 1,000, by which a full machine chooses."""


def die_with(parent: int) -> None:
    """Have the system end this process as soon as its parent has ended, even before now.

    Elsewhere than on Linux only a closed connection tells, which whoever works on does not read.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def die_first() -> None:
    """Have a machine out of memory end this process rather than the one that searches."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_SACRIFICE), "ascii")
