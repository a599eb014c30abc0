"""Where a user keeps what several runs share: device files, similarities of layers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """`$STILLHOUSE_HOME`, or `~/.cache/stillhouse`."""
    named = environ.get("STILLHOUSE_HOME")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "stillhouse"
