"""What 1-d and 2-d convolutions share: channels, groups, the centre of the kernel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.core.elastic.bounds import check_slice, set_quickly
from stillhouse.core.elastic.copies import copied
from stillhouse.core.errors import UserError

Kernel = int | tuple[int, ...]
"""One size for all axes of positions, or one for each."""


@dataclass(frozen=True)
class Window:
    """How a convolution walks, by axis: stride and dilation, zeros padded on either side."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]


class ElasticConv(nn.Module, ABC):
    """A convolution over the first channels: (batch, inputs, *positions) in and out.

    A smaller kernel is the centre of the full one, as in once-for-all (Cai et al. 2020, sec. 3.2);
    padding shrinks with it, so the number of positions stays. With `transforms`, each step from a
    kernel to the next smaller one is followed by a learned matrix over the flattened centre,
    shared by all channels and the identity at first, as there; `extract` bakes it in.

    Dense; depthwise (as many groups as inputs, which follow the active ones); or of a fixed number
    of groups, of which each keeps its first channels: W[:outputs, :inputs / groups]. The
    attributes `inputs`, `outputs`, `kernel` and `padding` are the active ones.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        window: Window,
        groups: int = 1,
        *,
        transforms: bool = False,
    ) -> None:
        super().__init__()
        self.weight = copied(weight)
        self.bias = None if bias is None else copied(bias)
        self.window, self.transforms = window, transforms
        self.outputs, self.inputs = weight.shape[0], weight.shape[1] * groups
        self.kernel, self.padding = tuple(weight.shape[2:]), window.padding
        self._full = self.inputs, self.outputs, self.kernel
        self._paddings = {self.kernel: self.padding}
        self.depthwise, self._groups = groups > 1 and weight.shape[1] == 1, groups
        self._fan = weight.shape[0] // groups
        if transforms:
            self._add_transforms()

    def _add_transforms(self) -> None:
        size = self.kernel[0]
        if set(self.kernel) != {size}:
            raise ValueError(f"transforms: expected a square kernel, came {self.kernel}")
        for step in range(size - 2, 0, -2):
            identity = torch.eye(step ** len(self.kernel)).to(self.weight)
            self.register_parameter(f"transform_{step}", nn.Parameter(identity))

    def set_active(self, inputs: int, outputs: int, kernel: Kernel | None = None) -> None:
        """Without `kernel` it is the full one.

        Raises ValueError beyond the weights, for channels that groups do not divide, and when the
        kernel's centre or its padding would not be whole.
        """
        full_inputs, full_outputs, full = self._full
        name = type(self).__name__
        check_slice(name, inputs=(inputs, full_inputs), outputs=(outputs, full_outputs))
        self._check_groups(inputs, outputs)
        sizes = (kernel,) * len(full) if isinstance(kernel, int) else kernel or full
        if sizes not in self._paddings:
            self._paddings[sizes] = self._padding(sizes)
        padding = self._paddings[sizes]
        set_quickly(self, inputs=inputs, outputs=outputs, kernel=sizes, padding=padding)

    def _check_groups(self, inputs: int, outputs: int) -> None:
        if self.depthwise and outputs != inputs * self._fan:
            times = f"{self._fan} * " if self._fan > 1 else ""
            raise UserError(
                f"depthwise: expected outputs = {times}inputs, came {outputs} and {inputs}"
            )
        if not self.depthwise and (inputs % self._groups or outputs % self._groups):
            raise UserError(
                f"{type(self).__name__}: expected channels that its {self._groups} groups divide, "
                f"came {inputs} inputs and {outputs} outputs"
            )

    def _padding(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Padding that keeps the number of positions with a smaller kernel."""
        full, window = self._full[2], self.window
        for came, most in zip(sizes, full, strict=True):
            check_slice(type(self).__name__, kernel=(came, most))
        cuts = [most - came for came, most in zip(sizes, full, strict=True)]
        shifts = [cut // 2 * d for cut, d in zip(cuts, window.dilation, strict=True)]
        left = tuple(p - shift for p, shift in zip(window.padding, shifts, strict=True))
        if min(left) < 0 or any(cut % 2 for cut in cuts):
            raise UserError(
                f"kernel: expected the full {full} less an even number that its padding "
                f"{window.padding} can give up, came {sizes}"
            )
        if self.transforms and len(set(sizes)) > 1:
            raise UserError(f"kernel: expected a square one for its transforms, came {sizes}")
        return left

    def slices(self) -> tuple[Tensor, Tensor | None]:
        """Active weight (outputs, inputs / groups, *kernel) and bias (outputs,)."""
        weight = self.weight[: self.outputs, : self.inputs // self.groups]
        weight = self._transformed(weight) if self.transforms else centre(weight, self.kernel)
        return weight.contiguous(), None if self.bias is None else self.bias[: self.outputs]

    def _transformed(self, weight: Tensor) -> Tensor:
        axes = len(self.kernel)
        for step in range(weight.shape[2] - 2, self.kernel[0] - 1, -2):
            cropped = centre(weight, (step,) * axes)
            matrix = self.get_parameter(f"transform_{step}")
            weight = (cropped.reshape(-1, step**axes) @ matrix.T).view(cropped.shape)
        return weight

    @property
    def in_channels(self) -> int:
        """As torch's convolutions call it: `forward`s read such attributes of their layers."""
        return self.inputs

    @property
    def out_channels(self) -> int:
        return self.outputs

    @property
    def kernel_size(self) -> tuple[int, ...]:
        return self.kernel

    @property
    def stride(self) -> tuple[int, ...]:
        return self.window.stride

    @property
    def dilation(self) -> tuple[int, ...]:
        return self.window.dilation

    @property
    def groups(self) -> int:
        """Groups of the active convolution."""
        return self.inputs if self.depthwise else self._groups

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def extract(self) -> nn.Module:
        """The active convolution as torch's own, with copied weights."""


def centre(weight: Tensor, kernel: tuple[int, ...]) -> Tensor:
    """The middle of a weight's last axes, as a view."""
    for axis, size in enumerate(kernel, start=2):
        weight = weight.narrow(axis, (weight.shape[axis] - size) // 2, size)
    return weight


def window_of(module: nn.Conv1d | nn.Conv2d) -> Window:
    """How torch's convolution walks. ValueError for padding with non-zeros or by unequal sides."""
    spans = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    padding = module.padding
    if padding == "same" and not any(span % 2 for span in spans):
        padding = tuple(span // 2 for span in spans)
    elif padding == "valid":
        padding = (0,) * len(spans)
    if isinstance(padding, str) or module.padding_mode != "zeros":
        raise ValueError(f"expected equal padding of both sides with zeros: {module}")
    return Window(tuple(module.stride), tuple(padding), tuple(module.dilation))
