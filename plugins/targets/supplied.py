"""Operators beside ATen's that torch programs may name: these and no others.

Each computes a tensor from tensors, checks the sizes it is given (a file's may be anything), and is
registered by a module of an installed package, which is imported when a program first names it. The
module's `BINDINGS` are the same functions by name, to be called without torch's dispatcher between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

import torch
from torch._ops import OpOverload

_BINARY: Final = "stillhouse.plugins.binary.operator"
SUPPLIED: Final[Mapping[str, str]] = {
    "stillhouse.binary_layout.default": _BINARY,
    "stillhouse.binary_product.default": _BINARY,
}
"""By name the module that registers the operator."""


def supplied(name: str) -> OpOverload:
    """The operator of that name. Raises KeyError for one that is not listed."""
    import_module(SUPPLIED[name])
    namespace, packet, overload = name.split(".")
    found = getattr(getattr(getattr(torch.ops, namespace), packet), overload)
    assert isinstance(found, OpOverload)  # noqa: S101 - the module registered it
    return found


def binding(operator: OpOverload) -> Callable[..., Any] | None:
    """The function behind an operator that is listed; None of any other."""
    module = SUPPLIED.get(str(operator))
    found: Callable[..., Any] | None = None
    if module is not None:
        found = import_module(module).BINDINGS[str(operator)]
    return found
