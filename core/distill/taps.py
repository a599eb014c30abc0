"""Features at module names, never at positions in a returned tuple."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import final

from torch import Tensor, nn

from stillhouse.core.errors import UserError, nearest


@final
class Taps:
    """Keeps the outputs of named modules while open; `features` holds the last forward's.

    Raises `UserError` for a name the module does not have, offering the nearest.
    """

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        modules = dict(module.named_modules()) if names else {}
        for name in names:
            if name not in modules:
                raise UserError(f"no module is called '{name}'{nearest(name, modules)}")
        self.features: dict[str, Tensor] = {}
        self._modules = {name: modules[name] for name in names}
        self._handles = [
            found.register_forward_hook(_keep(self.features, name))
            for name, found in self._modules.items()
        ]

    def __enter__(self) -> Taps:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()


def tapped(
    module: nn.Module, inputs: Tensor, taps: tuple[str, ...]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run `module` and return its output with the outputs of the named modules.

    Raises `UserError` for a name the module does not have, offering the nearest.
    """
    with Taps(module, taps) as open_taps:
        return module(inputs), open_taps.features


def _keep(
    found: dict[str, Tensor], name: str
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found[name] = output

    return hook
