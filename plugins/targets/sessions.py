"""Sessions of ONNX Runtime on files, what they run on, and how long they take.

onnxruntime, NumPy and what travels with them only: this module is a part of the runner's script.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from stillhouse.core.measure.latency import Latency
from stillhouse.core.measure.processor import cores
from stillhouse.core.measure.reference import ClockNs, Reference
from stillhouse.core.measure.timing import PATIENCE_S, interleaved

Feed = Mapping[str, "np.ndarray[Any, np.dtype[Any]]"]
"""Inputs by name."""
FeedOf = Callable[[Path, onnxruntime.InferenceSession], Feed]

_TYPES: Final = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8, "tensor(bool)": np.bool_,
}  # fmt: skip
IDS: Final = "stillhouse.ids"
"""In a file's metadata: the lowest and the highest whole number that its input is known to take."""
_LARGE_BYTES: Final = 64_000_000


class MeasureError(Exception):
    """An artefact, a manifest or a setting that cannot be measured; says what and why."""


def opened(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session on a file. Raises `MeasureError` with the runtime's reason."""
    try:
        return session(str(path), threads)
    except Exception as failed:  # the runtime raises its own types and plain RuntimeError
        raise MeasureError(
            f"cannot load {path} in ONNX Runtime {onnxruntime.__version__}: {first_line(failed)}; "
            "expected an ONNX model that this version can read"
        ) from failed


def session(model: str | bytes, threads: int) -> onnxruntime.InferenceSession:
    """A session on a file's name or a model's bytes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def made_up(path: Path, at: onnxruntime.InferenceSession) -> Feed:
    """Normally distributed inputs, or whole numbers within the file's `IDS` (zeros without).

    Raises `MeasureError` for an input without a fixed shape or of a type that arrays do not have.
    """
    low, high = _ids(path, at)
    rng, feed = np.random.default_rng(0), dict[str, np.ndarray[Any, np.dtype[Any]]]()
    for given in at.get_inputs():
        kind = _TYPES.get(given.type)
        if kind is None or not all(isinstance(size, int) for size in given.shape):
            raise MeasureError(
                f"{path}: input {given.name}: expected a tensor of numbers of fixed shape, got "
                f"{given.type} {given.shape}; export the model for one shape"
            )
        real = np.issubdtype(kind, np.floating)
        drawn = (
            rng.standard_normal(given.shape)
            if real
            else rng.integers(low, high, given.shape, endpoint=True)
        )
        feed[given.name] = drawn.astype(kind)
    return feed


def _ids(path: Path, at: onnxruntime.InferenceSession) -> tuple[int, int]:
    text = at.get_modelmeta().custom_metadata_map.get(IDS, "0 0")
    try:
        low, high = map(int, text.split())
    except ValueError:
        raise MeasureError(
            f"{path}: expected two whole numbers as {IDS}, got {text!r}; export the model again"
        ) from None
    return low, high


def call_of(path: Path, at: onnxruntime.InferenceSession, feed: Feed) -> Callable[[], object]:
    """Runs the session once on the feed. Raises `MeasureError` where the runtime cannot."""
    outputs = [output.name for output in at.get_outputs()]
    try:
        at.run(outputs, feed)
    except Exception as failed:  # as above
        raise MeasureError(
            f"cannot run {path} in ONNX Runtime {onnxruntime.__version__}: {first_line(failed)}"
        ) from failed
    return lambda: at.run(outputs, feed)


def check_threads(threads: int) -> None:
    """Raises `MeasureError` for a number of threads that this process has no cores for."""
    if not isinstance(threads, int) or not 1 <= threads <= cores():
        raise MeasureError(
            f"threads: expected 1 to {cores()} (the cores this process may use), got {threads!r}"
        )


def check_affinity(affinity: str) -> None:
    """Raises `MeasureError` where this system cannot do it."""
    if affinity not in ("none", "pinned"):
        raise MeasureError(f"affinity: expected none or pinned, got {affinity!r}")
    if affinity == "pinned" and not hasattr(os, "sched_setaffinity"):
        raise MeasureError(
            "affinity: pinned needs an operating system that binds threads to cores, which "
            f"{sys.platform} does not; use affinity: none"
        )


@contextmanager
def bound(affinity: str, threads: int) -> Iterator[None]:
    """While it lasts, this thread and those it starts run on the last `threads` cores, if pinned.

    The last ones: system work prefers the first, and siblings of one core are far apart.
    """
    if affinity != "pinned":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[-threads:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def latencies(
    paths: Sequence[Path],
    settings: Mapping[str, Any],
    reference: Reference,
    *,
    repeats: int,
    warmup: int,
    clock: ClockNs,
    date: str,
    feed: FeedOf | None = None,
) -> list[Latency]:
    """Latency of each file, on what `feed` gives for it (default: `made_up`).

    Raises `MeasureError`.

    Settings: `threads`, `affinity` ("none" or "pinned"), `patience_s`.
    """
    threads = int(settings.get("threads", 1))
    with bound(settings.get("affinity", "none"), threads):
        calls = [_instances(path, threads, feed or made_up) for path in paths]
        patience = float(settings.get("patience_s", PATIENCE_S))
        return interleaved(
            calls, repeats=repeats, warmup=warmup, clock=clock, date=date,
            reference=reference, patience_s=patience,
        )  # fmt: skip


def _instances(path: Path, threads: int, feed: FeedOf) -> tuple[Callable[[], object], ...]:
    """Two sessions on a file, or one on a large file; a session in bad memory stays slow."""
    try:
        count = 2 if path.stat().st_size <= _LARGE_BYTES else 1
    except OSError as failed:
        raise MeasureError(f"cannot load {path}: {failed.strerror}") from failed
    sessions = [opened(path, threads) for _ in range(count)]
    return tuple(call_of(path, at, feed(path, at)) for at in sessions)
