"""What rounds weights and activations, with the steps and ranges that training adapts."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn

from stillhouse.core.measure import Rounding
from stillhouse.plugins.qat.rounding import rounded_activation, rounded_weight

_MOST: Final = {8: 127, 7: 63, 4: 7}
"""The last level of so many bits: symmetric, so that -128 is left out."""
_PAIRED: Final = 4
_NIBBLE: Final = 16
_LEVELS: Final = 255
_MOMENTUM: Final = 0.01
_SMALLEST: Final = 1e-3
"""Steps are at least this share of the largest, lest the bias of an idle output overflow."""
_CLIPS: Final = tuple(share / 20 for share in range(8, 21))


@final
class Steps(nn.Module):
    """Symmetric rounding of a weight (outputs, ...) with a learned step for each output."""

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits, self.most = bits, _MOST[bits]
        self.log = nn.Parameter(_first_steps(weight.detach(), self.most).log())

    def size(self) -> Tensor:
        """(outputs,)."""
        return self.log.exp()

    def forward(self, weight: Tensor) -> Tensor:
        if not torch.onnx.is_in_onnx_export():
            return rounded_weight(weight, self.log, self.most)
        # On multiples the exporter's own rounding cannot go the other way.
        step, zero = self.size(), torch.zeros_like(self.log, dtype=torch.int32)
        whole = rounded_weight(weight, self.log, self.most)
        return torch.fake_quantize_per_channel_affine(whole, step, zero, 0, -128, 127)


@final
class StoredSteps(nn.Module):
    """What `Steps` makes of a weight, as the whole numbers and steps that are left of it.

    Of 4 bits two numbers share a byte, if an output's are even in number.
    """

    whole: Tensor
    step: Tensor

    def __init__(self, steps: Steps, weight: Tensor) -> None:
        super().__init__()
        self._shape = weight.shape
        size = steps.size().detach()
        rows = (steps(weight.detach()).detach().flatten(1) / size[:, None]).round()
        self._paired = steps.bits == _PAIRED and rows.shape[1] % 2 == 0
        pairs = (rows + _NIBBLE // 2).to(torch.uint8)
        packed = pairs[:, ::2] | pairs[:, 1::2] << 4 if self._paired else rows.to(torch.int8)
        self.register_buffer("whole", packed)
        self.register_buffer("step", size)

    def size(self) -> Tensor:
        """(outputs,)."""
        return self.step

    def forward(self, _: None) -> Tensor:
        return (self._rows().float() * self.step[:, None]).view(self._shape)

    def _rows(self) -> Tensor:
        if not self._paired:
            return self.whole
        pairs = torch.stack([self.whole & (_NIBBLE - 1), self.whole >> 4], 2)
        return pairs.flatten(1).float() - _NIBBLE // 2


@final
class Range(Rounding):
    """Asymmetric rounding of activations to 256 levels between two numbers, zero among them.

    In training the ends follow those of each batch by an exponential mean (Jacob et al. 2018,
    arXiv:1712.05877, sec. 3.1); in eval mode they stay.
    """

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(-4.0))
        self.register_buffer("high", torch.tensor(4.0))
        self._watched: list[Tensor] | None = None

    def step(self) -> Tensor:
        return (self.high - self.low) / _LEVELS

    def forward(self, x: Tensor) -> Tensor:
        if self._watched is not None:
            self._watched.append(_ends(x))
            return x
        if self.training:
            self._follow(_ends(x))
        step = self.step()
        zero = (-self.low / step).round()
        if torch.onnx.is_in_onnx_export():
            whole = zero.to(torch.int32)
            return torch.fake_quantize_per_tensor_affine(x, step, whole, 0, _LEVELS)
        return rounded_activation(x, step, zero, _LEVELS)

    @torch.no_grad()
    def _follow(self, ends: Tensor) -> None:
        self.low.lerp_(ends[0], _MOMENTUM)
        self.high.lerp_(ends[1], _MOMENTUM)

    def watch(self) -> None:
        """From now on what passes is left as it is, and its smallest and largest are noted."""
        self._watched = []

    def settle(self) -> None:
        """End `watch`: the ends are the smallest and largest seen, or as before if none was."""
        if self._watched:
            lows, highs = torch.stack(self._watched).unbind(1)
            self.low.copy_(lows.min())
            self.high.copy_(highs.max())
        self._watched = None


def _ends(x: Tensor) -> Tensor:
    """Smallest and largest number, zero among them, at least a little apart: (2,)."""
    low, high = torch.aminmax(x.detach().float())
    return torch.stack([low.clamp(max=0), high.clamp(min=1e-6)])


def _first_steps(weight: Tensor, most: int) -> Tensor:
    """The steps of least squared error, of those that clip at a share of the largest weight."""
    rows = weight.flatten(1)
    largest = rows.abs().amax(1)
    largest = largest.clamp(min=max(float(largest.max()) * _SMALLEST, 1e-15))
    shares = _CLIPS if most < _MOST[7] else _CLIPS[-1:]
    tried = torch.stack([largest * (share / most) for share in shares])
    errors = torch.stack(
        [(rounded_weight(rows, step.log(), most).detach() - rows).square().sum(1) for step in tried]
    )
    return tried.gather(0, errors.argmin(0)[None])[0]
