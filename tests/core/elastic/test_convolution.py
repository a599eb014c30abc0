"""Kernels through learned transforms, and batch statistics of slices."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from stillhouse.core.elastic import ElasticBatchNorm, ElasticConv1d, ElasticConv2d
from stillhouse.core.errors import UserError


def transformed() -> ElasticConv2d:
    """A 7 x 7 convolution whose matrices are no longer the identity."""
    torch.manual_seed(0)
    elastic = ElasticConv2d.from_plain(nn.Conv2d(4, 6, 7, padding=3), transforms=True)
    with torch.no_grad():
        for name, weight in elastic.named_parameters():
            if name.startswith("transform"):
                weight.add_(torch.randn(weight.shape), alpha=0.1)
    return elastic


def test_fresh_transforms_change_nothing() -> None:
    plain = nn.Conv2d(4, 6, 5, padding=2)
    with_matrices = ElasticConv2d.from_plain(plain, transforms=True)
    without = ElasticConv2d.from_plain(plain)
    for kernel in (5, 3, 1):
        with_matrices.set_active(3, 5, kernel)
        without.set_active(3, 5, kernel)
        assert torch.equal(with_matrices.extract().weight, without.extract().weight)


def test_transforms_follow_the_centre_step_by_step() -> None:
    elastic = transformed()
    elastic.set_active(3, 5, 3)
    crop = elastic.weight[:5, :3, 1:6, 1:6].reshape(15, 25) @ elastic.transform_5.T
    crop = crop.view(5, 3, 5, 5)[:, :, 1:4, 1:4].reshape(15, 9) @ elastic.transform_3.T
    assert torch.equal(elastic.extract().weight, crop.view(5, 3, 3, 3))


@pytest.mark.parametrize("kernel", [7, 5, 3, 1])
def test_extraction_bakes_the_transforms_in(kernel: int) -> None:
    elastic, x = transformed(), torch.randn(2, 3, 9, 9)
    elastic.set_active(3, 5, kernel)
    extracted = elastic.extract()
    assert torch.equal(extracted(x), elastic(x))
    assert [name for name, _ in extracted.named_parameters()] == ["weight", "bias"]


def test_full_kernel_needs_no_transform() -> None:
    plain = nn.Conv1d(4, 6, 5, padding=2)
    elastic = ElasticConv1d.from_plain(plain, transforms=True)
    nn.init.zeros_(elastic.get_parameter("transform_3"))
    x = torch.randn(2, 4, 9)
    assert torch.equal(elastic(x), plain(x))


def test_transforms_learn_when_their_kernel_is_in_use() -> None:
    elastic = transformed()
    elastic.set_active(4, 6, 5)
    elastic(torch.randn(1, 4, 9, 9)).square().sum().backward()
    assert elastic.get_parameter("transform_5").grad is not None
    assert elastic.get_parameter("transform_3").grad is None


def test_transforms_of_oblong_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"square kernel, came \(3, 5\)"):
        ElasticConv2d.from_plain(nn.Conv2d(2, 2, (3, 5)), transforms=True)


def test_oblong_kernels_shrink_axis_by_axis() -> None:
    plain = nn.Conv2d(2, 2, (3, 5), padding=(1, 2))
    elastic, x = ElasticConv2d.from_plain(plain), torch.randn(1, 2, 6, 6)
    elastic.set_active(2, 2, (1, 5))
    assert torch.equal(elastic.extract().weight, plain.weight[:, :, 1:2])
    assert elastic(x).shape == plain(x).shape


def test_every_layer_that_was_refused_stays_as_it_was() -> None:
    elastic = ElasticConv1d.from_plain(nn.Conv1d(4, 8, 3, padding=1, groups=2))
    elastic.set_active(2, 6, 1)
    with pytest.raises(UserError, match="2 groups"):
        elastic.set_active(3, 6, 3)
    assert (elastic.inputs, elastic.outputs, elastic.kernel) == (2, 6, (1,))


def test_running_statistics_of_the_slice_move_and_no_others() -> None:
    elastic = ElasticBatchNorm.from_plain(nn.BatchNorm2d(6))
    elastic.set_active(4)
    x = torch.randn(3, 4, 5, 5) + 1
    elastic(x)
    assert torch.equal(elastic.running_mean[4:], torch.zeros(2))
    torch.testing.assert_close(elastic.running_mean[:4], 0.1 * x.mean((0, 2, 3)))
    assert int(elastic.num_batches_tracked) == 1


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_moves_its_statistics_as_torch_does(momentum: float | None) -> None:
    plain = nn.BatchNorm1d(5, momentum=momentum)
    elastic = ElasticBatchNorm.from_plain(plain)
    for _ in range(3):
        x = torch.randn(7, 5)
        assert torch.equal(elastic(x), plain(x))
    assert torch.equal(elastic.running_mean, plain.running_mean)
    assert torch.equal(elastic.running_var, plain.running_var)
    plain.eval()
    elastic.eval()
    assert torch.equal(elastic(x), plain(x))


def test_extracted_norm_has_copies_of_the_slice_s_statistics() -> None:
    elastic = ElasticBatchNorm.from_plain(nn.BatchNorm1d(5))
    elastic(torch.randn(7, 5))
    elastic.set_active(3)
    elastic.eval()
    extracted, x = elastic.extract().eval(), torch.randn(4, 3)
    assert torch.equal(extracted(x), elastic(x))
    before = elastic.running_mean.clone()
    extracted.train()(x)
    assert torch.equal(elastic.running_mean, before)


def test_convolution_agrees_with_its_definition() -> None:
    plain = nn.Conv2d(4, 4, 3, padding=1, groups=4)
    elastic, x = ElasticConv2d.from_plain(plain), torch.randn(2, 3, 5, 5)
    elastic.set_active(3, 3, 1)
    expected = x * plain.weight[:3, :, 1, 1].view(1, 3, 1, 1) + plain.bias[:3].view(1, 3, 1, 1)
    torch.testing.assert_close(elastic(x), expected)
    assert torch.equal(elastic(x), functional.conv2d(x, *elastic.slices(), groups=3))
