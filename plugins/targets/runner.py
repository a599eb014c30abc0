"""Measures ONNX files where there is nothing but onnxruntime and NumPy.

With the modules that it imports, this is the script of bundles and of measurements in fresh
processes (see `standalone`): it runs on Python 3.10 and later.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from stillhouse.core.measure.processor import machine
from stillhouse.core.measure.reference import Reference
from stillhouse.plugins.targets.sessions import (
    MeasureError,
    call_of,
    check_affinity,
    check_threads,
    latencies,
    made_up,
    opened,
    session,
)

TARGET: Final = "onnxruntime-cpu"
FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
RESULT: Final = "result.json"

_IDENTITY: Final = bytes.fromhex(
    "08083a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a020801620f0a"
    "0179120a0a08080112040a02080142040a00100d"
)
"""An ONNX model that gives back one number, opset 13."""
_GROUP: Final = 8
"""So many artefacts are timed together, and kept before the next ones, unless a manifest says."""
_STATUS: Final = Path("/proc/self/status")


def identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The device, its runtime, and the settings that a latency depends on."""
    return {
        "target": TARGET,
        **machine(),
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "threads": settings.get("threads", 1),
        "batch": settings.get("batch", 1),
        "affinity": settings.get("affinity", "none"),
    }


def measured(
    folder: Path, memory: bool, say: Callable[[str], object], partial: Path
) -> dict[str, Any]:
    """The result for the manifest in a folder, as JSON. Raises `MeasureError`.

    It is measured in groups of the manifest's `group` artefacts; after each but the last the file
    `partial` has all until then, and is gone on from where there is one.
    """
    manifest = _manifest(folder / MANIFEST)
    settings, artefacts = manifest["settings"], manifest["artefacts"]
    check_threads(settings.get("threads", 1))
    check_affinity(settings.get("affinity", "none"))
    result = _begun(partial, manifest)
    found = result["latencies"]
    left = [one for one in artefacts if one["key"] not in found] if manifest["repeats"] else []
    if found:
        say(f"going on from {partial}: {len(artefacts) - len(left)} of {len(artefacts)} are there")
    reference = Reference(_best_ms(manifest.get("reference_ms"), result))
    size = _group_size(manifest)
    for i in range(0, len(left), size):
        found |= _latencies(folder, left[i : i + size], manifest, reference)
        result["reference"] = {"ms": reference.best_ms, "numpy": np.__version__}
        say(f"measured {len(found)} of {len(artefacts)}")
        if i + size < len(left):
            _write(result, partial)
    if memory:
        result["memory"] = _memory(folder, artefacts, settings.get("threads", 1))
    return result


def _latencies(
    folder: Path,
    group: Sequence[Mapping[str, Any]],
    manifest: Mapping[str, Any],
    reference: Reference,
) -> dict[str, Any]:
    times = latencies(
        [folder / one["path"] for one in group], manifest["settings"], reference,
        repeats=manifest["repeats"], warmup=manifest["warmup"],
        clock=time.perf_counter_ns, date=today(),
    )  # fmt: skip
    keys = [one["key"] for one in group]
    return {key: one.to_json() for key, one in zip(keys, times, strict=True)}


def _begun(partial: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured before of these artefacts, on this device and as set; or nothing yet."""
    settings = manifest["settings"]
    empty = {"format": FORMAT, "identity": identity(settings), "settings": settings}
    try:
        before = json.loads(partial.read_text("utf-8"))
        known, reference = dict(before.pop("latencies")), dict(before.pop("reference"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        known, reference, before = {}, {}, empty
    keys = {one["key"] for one in manifest["artefacts"]}
    if not known or before != empty or not known.keys() <= keys:
        return {**empty, "latencies": {}}
    return {**empty, "latencies": known, "reference": reference}


def _best_ms(known: float | None, begun: Mapping[str, Any]) -> float | None:
    """The reference's best time, from before or from another process with the same NumPy."""
    reference = begun.get("reference", {})
    earlier = reference.get("ms") if reference.get("numpy") == np.__version__ else None
    return min((ms for ms in (known, earlier) if ms is not None), default=None)


def _group_size(manifest: Mapping[str, Any]) -> int:
    size = manifest.get("group")
    return size if isinstance(size, int) and size > 0 else _GROUP


def today() -> str:
    """The date in UTC, as YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except OSError as failed:
        raise MeasureError(
            f"cannot read {path}: {failed.strerror}; run this in a bundle"
        ) from failed
    except ValueError as failed:
        raise MeasureError(
            f"{path}: damaged, not JSON ({failed}); copy the bundle again"
        ) from failed
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise MeasureError(
            f'{path}: expected an object with "format": {FORMAT}; write the bundle anew'
        )
    if manifest.get("target") != TARGET:
        raise MeasureError(f"{path}: expected target {TARGET}, got {manifest.get('target')!r}")
    for key, kind in (("settings", dict), ("artefacts", list), ("repeats", int), ("warmup", int)):
        if not isinstance(manifest.get(key), kind):
            raise MeasureError(
                f'{path}: damaged, no {kind.__name__} at "{key}"; copy the bundle again'
            )
    for one in manifest["artefacts"]:
        if not isinstance(one, dict) or not {"key", "path"} <= one.keys():
            raise MeasureError(f'{path}: damaged, an artefact lacks "key" or "path"')
    return manifest


def _memory(
    folder: Path, artefacts: Sequence[Mapping[str, Any]], threads: int
) -> dict[str, dict[str, int]]:
    empty = _peak_of_child("", threads)
    return {
        one["key"]: {
            # What is loaded takes a page at least, though it may hide in what the runtime freed.
            "peak_bytes": max(
                mmap.PAGESIZE, _peak_of_child(str(folder / one["path"]), threads) - empty
            )
        }
        for one in artefacts
    }


def _peak_of_child(path: str, threads: int) -> int:
    # -P came with Python 3.11; an older one looks for modules in the script's folder first.
    flags = ["-P"] if hasattr(sys.flags, "safe_path") else []
    script = str(Path(__file__).resolve())
    command = [sys.executable, *flags, script, "--peak-of", path, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - this very script
    if done.returncode:
        raise MeasureError((done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1])
    return int(done.stdout)


def peak_of(path: str, threads: int) -> int:
    """This process's peak resident memory, bytes, after running a file twice, or none for "".

    The runtime runs a model of one `Identity` before: it reads most of its own code from disk then.
    """
    smallest = session(_IDENTITY, threads)
    smallest.run(None, {"x": np.zeros(1, np.float32)})
    if path:
        at = opened(Path(path), threads)
        call_of(Path(path), at, made_up(Path(path), at))()
    return _peak_bytes()


def _peak_bytes() -> int:
    # Where there is one, the kernel's own mark: ru_maxrss begins at the parent's.
    mark = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text()) if _STATUS.is_file() else None
    if mark:
        return 1024 * int(mark[1])
    try:
        import resource
    except ImportError:
        raise MeasureError(f"peak memory cannot be measured on {sys.platform}") from None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _write(result: Mapping[str, Any], path: Path) -> None:
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with staged.open("w", encoding="utf-8") as file:
            file.write(json.dumps(result, indent=1, sort_keys=True))
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except OSError as failed:
        raise MeasureError(
            f"cannot write {path}: {failed.strerror}; name another with --out"
        ) from failed
    finally:
        staged.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. What is wrong is one line on standard error, and exit code 2."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Measure a bundle's ONNX files on this device.")
    parser.add_argument("folder", nargs="?", type=Path, default=here, help="the bundle")
    parser.add_argument(
        "--out", type=Path, help=f"where to write (default: {RESULT} in the bundle)"
    )
    parser.add_argument("--memory", action="store_true", help="peak resident memory as well")
    parser.add_argument("--peak-of", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    out = given.out or given.folder / RESULT
    partial = out.with_name(f"{out.stem}.partial.json")

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        if given.peak_of:
            print(peak_of(given.peak_of[0], int(given.peak_of[1])))
            return 0
        _write(measured(given.folder, given.memory, say, partial), out)
        partial.unlink(missing_ok=True)
    except MeasureError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        kept = f"{partial} has what was measured; start again to go on from there"
        say(f"error: interrupted; {kept if partial.exists() else 'nothing was measured yet'}")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
