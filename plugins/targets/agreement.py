"""Whether a runtime answers as torch does, and the arrays that both of them take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.measure import ExportError

Runtime = Callable[[Tensor], NDArray[Any]]
"""Outputs of an artefact for one batch of inputs of the size it was exported for."""


def difference(
    module: nn.Module, example: Tensor, runtime: Runtime, tolerance: float, remedy: str
) -> float:
    """Largest absolute difference between the runtime's outputs and torch's eager ones.

    Compared on the example and on its negative, or of whole numbers its mirror image: a branch
    that tracing froze shows where inputs differ. Raises `ExportError`, closed by `remedy`, where it
    is NaN or exceeds the tolerance, which is relative to torch's largest output where that is
    above 1: single precision has no more digits.
    """
    probes = [example, -example if example.is_floating_point() else example.flip(-1)]
    expected = [reference(module, x) for x in probes]
    pairs = zip(probes, expected, strict=True)
    worst = float(np.max([np.abs(runtime(x) - outputs).max() for x, outputs in pairs]))
    largest = max(1.0, *(float(np.abs(outputs).max()) for outputs in expected))
    # Written so that NaN is refused too.
    if not worst <= tolerance * largest:
        of = f" of outputs up to {largest:.3g}" if largest > 1 else ""
        raise ExportError(
            f"{type(module).__name__}: the exported model's outputs differ from torch's by "
            f"{worst:.3g}, more than the tolerance of {tolerance:g}{of}; {remedy}"
        )
    return worst


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
