"""torch on the machine's own processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, final

import torch

from stillhouse.core.errors import UserError
from stillhouse.core.measure import machine
from stillhouse.plugins.targets.info import TorchCpuParams
from stillhouse.plugins.targets.torch_module import TorchModule, today
from stillhouse.plugins.targets.torch_place import ClockNs, Place, check_compiler

_STATUS: Final = Path("/proc/self/status")
_RESET: Final = Path("/proc/self/clear_refs")


def torch_cpu(
    params: TorchCpuParams,
    clock: ClockNs = time.perf_counter_ns,
    date: Callable[[], str] = today,
) -> TorchModule:
    """The target `torch-cpu`. `clock` counts nanoseconds; `date` gives YYYY-MM-DD.

    Raises `UserError` for more threads than cores, and for `mode: compile` without a compiler.
    """
    cores = machine()["cores"]
    if not 1 <= params.threads <= cores:
        raise UserError(
            f"target torch-cpu: threads: expected 1 to {cores} (the cores this process may use), "
            f"got {params.threads}"
        )
    check_compiler("torch-cpu", params.mode)
    return TorchModule(Processor(params, clock), date)


@final
class Processor(Place):
    """A fixed number of this machine's cores."""

    name = "torch-cpu"
    device = torch.device("cpu")

    def __init__(self, params: TorchCpuParams, clock: ClockNs) -> None:
        self._params, self._clock = params, clock
        self.batch, self.tolerance, self.mode = params.batch, params.tolerance, params.mode
        self.patience_s = params.patience_s

    def facts(self) -> Mapping[str, Any]:
        return {**machine(), "threads": self._params.threads}

    def settings(self) -> Mapping[str, Any]:
        return asdict(self._params)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(self._params.threads)
        try:
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(before)

    def clock(self) -> ClockNs:
        return self._clock

    def peak_bytes(self, work: Callable[[], object]) -> int:
        try:
            _RESET.write_text("5")
            before = _status("VmRSS")
            work()
            return _status("VmHWM") - before
        except OSError as failed:
            raise UserError(
                f"target torch-cpu: peak memory is read from {_STATUS}, which this system does "
                f"not offer ({failed.strerror}); leave limits on measured memory out"
            ) from failed


def _status(key: str) -> int:
    """A figure of this process's memory, in bytes."""
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))
