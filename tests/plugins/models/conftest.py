"""Networks unlike fresh ones, and what an eager one reads, writes and keeps alive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """As operators of its own; the scale belongs to the first product."""
    assert mask is None
    shares = torch.bmm(query[0], key[0].transpose(1, 2)).softmax(-1)
    return torch.bmm(shares, value[0]).unsqueeze(0)


class Life(TorchDispatchMode):  # type: ignore[misc]
    """What an eager forward reads and writes, and which tensors are alive at once.

    A storage lives from the operator that writes it to the last that reads it; weights, buffers
    and what nobody reads (a norm's statistics) are left out. Views are free.
    """

    def __init__(self, weights: nn.Module, example: Tensor) -> None:
        super().__init__()
        stored = (*weights.parameters(), *weights.buffers())
        self._weights = {tensor.data_ptr() for tensor in stored}
        self._kept = [example]
        self._first, self._last = {example.data_ptr(): 0}, {example.data_ptr(): 0}
        self._bytes = {example.data_ptr(): example.nbytes}
        self._moments = 0
        self.touched = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        read = [t for t in args if isinstance(t, Tensor)]
        written = out[0] if isinstance(out, tuple) else out
        self._kept += [written] if isinstance(written, Tensor) else []
        if isinstance(written, Tensor) and pointer(written) not in map(pointer, read):
            self._happened(read, written)
            # A copy that a layout asks for is no operator of the network.
            if func.overloadpacket is not torch.ops.aten.clone:
                self.touched += sum(t.nbytes for t in (*read, written))
        return out

    def _happened(self, read: list[Tensor], written: Tensor) -> None:
        self._bytes[pointer(written)] = written.nbytes
        self._first[pointer(written)] = self._last[pointer(written)] = self._moments
        for tensor in read:
            self._last[pointer(tensor)] = self._moments
        self._moments += 1

    def peak(self) -> int:
        return max(
            sum(
                self._bytes[key]
                for key, first in self._first.items()
                if key not in self._weights and first <= moment <= self._last[key]
            )
            for moment in range(self._moments)
        )


def pointer(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@pytest.fixture(scope="session")
def lives() -> type[Life]:
    """A mode to run a network in, made of the network and its input."""
    return Life


@pytest.fixture
def attention_in_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)


@pytest.fixture(scope="session")
def unlike_fresh() -> Callable[[nn.Module], nn.Module]:
    """A network, in place, with every weight and statistic random, norms too; in eval mode."""

    def draw(module: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        for weight in module.parameters():
            nn.init.normal_(weight, std=0.3, generator=generator)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                nn.init.normal_(buffer, std=0.3, generator=generator)
            if name.endswith("running_var"):
                nn.init.uniform_(buffer, 0.5, 2.0, generator=generator)
        return module.eval()

    return draw


@pytest.fixture(scope="session")
def batch() -> Callable[..., Tensor]:
    """Inputs of a structure, two or as many as asked for."""

    def draw(structure: Mapping[str, Any], samples: int = 2) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.randn(samples, *structure["input_shape"], generator=generator)

    return draw
