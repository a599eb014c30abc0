"""A 1-d convolution over the first channels and the centre of its kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.bounds import check_slice
from stillhouse.core.elastic.copies import copied


@dataclass(frozen=True)
class Window:
    """How a convolution walks: stride and dilation in positions, zeros padded on either side."""

    stride: int
    padding: int
    dilation: int


@final
class ElasticConv1d(nn.Module):
    """`nn.Conv1d` with elastic channels and kernel: (batch, inputs, positions) in and out.

    A smaller kernel is the centre of the full one, as in once-for-all (Cai et al. 2020, sec. 3.2)
    without its transformation matrix; padding shrinks with it, so the number of positions stays.
    Either dense (groups 1) or depthwise (groups = inputs = outputs).
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, window: Window, *, depthwise: bool
    ) -> None:
        super().__init__()
        self.weight = copied(weight)
        self.bias = None if bias is None else copied(bias)
        self.window, self.depthwise = window, depthwise
        self.outputs, self.inputs, self.kernel = weight.shape
        if depthwise:
            self.inputs = self.outputs

    @classmethod
    def from_plain(cls, module: nn.Conv1d) -> Self:
        """Raises ValueError for other groupings, named padding, or padding with non-zeros."""
        depthwise = module.groups > 1
        grouped = depthwise and not module.groups == module.in_channels == module.out_channels
        if grouped or isinstance(module.padding, str) or module.padding_mode != "zeros":
            raise ValueError(f"expected groups 1 or depthwise and numeric zero padding: {module}")
        window = Window(module.stride[0], module.padding[0], module.dilation[0])
        return cls(module.weight, module.bias, window, depthwise=depthwise)

    def set_active(self, inputs: int, outputs: int, kernel: int) -> None:
        """Raises ValueError also when the kernel's centre or its padding would not be whole."""
        full_outputs, full_inputs, full_kernel = self.weight.shape
        if self.depthwise:
            full_inputs = full_outputs
        check_slice(
            "ElasticConv1d",
            inputs=(inputs, full_inputs),
            outputs=(outputs, full_outputs),
            kernel=(kernel, full_kernel),
        )
        if self.depthwise and inputs != outputs:
            raise ValueError(f"depthwise: expected outputs = inputs, came {outputs} and {inputs}")
        self._check_centre(kernel)
        self.inputs, self.outputs, self.kernel = inputs, outputs, kernel

    def _check_centre(self, kernel: int) -> None:
        cut = self.weight.shape[2] - kernel
        if cut % 2 or cut // 2 * self.window.dilation > self.window.padding:
            raise ValueError(
                f"kernel: expected the full {self.weight.shape[2]} less an even number that its "
                f"padding {self.window.padding} can give up, came {kernel}"
            )

    def slices(self) -> tuple[Tensor, Tensor | None]:
        """Active weight (outputs, inputs / groups, kernel) and bias (outputs,)."""
        start = (self.weight.shape[2] - self.kernel) // 2
        width = 1 if self.depthwise else self.inputs
        weight = self.weight[: self.outputs, :width, start : start + self.kernel]
        return weight.contiguous(), None if self.bias is None else self.bias[: self.outputs]

    def _padding(self) -> int:
        cut = (self.weight.shape[2] - self.kernel) // 2
        return self.window.padding - cut * self.window.dilation

    def _groups(self) -> int:
        return self.outputs if self.depthwise else 1

    def forward(self, x: Tensor) -> Tensor:
        stride, dilation = self.window.stride, self.window.dilation
        return functional.conv1d(
            x, *self.slices(), stride, self._padding(), dilation, self._groups()
        )

    def extract(self) -> nn.Conv1d:
        weight, bias = self.slices()
        plain = nn.Conv1d(
            self.inputs,
            self.outputs,
            self.kernel,
            self.window.stride,
            self._padding(),
            self.window.dilation,
            self._groups(),
            bias=bias is not None,
            device="meta",
        )
        plain.weight = copied(weight)
        if bias is not None:
            plain.bias = copied(bias)
        return plain
