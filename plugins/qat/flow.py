"""Where a convolution's answer goes: to layers that round it themselves, or elsewhere too.

A runtime has integer convolutions only between two roundings. A batch norm after a convolution
becomes part of it, and ReLU, pooling and changes of layout may stand between it and the next
rounding; where anything else reads the answer, it is to be rounded on the spot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from stillhouse.plugins.layers.matrices import module_name
from stillhouse.plugins.qat.finding import sorted_out

_PASSING: Final = frozenset(
    {
        "relu", "relu_", "max_pool1d", "max_pool2d", "boolean_dispatch", "flatten", "reshape",
        "view", "transpose", "permute", "movedim", "squeeze", "unsqueeze", "contiguous", "dropout",
        "_max_pool1d", "_max_pool2d",
    }
)  # fmt: skip
_NEUTRAL: Final = frozenset({"__get__", "size", "dim", "numel", "stride"})


def open_ends(network: nn.Module, bits: Mapping[str, int], example: Tensor) -> list[str]:
    """The modules after which a quantised convolution's answer has to be rounded.

    A convolution's name, or that of the batch norm that alone reads it. `bits` names the quantised
    layers; `example` is one input, (1, ...). Nothing for a network that cannot run on it.
    """
    layers, _ = sorted_out(network)
    called = {module_name(name, layers[name]): layers[name] for name in bits}
    flow = _Flow()
    handles = []
    for name, part in network.named_modules():
        if name in called:
            handles.append(part.register_forward_pre_hook(flow.entered))
            convolves = isinstance(part, (nn.Conv1d, nn.Conv2d))
            handles.append(part.register_forward_hook(flow.left(name if convolves else None)))
        elif isinstance(part, _BatchNorm):
            handles.append(part.register_forward_pre_hook(flow.entered))
            handles.append(part.register_forward_hook(flow.normed(name)))
    try:
        with torch.no_grad(), flow:
            answers = network(example.to(next(network.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    flow.read([answers] if isinstance(answers, Tensor) else list(answers))
    return flow.ends()


@final
class _Flow(TorchFunctionMode):
    """Follows the answers of convolutions through a run."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: list[Tensor] = []
        self._from: dict[int, str] = {}
        """The convolution that a tensor, by identity, comes from."""
        self._end: dict[str, str] = {}
        self._raw: dict[int, str] = {}
        """Tensors that no batch norm has read yet."""
        self._read: set[str] = set()
        self._unnormed: set[str] = set()
        self._inside = 0

    def ends(self) -> list[str]:
        found = (c if c in self._unnormed else self._end[c] for c in self._end if c in self._read)
        return list(found)

    def entered(self, *_: object) -> None:
        self._inside += 1

    def left(self, name: str | None) -> Any:
        def hook(_part: nn.Module, _inputs: object, output: Any) -> None:
            self._inside -= 1
            if name is not None:
                self._end[name] = name
                self._raw[self._keep(output, name)] = name

        return hook

    def normed(self, name: str) -> Any:
        def hook(_part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._inside -= 1
            if (source := self._raw.get(id(inputs[0]))) is not None:
                self._end[source] = name
                self._keep(output, source)
            else:
                self.read(inputs)

        return hook

    def read(self, tensors: Iterable[Any]) -> None:
        """Something reads them that neither rounds them nor is part of the convolution."""
        for key in map(id, tensors):
            if (source := self._from.get(key)) is not None:
                self._read.add(source)
                if key in self._raw:
                    self._unnormed.add(source)

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if self._inside == 0 and name not in _NEUTRAL:
            self._follow(name, [*args, *(kwargs or {}).values()], out)
        return out

    def _follow(self, name: str, args: list[Any], out: Any) -> None:
        given = [x for a in args for x in (a if isinstance(a, (list, tuple)) else [a])]
        source = self._from.get(id(args[0])) if args else None
        if source is None or name not in _PASSING or not isinstance(out, Tensor):
            self.read(given)
            return
        if id(args[0]) in self._raw:
            self._unnormed.add(source)
        self._keep(out, source)

    def _keep(self, tensor: Tensor, source: str) -> int:
        self._seen.append(tensor)
        self._from[id(tensor)] = source
        return id(tensor)
