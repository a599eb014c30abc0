from __future__ import annotations

import pytest
import torch

from stillhouse.plugins.losses.features import means, positions, unit


def test_a_zero_vector_has_no_direction_and_no_slope() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    found = unit(vectors)
    assert found.tolist() == [pytest.approx([0.6, 0.8]), [0.0, 0.0]]
    found.sum().backward()
    assert vectors.grad is not None
    assert vectors.grad[1].tolist() == [0.0, 0.0]
    assert vectors.grad[0].tolist() == pytest.approx([0.032, -0.024])


@pytest.mark.parametrize("axes", [(), (3,), (3, 4)])
def test_positions_are_one_axis_whatever_they_were(axes: tuple[int, ...]) -> None:
    features = torch.randn(2, *axes, 5)
    found = positions(features)
    assert found.shape == (2, torch.Size(axes).numel(), 5)
    assert torch.allclose(means(features), found.mean(1))
