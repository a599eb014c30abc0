"""Layers that compute with rounded weights and, if asked, rounded inputs."""

from __future__ import annotations

import copy
from typing import Any, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic import SelfAttention
from stillhouse.core.measure.layer_form import LayerForm
from stillhouse.plugins.qat.quantisers import Range, Steps, StoredSteps
from stillhouse.plugins.qat.rounding import rounded_bias

Plain = nn.Linear | nn.Conv1d | nn.Conv2d


def _bias(bias: Tensor | None, steps: Steps | StoredSteps, entering: Range | None) -> Tensor | None:
    """Beside integer sums a bias is a whole number of products of steps."""
    if bias is None or entering is None:
        return bias
    return rounded_bias(bias, entering.step() * steps.size())


@final
class QuantisedLinear(LayerForm):
    """`nn.Linear`, (..., inputs) to (..., outputs), over rounded weights.

    Every product is one of two axes, which exports as the one operator that runtimes have an
    integer kernel with a bias for.
    """

    def __init__(self, plain: nn.Linear, bits: int, activations: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = plain.in_features, plain.out_features
        self.weight: Tensor | None = plain.weight
        self.bias = plain.bias
        self.steps: Steps | StoredSteps = Steps(plain.weight, bits)
        self.entering = Range() if activations else None

    def forward(self, x: Tensor) -> Tensor:
        rows = x if x.ndim == 2 else x.reshape(-1, self.in_features)
        rows = rows if self.entering is None else self.entering(rows)
        bias = _bias(self.bias, self.steps, self.entering)
        out = functional.linear(rows, self.steps(self.weight), bias)
        return out if x.ndim == 2 else out.view(*x.shape[:-1], self.out_features)

    def deployed(self) -> nn.Module:
        return _stored(self)


@final
class QuantisedConvolution(LayerForm):
    """`nn.Conv1d` or `nn.Conv2d` over rounded weights, of any number of groups.

    What it answers is rounded too where `leaving` is given.
    """

    def __init__(self, plain: nn.Conv1d | nn.Conv2d, bits: int, activations: bool) -> None:
        super().__init__()
        self.weight: Tensor | None = plain.weight
        self.bias = plain.bias
        self.in_channels, self.out_channels = plain.in_channels, plain.out_channels
        self.kernel_size, self.stride = plain.kernel_size, plain.stride
        self.padding, self.padding_mode = plain.padding, plain.padding_mode
        self.dilation, self.groups = plain.dilation, plain.groups
        self._around = plain._reversed_padding_repeated_twice
        self.steps: Steps | StoredSteps = Steps(plain.weight, bits)
        self.entering = Range() if activations else None
        self.leaving: Range | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, *positions) in and out."""
        x = x if self.entering is None else self.entering(x)
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            x, padding = functional.pad(x, self._around, mode=self.padding_mode), 0
        bias = _bias(self.bias, self.steps, self.entering)
        convolve: Any = functional.conv1d if len(self.kernel_size) == 1 else functional.conv2d
        settings = (self.stride, padding, self.dilation, self.groups)
        out: Tensor = convolve(x, self.steps(self.weight), bias, *settings)
        return out if self.leaving is None else self.leaving(out)

    def deployed(self) -> nn.Module:
        return _stored(self)


def _stored(layer: QuantisedLinear | QuantisedConvolution) -> nn.Module:
    """A copy that holds whole numbers for the weights."""
    copied = copy.deepcopy(layer)
    if copied.weight is not None and isinstance(copied.steps, Steps):
        copied.steps = StoredSteps(copied.steps, copied.weight)
        copied.register_parameter("weight", None)
    return copied


@final
class QuantisedAttention(nn.Module):
    """`SelfAttention` whose query, key and value come from one rounded layer."""

    def __init__(self, plain: SelfAttention, bits: int, activations: bool) -> None:
        super().__init__()
        self.qkv = QuantisedLinear(_as_linear(plain), bits, activations)
        self.out, self.head_dim = plain.out, plain.head_dim

    def forward(self, x: Tensor, positions: int, mask: Tensor | None = None) -> Tensor:
        """Takes and gives (batch * positions, width), as that does."""
        projected = self.qkv(x)
        inner = projected.shape[1] // 3
        split = projected.view(-1, positions, 3, inner // self.head_dim, self.head_dim)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value, mask)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(-1, inner))
        return out


def _as_linear(plain: SelfAttention) -> nn.Linear:
    """On the meta device first, where torch draws no weights from its global generator."""
    weight = plain.qkv_weight.flatten(0, 1).detach().clone()
    outputs, inputs = weight.shape
    linear = nn.Linear(inputs, outputs, device="meta")
    linear.weight = nn.Parameter(weight, plain.qkv_weight.requires_grad)
    bias = plain.qkv_bias.flatten().detach().clone()
    linear.bias = nn.Parameter(bias, plain.qkv_bias.requires_grad)
    return linear
