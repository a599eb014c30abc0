"""Fresh processes: what is true only where nothing has been imported yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from stillhouse.core.plugin.conformance.check import UnmetError

_TIMEOUT_S: Final = 300


def fresh(module: str, *arguments: str) -> Any:
    """What `python -m module` prints as JSON in its last line.

    It imports from where this process does. Raises UnmetError, with the end of its errors, where
    it fails.
    """
    paths = os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, text=True, check=False, timeout=_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-3:])
        raise UnmetError(f"expected a fresh process to do the same, got: {last}; mend that")
    return json.loads(done.stdout.splitlines()[-1])
