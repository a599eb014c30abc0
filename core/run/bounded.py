"""Networks built from a description that may come from a stranger, stopped before they fill memory.

A description of some bytes can ask for a network of terabytes, or of a billion layers. The weights
beside it cannot: safetensors checks that a file is as long as its header says.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, final

from torch import Tensor, nn
from torch.nn.modules import module as registration

from stillhouse.core.plain_file import check, room_for

_PARTS: Final = 20_000


@contextmanager
def bounded_by(weights: Path) -> Iterator[None]:
    """While it lasts, this thread builds no network far larger than a file of weights.

    That is `room_for` its bytes, for a change of form may shrink what is built (rank, columns,
    bits); and no more than `_PARTS` modules and tensors. Raises ValueError from within the
    building, FileNotFoundError where there is no file.
    """
    budget = _Budget(room_for(weights.stat().st_size))
    with ExitStack() as stack:
        for hook in (
            registration.register_module_parameter_registration_hook(budget.tensor),
            registration.register_module_buffer_registration_hook(budget.tensor),
            registration.register_module_module_registration_hook(budget.module),
        ):
            stack.callback(hook.remove)
        yield


def weights_for(module: nn.Module, path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file that is not far larger than the network they are for.

    Raises OSError for what is no plain file, ValueError for one too large, SafetensorError.
    """
    from safetensors.torch import load_file

    check(path, room_for(sum(tensor.nbytes for tensor in module.state_dict().values())))
    return load_file(path)


@final
class _Budget:
    def __init__(self, size_bytes: int) -> None:
        self._bytes, self._parts = size_bytes, _PARTS
        self._thread = threading.get_ident()

    def tensor(self, module: nn.Module, name: str, tensor: Tensor | None) -> None:
        self._take(0 if tensor is None else tensor.nbytes)

    def module(self, module: nn.Module, name: str, inner: nn.Module | None) -> None:
        self._take(0)

    def _take(self, size_bytes: int) -> None:
        if threading.get_ident() != self._thread:
            return
        self._bytes -= size_bytes
        self._parts -= 1
        if self._bytes < 0 or self._parts < 0:
            raise ValueError("it is far larger than the weights beside it")
