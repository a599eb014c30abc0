"""How near a runtime has to come: to the last digits, or to where rounding leaves torch itself."""

from __future__ import annotations

from typing import final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.measure import ExportError, Rounding
from stillhouse.plugins.targets.agreement import difference


@final
class Whole(Rounding):
    """To whole numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x.round()


X = torch.tensor([[0.5000001, 3.2, 7.7]])


def rounding() -> nn.Module:
    return nn.Sequential(Whole(), nn.Flatten(0))


def test_a_rounding_that_goes_the_other_way_is_no_fault() -> None:
    other = np.array([[0.0, 3, 8]], np.float32)

    def runtime(x: Tensor) -> np.ndarray:
        return other[0] if x[0, 1] > 0 else -other[0]

    assert difference(rounding(), X, runtime, 1e-4, "mend it") == 1


@pytest.mark.parametrize("wrong", [[1.0, 4, 8], [1.0, 3, 12], [np.nan, 3, 8]])
def test_answers_that_rounding_cannot_explain_are_refused(wrong: list[float]) -> None:
    clear = torch.tensor([[0.9, 3.2, 7.7]])

    def runtime(x: Tensor) -> np.ndarray:
        return np.array(wrong, np.float32) * (1 if x[0, 1] > 0 else -1)

    with pytest.raises(ExportError, match="mend it"):
        difference(rounding(), clear, runtime, 1e-4, "mend it")


def test_a_network_that_does_not_round_has_its_tolerance_only() -> None:
    with pytest.raises(ExportError, match=r"more than the tolerance of 0\.0001"):
        difference(nn.Flatten(0), X, lambda x: x[0].numpy() + 2e-3, 1e-4, "mend it")


def test_neither_the_network_nor_the_global_generator_is_changed() -> None:
    network, state = rounding(), torch.get_rng_state()
    with pytest.raises(ExportError):
        difference(network, X, lambda x: x[0].numpy() + 9, 1e-4, "mend it")
    assert torch.equal(torch.get_rng_state(), state)
    assert not network[0]._forward_pre_hooks
