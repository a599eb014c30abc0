"""Features at module names, never at positions in a returned tuple."""

from __future__ import annotations

from torch import Tensor, nn

from stillhouse.core.errors import UserError, nearest


def tapped(
    module: nn.Module, inputs: Tensor, taps: tuple[str, ...]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run `module` and return its output with the outputs of the named modules.

    Raises `UserError` for a name the module does not have, offering the nearest.
    """
    found: dict[str, Tensor] = {}
    modules = dict(module.named_modules())
    handles = []
    for name in taps:
        if name not in modules:
            raise UserError(f"no module is called '{name}'{nearest(name, modules)}")
        handles.append(modules[name].register_forward_hook(_keep(found, name)))
    try:
        output = module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return output, found


def _keep(found: dict[str, Tensor], name: str):  # type: ignore[no-untyped-def]
    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found[name] = output

    return hook
