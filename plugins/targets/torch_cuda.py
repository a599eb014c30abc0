"""torch on an NVIDIA graphics card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final, Protocol, final

import torch

from stillhouse.core.errors import UserError
from stillhouse.core.measure import machine
from stillhouse.plugins.targets.info import TorchCudaParams
from stillhouse.plugins.targets.torch_module import TorchModule, today
from stillhouse.plugins.targets.torch_place import ClockNs, Place, check_compiler

_TOLERANCES: Final = {"float32": 1e-3, "bfloat16": 0.1}
"""Kernels of single precision add up in another order; bfloat16 has eight bits of precision."""


class Event(Protocol):
    """A point in a stream of work."""

    def record(self) -> None: ...

    def synchronize(self) -> None: ...

    def elapsed_time(self, end: Any) -> float:
        """Milliseconds from this event to a later one."""


@final
class EventClock:
    """Counts nanoseconds between events on a device; each tick waits for the work before it.

    Sums of short spans: an event's milliseconds are single precision, too coarse for a long one.
    """

    def __init__(self, event: Callable[[], Event]) -> None:
        self._event, self._total_ms, self._last = event, 0.0, event()
        self._last.record()

    def __call__(self) -> int:
        now = self._event()
        now.record()
        now.synchronize()
        self._total_ms += self._last.elapsed_time(now)
        self._last = now
        return round(self._total_ms * 1e6)


def torch_cuda(params: TorchCudaParams, date: Callable[[], str] = today) -> TorchModule:
    """The target `torch-cuda`. `date` gives YYYY-MM-DD.

    Raises `UserError` where there is no such device, and for `mode: compile` without a compiler.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if params.gpu >= count:
        found = f"{count} (numbers 0 to {count - 1})" if count else "none"
        raise UserError(
            f"target torch-cuda: gpu: expected a CUDA device number {params.gpu}, torch "
            f"{torch.__version__} finds {found}; use runtime: torch-cpu or onnxruntime-cpu, or "
            f"install a torch with CUDA and the device's driver"
        )
    check_compiler("torch-cuda", params.mode)
    return TorchModule(GraphicsCard(params), date)


@final
class GraphicsCard(Place):
    """One CUDA device; in bfloat16 under autocast, weights stored in single precision."""

    name = "torch-cuda"

    def __init__(self, params: TorchCudaParams) -> None:
        self._params, self.device = params, torch.device("cuda", params.gpu)
        given = params.tolerance
        self.tolerance = _TOLERANCES[params.precision] if given is None else given
        self.batch, self.mode, self.patience_s = params.batch, params.mode, params.patience_s

    def facts(self) -> Mapping[str, Any]:
        driver = int(torch._C._cuda_getDriverVersion())  # type: ignore[attr-defined]
        return {
            **machine(),
            "device": torch.cuda.get_device_name(self.device),
            "driver": f"CUDA {driver // 1000}.{driver % 1000 // 10}",
            "cuda": torch.version.cuda,
            "precision": self._params.precision,
        }

    def settings(self) -> Mapping[str, Any]:
        return asdict(self._params)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        half = self._params.precision == "bfloat16"
        with (
            torch.cuda.device(self.device),
            torch.inference_mode(),
            torch.autocast("cuda", dtype=torch.bfloat16, enabled=half),
        ):
            yield

    def clock(self) -> ClockNs:
        return EventClock(_timed_event)

    def peak_bytes(self, work: Callable[[], object]) -> int:
        """Memory of the device that tensors took; the driver's own share is not counted."""
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        work()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device) - before


def _timed_event() -> Event:
    event: Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    return event
