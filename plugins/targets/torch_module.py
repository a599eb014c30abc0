"""Models as torch programs: exported, checked, run and measured at a place."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.measure import Exported, ExportError, Latency, Target, interleaved
from stillhouse.core.measure.reference import Reference
from stillhouse.plugins.targets import torch_fresh
from stillhouse.plugins.targets.agreement import Runtime, array, difference, in_batches
from stillhouse.plugins.targets.program import INPUT, Program, Step
from stillhouse.plugins.targets.program_file import read_program, write_program
from stillhouse.plugins.targets.program_module import made_up
from stillhouse.plugins.targets.torch_place import Call, Place, call_of

_SMALLEST: Final = Program(
    (1, 8), "float32", (Step("linear.default", (INPUT, "@0"), {}),), "%0", {"": torch.ones(8, 8)}
)

_SIDE: Final = 512
_PRODUCTS: Final = 4


def today() -> str:
    """The date in UTC, as YYYY-MM-DD."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


@final
class TorchModule(Target):
    """Models as programs of fixed shape, run by torch itself where `place` says.

    Inputs lie on the device when the clock starts, and outputs stay there. The reference, by which
    a busy or throttled machine is noticed, is timed on the same device (see `reference_work`).
    """

    suffix = ".aten"

    def __init__(self, place: Place, date: Callable[[], str] = today) -> None:
        self.name, self._place, self._date = place.name, place, date

    def identity(self) -> Mapping[str, Any]:
        place = self._place
        return {
            "target": self.name,
            **place.facts(),
            "runtime": f"torch {torch.__version__}",
            "mode": place.mode,
            "batch": place.batch,
        }

    def export(self, module: nn.Module, example: Tensor, path: Path) -> Exported:
        self._check_batch(example)
        # Imported on use: torch.export takes as long as torch itself.
        from stillhouse.plugins.targets.capture import captured

        program = captured(module, example)
        place = self._place
        remedy = "raise the target's tolerance if the model may lose that much"
        with place.at_work():
            runtime = self._runtime(self._call(program, type(module).__name__))
            worst = difference(module, example, runtime, place.tolerance, remedy)
        write_program(program, path)
        return Exported(path, path.stat().st_size, "torch.export", worst)

    def measure(
        self, paths: Sequence[Path], example: Tensor | None, *, repeats: int, warmup: int
    ) -> list[Latency]:
        if example is not None:
            self._check_batch(example)
        place = self._place
        with place.at_work():
            clock = place.clock()
            reference = Reference(self.reference_ms, clock=clock, work=reference_work(place.device))
            calls = [self._timed(read_program(path), path, example) for path in paths]
            found = interleaved(
                calls,
                repeats=repeats,
                warmup=warmup,
                clock=clock,
                date=self._date(),
                reference=reference,
                patience_s=place.patience_s,
            )
        self.reference_ms = reference.best_ms
        return found

    def measure_afresh(
        self, paths: Sequence[Path], *, repeats: int, warmup: int, processes: int
    ) -> list[list[Latency]]:
        found = []
        for _ in range(processes):
            latencies, self.reference_ms = torch_fresh.latencies(
                self.name, self._place.settings(), paths, self.reference_ms, repeats, warmup
            )
            found.append(latencies)
        return found

    def peak_memory(self, paths: Sequence[Path]) -> list[int]:
        """Bytes that loading and running each artefact adds at most, each in a fresh process."""
        return [torch_fresh.peak(self.name, self._place.settings(), path) for path in paths]

    def run(self, path: Path, inputs: Tensor) -> NDArray[np.float32]:
        """Outputs for any number of inputs, in batches of the size the file was exported for."""
        program = read_program(path)
        _check_shape(path, program.shape[1:], tuple(inputs.shape[1:]))
        with self._place.at_work():
            runtime = self._runtime(self._call(program, str(path)))
            return in_batches(inputs, program.shape[0], runtime)

    def peak_bytes(self, path: Path) -> int:
        """What loading and running the artefact adds to this process's memory at its highest.

        Asked of a fresh process, in which nothing has run before (see `peak_memory`).
        """
        place = self._place

        def load_and_run() -> None:
            self._timed(read_program(path), path, None)()

        with place.at_work():
            # What the very first program of a process brings with it is the runtime's own.
            call_of(_SMALLEST, place)(made_up(_SMALLEST, place.device))
            return place.peak_bytes(load_and_run)

    def _timed(self, program: Program, path: Path, example: Tensor | None) -> Callable[[], object]:
        call, device = self._call(program, str(path)), self._place.device
        if example is not None:
            _check_shape(path, program.shape, tuple(example.shape))
        inputs = made_up(program, device) if example is None else example.to(device)
        return lambda: call(inputs)

    def _call(self, program: Program, name: str) -> Call:
        try:
            return call_of(program, self._place)
        except UserError:
            raise
        except Exception as failed:  # operators raise whatever they like
            raise ExportError(
                f"{name}: torch {torch.__version__} cannot run the exported program on "
                f"{self._place.device}: {str(failed).splitlines()[0]}"
            ) from failed

    def _runtime(self, call: Call) -> Runtime:
        return lambda inputs: array(call(inputs.to(self._place.device)))

    def _check_batch(self, example: Tensor) -> None:
        if len(example) != self._place.batch:
            raise ValueError(
                f"{self.name} is set to batches of {self._place.batch}, the example has "
                f"{len(example)} inputs"
            )


def reference_work(device: torch.device) -> Callable[[], object] | None:
    """The work of the reference kernel at a device; None on a processor, for the usual one.

    That one says nothing about a graphics card, whose clock rate and other users are its own. So
    there a few products of 512 x 512 matrices and tangents run on the card itself, in single
    precision. Like a network it is started from the processor, which a busy one delays too.
    """
    if device.type == "cpu":
        return None
    a = torch.linspace(-1, 1, _SIDE * _SIDE, device=device).reshape(_SIDE, _SIDE)
    product, curve = torch.empty_like(a), torch.empty_like(a)

    def work() -> None:
        for _ in range(_PRODUCTS):
            torch.mm(a, a, out=product)
            torch.tanh(product, out=curve)

    return work


def _check_shape(path: Path, takes: tuple[int, ...], got: tuple[int, ...]) -> None:
    if takes != got:
        raise UserError(
            f"{path} takes inputs of shape {takes}, got {got}; export it again for that shape"
        )
