"""What is expected of a measure of similarity."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.conformance.code import final_subclass
from stillhouse.core.plugin.records import Record
from stillhouse.core.similarity import Accumulator, Layers, Similarity

_SAMPLES = 60
_CLOSE = 1e-6


def check_code(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """A final subclass of `Similarity`, built without arguments."""
    final_subclass(catalogue.resolve(record), Similarity)()  # type: ignore[type-abstract]


def check_behaviour(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """A symmetric matrix with a diagonal of 1; the same layer twice is as alike as can be."""
    build = cast("type[Similarity]", catalogue.resolve(record))
    found = build().matrix(_layers())
    if found.shape != (4, 4) or found.dtype != np.float64 or not np.isfinite(found).all():
        came = f"{found.shape} {found.dtype}:\n{found}"
        unmet("a finite float64 matrix (4, 4) of four layers", came, "compare layer by layer")
    if np.abs(found - found.T).max() > _CLOSE or np.abs(found.diagonal() - 1).max() > _CLOSE:
        unmet("a symmetric matrix with a diagonal of 1", f"\n{found}", "mend the measure")
    if abs(found[0, 1] - 1) > _CLOSE or found[0, 3] >= found[0, 2]:
        unmet(
            "1 for a layer and its copy, more for a noisy copy than for noise",
            f"{found[0, 1]:g}, {found[0, 2]:g} and {found[0, 3]:g}", "higher must mean more alike",
        )  # fmt: skip


def _layers() -> Layers:
    """A layer, its copy, a noisy copy, and noise."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(_SAMPLES, 5, generator=generator)
    noise = torch.randn(2, _SAMPLES, 5, generator=generator)
    features = {"a": first, "copy": first.clone(), "near": first + 0.2 * noise[0], "far": noise[1]}
    gathered = Accumulator(tuple(features), _SAMPLES)
    gathered.add(features, torch.arange(_SAMPLES))
    return gathered.layers()
