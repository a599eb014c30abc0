"""What a network consists of: layers with twins, blocks of containers, and the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from torch import nn

from stillhouse.core.elastic.graph.layers import Layer
from stillhouse.core.elastic.graph.rigid import Rigid
from stillhouse.core.elastic.graph.tensors import Slot
from stillhouse.core.elastic.twins import is_declared, is_torch_layer, twin_of

CLOSED: Final = (
    nn.MultiheadAttention,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoderLayer,
    nn.RNNBase,
    nn.RNNCellBase,
)
"""Torch's modules whose forward reads the weights of their parts: replacing those has no effect."""


@dataclass
class Block:
    """A member of a container, which a smaller depth might leave out."""

    name: str
    module: nn.Module
    calls: int = 0
    residual: bool = False
    """Whether its output was its first input plus something, of the same shape."""

    @property
    def signature(self) -> tuple[type[nn.Module], str]:
        """Equal for blocks of one kind and one shape."""
        return type(self.module), repr(self.module)


@dataclass
class Parts:
    """A network taken apart; `containers` lists the blocks of each sequence of modules."""

    layers: dict[str, Layer] = field(default_factory=dict)
    closed: dict[str, nn.Module] = field(default_factory=dict)
    containers: dict[str, list[Block]] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    rigid: list[Rigid] = field(default_factory=list)


def parts_of(model: nn.Module) -> Parts:
    """Find the layers that have twins (built, with copied weights) and say why others have none."""
    owners = Counter(id(p) for m in model.modules() for p in m.parameters(recurse=False))
    found = Parts()
    for name, module in _open_modules(model, found):
        if isinstance(module, (nn.Sequential, nn.ModuleList)):
            prefix = f"{name}." if name else ""
            children = [Block(f"{prefix}{n}", m) for n, m in module.named_children()]
            found.containers[name] = children
        elif name and (is_declared(module) or is_torch_layer(module)):
            _add(found, name, module, owners)
        else:
            _add_tensors(found, name, module, owners)
    return found


def _open_modules(model: nn.Module, found: Parts) -> Iterator[tuple[str, nn.Module]]:
    """All modules, but of closed and declared ones not what is inside."""
    inside: tuple[str, ...] = ()
    for name, module in model.named_modules():
        if name.startswith(inside) if inside else False:
            continue
        if isinstance(module, CLOSED):
            found.closed[name] = module
            why = f"{type(module).__name__} has no elastic twin (see register_twin)"
            found.rigid.append(Rigid(name or "the model itself", why))
        else:
            yield name, module
        if isinstance(module, CLOSED) or is_declared(module):
            inside = (*inside, f"{name}." if name else "")


def _add(found: Parts, name: str, module: nn.Module, owners: Counter[int]) -> None:
    why = _obstacle(module, owners)
    if not why:
        try:
            found.layers[name] = Layer(name, module, twin_of(module))
            return
        except ValueError as error:
            why = str(error)
    found.rigid.append(Rigid(name, why))
    found.closed[name] = module


def _add_tensors(found: Parts, name: str, module: nn.Module, owners: Counter[int]) -> None:
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    for key, value in own:
        path = f"{name}.{key}" if name else key
        if owners[id(value)] > 1:
            found.rigid.append(Rigid(path, "it is shared with another module"))
        else:
            found.slots[path] = Slot(path, value)


def _obstacle(module: nn.Module, owners: Counter[int]) -> str:
    """Why a layer that has a twin cannot be replaced by it, or nothing."""
    if any(owners[id(weight)] > 1 for weight in module.parameters()):
        return "it shares weights with another layer"
    if module._forward_hooks or module._forward_pre_hooks:
        return "it has hooks, which its twin would not have"
    if is_torch_layer(module) and not {n for n, _ in module.named_parameters()} <= {
        "weight",
        "bias",
    }:
        return "its weights are computed from others"
    return ""
