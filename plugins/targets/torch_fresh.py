"""Torch targets in fresh interpreters: `python -m stillhouse.plugins.targets.torch_fresh JOB`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import StillhouseError, UserError
from stillhouse.core.measure.latency import Latency

if TYPE_CHECKING:
    from stillhouse.plugins.targets.torch_module import TorchModule

Settings = Mapping[str, Any]


def latencies(
    target: str,
    settings: Settings,
    paths: Sequence[Path],
    reference_ms: float | None,
    repeats: int,
    warmup: int,
) -> tuple[list[Latency], float]:
    """Each artefact's latency as one new process measures it, on inputs made up there.

    And the reference kernel's best time, before or in that process. Raises `UserError` with what
    the process said when it fails.
    """
    names = [str(path.resolve()) for path in paths]
    found, best_ms = _asked(
        target, settings, paths=names, reference_ms=reference_ms, repeats=repeats, warmup=warmup
    )
    return [Latency(**one) for one in found], float(best_ms)


def peak(target: str, settings: Settings, path: Path) -> int:
    """Bytes that loading and running an artefact adds at most to a new process's memory."""
    return int(_asked(target, settings, peak=str(path.resolve())))


def _asked(target: str, settings: Settings, **job: Any) -> Any:
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        path = Path(folder) / "job.json"
        answer = Path(folder) / "answer.json"
        text = {"target": target, "settings": dict(settings), "answer": str(answer), **job}
        path.write_text(json.dumps(text), "utf-8")
        done = subprocess.run(  # noqa: S603 - this interpreter, this module
            [sys.executable, "-m", __name__, str(path)], capture_output=True, text=True
        )
        if done.returncode:
            said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise UserError(f"target {target}: measuring in a fresh process failed: {said}")
        return json.loads(answer.read_text("utf-8"))


def _answer(job: Mapping[str, Any]) -> Any:
    target = _target(job["target"], job["settings"])
    if "peak" in job:
        return target.peak_bytes(Path(job["peak"]))
    target.reference_ms = job["reference_ms"]
    paths = [Path(path) for path in job["paths"]]
    measured = target.measure(paths, None, repeats=job["repeats"], warmup=job["warmup"])
    return [latency.to_json() for latency in measured], target.reference_ms


def _target(name: str, settings: Mapping[str, Any]) -> TorchModule:
    from stillhouse.plugins.targets import info

    if name == "torch-cuda":
        from stillhouse.plugins.targets.torch_cuda import torch_cuda

        return torch_cuda(info.TorchCudaParams(**settings))
    from stillhouse.plugins.targets.torch_cpu import torch_cpu

    return torch_cpu(info.TorchCpuParams(**settings))


def main(arguments: Sequence[str]) -> int:
    """Do the job described in a JSON file; what is wrong is one line on standard error."""
    job = json.loads(Path(arguments[0]).read_text("utf-8"))
    try:
        write_atomically(Path(job["answer"]), json.dumps(_answer(job)))
    except StillhouseError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
