from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from stillhouse.plugins.losses.connector import Connector


@pytest.mark.parametrize("norm", [False, True])
def test_a_narrower_input_meets_the_first_columns(norm: bool) -> None:
    connector = Connector(5, 3, norm).eval()
    features = torch.randn(2, 4, 3)
    wide = functional.pad(features, (0, 2))
    assert torch.allclose(connector(features), connector(wide), atol=1e-6)
    assert connector(features).shape == (2, 4, 3)


def test_normalised_outputs_have_no_mean_and_unit_variance() -> None:
    found = Connector(5, 3, norm=True)(3 * torch.randn(40, 10, 5) + 2).flatten(0, 1)
    assert torch.allclose(found.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(found.var(0, correction=0), torch.ones(3), atol=1e-4)


def test_a_single_position_is_normalised_by_running_statistics() -> None:
    connector = Connector(5, 3, norm=True)
    connector(3 * torch.randn(40, 5) + 2)
    one = torch.randn(1, 5)
    trained, running = connector(one), connector.get_buffer("norm.running_mean").clone()
    assert torch.equal(trained, connector.eval()(one))
    assert torch.equal(running, connector.get_buffer("norm.running_mean"))
