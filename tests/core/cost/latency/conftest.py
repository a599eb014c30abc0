from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.cost.terms import macs, operators

MakeSheet = Callable[..., OperatorSheet]
MakeMs = Callable[..., np.ndarray]


@pytest.fixture
def layered() -> MakeSheet:
    """Up to five layers, of which the candidates run some, each with two matmuls and a norm."""

    def made(candidates: int, seed: int = 0) -> OperatorSheet:
        rng = np.random.default_rng(seed)
        width = 4.0 * rng.integers(2, 17, candidates)
        depth = rng.integers(1, 6, candidates)
        entry = {"inputs": 13, "outputs": width, "positions": 20}
        rows = [Operator("in", "linear", "entry", entry)]
        for layer in range(5):
            base = {"active": (depth > layer).astype(float), "positions": 20}
            hidden = width * rng.integers(1, 4, candidates)
            up = {**base, "inputs": width, "outputs": hidden, "bias": 1}
            mix = {**base, "inputs": 16, "outputs": 20, "groups": 2}
            rows += [
                Operator("up", "linear", "ff", up),
                Operator("mix", "matmul", "att", mix),
                Operator("norm", "norm", "norm", {**base, "outputs": width, "bias": 1}),
            ]
        return OperatorSheet(candidates, tuple(rows))

    return made


@pytest.fixture
def device_ms() -> MakeMs:
    """What candidates take on a device: milliseconds a run, an operator and a multiply."""

    def made(
        sheet: OperatorSheet, operator_ms: float = 0.002, mac_ms: float = 3e-8, noise: float = 0.0
    ) -> np.ndarray:
        rng = np.random.default_rng(11)
        exact = 0.01 + operator_ms * operators(sheet) + mac_ms * macs(sheet)
        return exact * np.exp(noise * rng.standard_normal(sheet.candidates))

    return made
