"""The runner and what it imports as one file, and running that file in a process of its own."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from stillhouse.core.errors import UserError
from stillhouse.core.measure import latency, processor, reference, timing
from stillhouse.plugins.targets import runner, sessions

_PARTS: Final = (latency, processor, reference, timing, sessions, runner)
_HEAD: Final = '''\
"""Measures the ONNX files of this folder on this device: `python measure.py`.

Written by stillhouse. Needs Python 3.10, onnxruntime and NumPy: `pip install onnxruntime numpy`.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):
    sys.stderr.write("error: expected Python 3.10 or newer, got %d.%d\\n" % sys.version_info[:2])
    sys.exit(2)
try:
    import numpy
    import onnxruntime
except ImportError as missing:
    sys.stderr.write("error: %s; run: pip install onnxruntime numpy\\n" % missing)
    sys.exit(2)
'''


def script() -> str:
    """Source of the one file: standard library, NumPy and onnxruntime only."""
    return "\n\n".join([_HEAD, *(_body(module) for module in _PARTS)])


def _body(module: ModuleType) -> str:
    """A module's source without its docstring and what the one file has in another place."""
    source = inspect.getsource(module)
    lines = source.splitlines()
    tree = ast.parse(source)
    for node in tree.body:
        docstring = node is tree.body[0]
        ours = isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            ("__future__", "stillhouse.")
        )
        main = isinstance(node, ast.If) and module is not runner
        if docstring or ours or main:
            lines[node.lineno - 1 : node.end_lineno] = [""] * (_length(node))
    return "\n".join(lines).strip() + "\n"


def _length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def run_alone(manifest: Mapping[str, Any], *flags: str) -> dict[str, Any]:
    """What the script finds for a manifest in a fresh process, which loads nothing but the script.

    The process sees the packages that this one sees, a user's own ones too (`python -P`, not `-I`).

    Raises `UserError` with what the process said last when it fails.
    """
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as name:
        folder = Path(name)
        program = folder / "measure.py"
        program.write_text(script(), "utf-8")
        (folder / runner.MANIFEST).write_text(json.dumps(manifest), "utf-8")
        done = subprocess.run(  # noqa: S603 - this interpreter, our own script
            [sys.executable, "-P", str(program), *flags], capture_output=True, text=True
        )
        if done.returncode:
            said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise UserError(
                f"target {runner.TARGET}: measuring in a fresh process failed: "
                f"{said.removeprefix('error: ')}"
            )
        result: dict[str, Any] = json.loads((folder / runner.RESULT).read_text("utf-8"))
        return result
