"""Whether a runtime answers as torch does, and the arrays that both of them take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.measure import ExportError, Rounding

Runtime = Callable[[Tensor], NDArray[Any]]
"""Outputs of an artefact for one batch of inputs of the size it was exported for."""
_SHAKE: Final = 1e-4
"""Of the largest number that enters, a fortieth of an 8-bit step: what a bias may lose as a whole
number of the products of two steps."""
_TRIES: Final = 4


def difference(
    module: nn.Module, example: Tensor, runtime: Runtime, tolerance: float, remedy: str
) -> float:
    """Largest absolute difference between the runtime's outputs and torch's eager ones.

    Compared on the example and on its negative, or of whole numbers its mirror image: a branch
    that tracing froze shows where inputs differ. Raises `ExportError`, closed by `remedy`, where it
    is NaN or exceeds the tolerance, which is relative to torch's largest output where that is
    above 1: single precision has no more digits. A network that rounds may differ by as much as
    torch's own answers do where what it rounds is off in the last digits.
    """
    probes = [example, -example if example.is_floating_point() else example.flip(-1)]
    expected = [reference(module, x) for x in probes]
    pairs = zip(probes, expected, strict=True)
    worst = float(np.max([np.abs(runtime(x) - outputs).max() for x, outputs in pairs]))
    largest = max(1.0, *(float(np.abs(outputs).max()) for outputs in expected))
    # Written so that NaN is refused too.
    if not worst <= tolerance * largest and not worst <= _jumps(module, probes, expected):
        of = f" of outputs up to {largest:.3g}" if largest > 1 else ""
        raise ExportError(
            f"{type(module).__name__}: the exported model's outputs differ from torch's by "
            f"{worst:.3g}, more than the tolerance of {tolerance:g}{of}; {remedy}"
        )
    return worst


def _jumps(module: nn.Module, probes: list[Tensor], expected: list[NDArray[Any]]) -> float:
    """How far torch's own outputs move where what is rounded is off in its last digits; or 0.

    Twice the largest of several differences. Of a network that rounds, a runtime's answers can be
    no nearer: it adds up in another order.
    """
    parts = [part for part in module.modules() if isinstance(part, Rounding)]
    generator = torch.Generator().manual_seed(0)

    def shaken(_part: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x, *others = given
        noise = torch.rand(x.shape, generator=generator).to(x.device) * 2 - 1
        return (x + noise * (_SHAKE * x.abs().max()), *others)

    handles = [part.register_forward_pre_hook(shaken) for part in parts]
    try:
        pairs = list(zip(probes, expected, strict=True)) * (_TRIES if parts else 0)
        moved = [float(np.abs(reference(module, x) - y).max()) for x, y in pairs]
    finally:
        for handle in handles:
            handle.remove()
    return 2 * max(moved, default=0.0)


def reference(module: nn.Module, inputs: Tensor) -> NDArray[Any]:
    """Eager outputs in eval mode; the module's own mode stays as it is."""
    training = [part for part in module.modules() if part.training]
    try:
        with torch.no_grad():
            return array(module.eval()(inputs))
    finally:
        for part in training:
            part.training = True


def array(tensor: Tensor) -> NDArray[Any]:
    """On the CPU; floating-point numbers in single precision."""
    plain = tensor.detach().cpu()
    return np.ascontiguousarray((plain.float() if plain.is_floating_point() else plain).numpy())


def in_batches(inputs: Tensor, batch: int, runtime: Runtime) -> NDArray[Any]:
    """Outputs for any number of inputs; the last batch is filled with its own first input."""
    outputs = []
    for part in torch.split(inputs, batch):
        missing = batch - len(part)
        filled = torch.cat([part, part[:1].expand(missing, *part.shape[1:])]) if missing else part
        outputs.append(runtime(filled))
    return np.concatenate(outputs)[: len(inputs)]
