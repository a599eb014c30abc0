"""Which parts of a network apply one matrix of their own, and which do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from torch import Tensor, nn

from stillhouse.core.elastic import SelfAttention

Part = nn.Linear | nn.Conv1d | nn.Conv2d | SelfAttention
QKV: Final = "qkv"
"""What query, key and value of an attention are called together, as in operator sheets."""
_KINDS: Final = (nn.Linear, nn.Conv1d, nn.Conv2d, SelfAttention)
"""Exactly these: what a subclass does with its weight is not known."""


@final
@dataclass(frozen=True, eq=False)
class Layer:
    """A layer that applies one matrix at every position.

    `part` is the module that holds it: the layer itself, or an attention for its projections.
    """

    part: Part

    @property
    def matrix(self) -> Tensor:
        """(outputs, inputs times kernel), without gradient."""
        if isinstance(self.part, SelfAttention):
            return self.part.qkv_weight.detach().flatten(0, 1)
        return self.part.weight.detach().flatten(1)

    @property
    def weight(self) -> Tensor:
        """The parameter."""
        return self.part.qkv_weight if isinstance(self.part, SelfAttention) else self.part.weight

    @property
    def bias(self) -> Tensor | None:
        """(outputs,), the parameter or a view of it."""
        if isinstance(self.part, SelfAttention):
            return self.part.qkv_bias.flatten()
        return self.part.bias


def module_name(layer: str, part: Part) -> str:
    """Name of the module that holds a layer: of an attention's projections the attention's."""
    return layer.removesuffix(f".{QKV}") if isinstance(part, SelfAttention) else layer


def sorted_out(
    network: nn.Module, grouped: bool = False
) -> tuple[dict[str, Layer], dict[str, str]]:
    """The layers by name, in order; and by name why the network's other weights are none.

    With `grouped` convolutions in groups count as layers too.
    """
    layers: dict[str, Layer] = {}
    whole: dict[str, str] = {}
    uses = _uses(network)
    for name, part in network.named_modules():
        if (reason := _reason(name, part, uses, grouped)) is not None:
            whole[name] = reason
        elif isinstance(part, SelfAttention):
            layers[f"{name}.{QKV}"] = Layer(part)
        elif type(part) in _KINDS:
            layers[name] = Layer(part)
    return layers, whole


def _uses(network: nn.Module) -> Counter[int]:
    """How often each parameter is held, by identity."""
    parts = network.named_modules(remove_duplicate=False)
    return Counter(id(w) for _, part in parts for w in part.parameters(recurse=False))


def _reason(name: str, part: nn.Module, uses: Mapping[int, int], grouped: bool) -> str | None:
    """Why a module's own weights stay; None where they need not, or there are none."""
    own = dict(part.named_parameters(recurse=False))
    if type(part) not in _KINDS:
        holds = isinstance(part, _KINDS) or any(weight.ndim > 1 for weight in own.values())
        return f"it is of the kind {type(part).__name__}" if holds else None
    if not name:
        return "it is the network itself"
    if isinstance(part, (nn.Conv1d, nn.Conv2d)) and part.groups > 1 and not grouped:
        return f"it convolves in {part.groups} groups"
    if not own.keys() & {"weight", "qkv_weight"}:
        return "its weight is no parameter of its own"
    if any(uses[id(weight)] > 1 for weight in own.values()):
        return "another module shares its weights"
    return None
