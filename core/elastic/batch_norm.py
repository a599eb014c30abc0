"""Batch normalisation over the first channels of its weights and running statistics."""

from __future__ import annotations

from typing import Self, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.bounds import check_slice, set_quickly
from stillhouse.core.elastic.copies import copied

Plain = nn.BatchNorm1d | nn.BatchNorm2d


@final
class ElasticBatchNorm(nn.Module):
    """`nn.BatchNorm1d` or `nn.BatchNorm2d` over a prefix: (batch, width, ...) in and out.

    While training, the prefix of the running statistics moves. They are those of all subnets that
    trained, so a subnet's own are estimated again once it is extracted (Yu et al. 2019, sec. 3.3).
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, plain: Plain) -> None:
        super().__init__()
        self.weight, self.bias = copied(plain.weight), copied(plain.bias)
        for name, buffer in plain.named_buffers():
            self.register_buffer(name, buffer.detach().clone())
        self.eps, self.momentum, self._type = plain.eps, plain.momentum, type(plain)
        self.width = self._full = plain.num_features

    @classmethod
    def from_plain(cls, module: Plain) -> Self:
        """Raises ValueError for one without scale and shift or without running statistics."""
        if module.weight is None or module.bias is None or module.running_mean is None:
            raise ValueError(f"expected a norm with scale, shift and running statistics: {module}")
        return cls(module)

    @property
    def num_features(self) -> int:
        """As torch's norms call it."""
        return self.width

    def set_active(self, width: int) -> None:
        check_slice("ElasticBatchNorm", width=(width, self._full))
        set_quickly(self, width=width)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        return functional.batch_norm(
            x,
            self.running_mean[: self.width],
            self.running_var[: self.width],
            self.weight[: self.width],
            self.bias[: self.width],
            self.training,
            self._share(),
            self.eps,
        )

    def _share(self) -> float:
        """What a batch weighs in the running statistics; without momentum all weigh the same."""
        if self.momentum is not None:
            return self.momentum
        return 1 / float(self.num_batches_tracked) if self.training else 0.0

    def extract(self) -> Plain:
        """A norm of the active width with copied weights and running statistics."""
        plain = self._type(self.width, self.eps, self.momentum, device="meta")
        plain.weight = copied(self.weight[: self.width])
        plain.bias = copied(self.bias[: self.width])
        plain.running_mean = self.running_mean[: self.width].clone()
        plain.running_var = self.running_var[: self.width].clone()
        plain.num_batches_tracked = self.num_batches_tracked.clone()
        return plain
