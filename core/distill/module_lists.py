"""Lists of like modules: which of a network's parts are its repeated blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

from torch import nn

_LISTS = (nn.ModuleList, nn.Sequential)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@final
@dataclass(frozen=True, eq=False)
class Found:
    """A module by its name in the network; `list` is the name of the stage or list it is in."""

    name: str
    module: nn.Module
    list: str


def repeated_blocks(network: nn.Module) -> list[Found]:
    """Members of the outermost lists of like modules, in order of registration; see `blocks`.

    Empty where no list has two.
    """
    lists = list(_outermost(network))
    if lists:
        large = max(map(_kernels, lists)) > 1
        return [one for found in lists if (_kernels(found) > 1) is large for one in found]
    rows = (_convolutions(name, part) for name, part in network.named_modules())
    return [one for row in rows if len(row) > 1 for one in row]


def _outermost(network: nn.Module) -> Iterator[list[Found]]:
    """Lists of two or more like modules, and those of one whose like is in another list."""
    candidates = {found[0].name: found for found in _candidates("", network)}
    likes = Counter(_like(one.module) for found in candidates.values() for one in found)
    taken: list[str] = []
    for first, found in candidates.items():
        inside = any(first.startswith(f"{name}.") for name in taken)
        if likes[_like(found[0].module)] > 1 and not inside:
            taken += [one.name for one in found]
            yield found


def _candidates(name: str, module: nn.Module) -> Iterator[list[Found]]:
    found = _members(name, module) if isinstance(module, _LISTS) else []
    if found:
        yield found
    if len(found) < 2:
        for child, part in module.named_children():
            yield from _candidates(_joined(name, child), part)


def _members(name: str, listed: nn.Module) -> list[Found]:
    """The blocks of a list: its like modules, or where those are stages, the stages' blocks."""
    members = _alike(name, listed)
    inner = [one for member in members for one in _stage(member.name, member.module)]
    return inner or members


def _stage(name: str, module: nn.Module) -> list[Found]:
    """The blocks of a stage, which is a list of them or holds one; none for what is a block.

    A block may hold a list too, of single layers (those of ResNet do): the members of a list that
    a stage holds have two kernels or more.
    """
    if isinstance(module, _LISTS):
        return _only(name, module)
    parts = ((_joined(name, child), part) for child, part in module.named_children())
    lists = (_only(inner, part) for inner, part in parts if isinstance(part, _LISTS))
    return next((found for found in lists if found and _kernels(found) > 1), [])


def _only(name: str, listed: nn.Module) -> list[Found]:
    """The like modules of a list that holds no other weights, or large ones and a few layers."""
    found = _alike(name, listed)
    weighty = sum(_kernels_of(part) > 0 for part in listed.children())
    return found if len(found) == weighty or (len(found) > 1 and _kernels(found) > 1) else []


def _alike(name: str, listed: nn.Module) -> list[Found]:
    """The members of the commonest class, of those that are made of parts and have a kernel."""
    members = [
        Found(_joined(name, child), part, name)
        for child, part in listed.named_children()
        if next(part.children(), None) is not None and _kernels_of(part)
    ]
    likes = Counter(_like(one.module) for one in members)
    return [one for one in members if _like(one.module) == likes.most_common(1)[0][0]]


def _like(module: nn.Module) -> tuple[type[nn.Module], frozenset[type[nn.Module]]]:
    """What like modules share: their class and, of lists, the classes of the layers in them."""
    layers = (part for part in module.modules() if _own_kernels(part))
    held = frozenset(type(part) for part in layers) if isinstance(module, _LISTS) else frozenset()
    return type(module), held


def _convolutions(name: str, module: nn.Module) -> list[Found]:
    if not isinstance(module, _LISTS):
        return []
    return [
        Found(_joined(name, child), part, name)
        for child, part in module.named_children()
        if isinstance(part, _CONVOLUTIONS)
    ]


def _kernels(found: Iterable[Found]) -> int:
    """Of the block that has most."""
    return max(_kernels_of(one.module) for one in found)


def _kernels_of(module: nn.Module) -> int:
    return sum(_own_kernels(part) for part in module.modules())


def _own_kernels(module: nn.Module) -> int:
    """Weights of two axes or more that a module itself holds: matrices and convolution kernels."""
    return sum(weight.ndim > 1 for weight in module.parameters(recurse=False))


def _joined(name: str, child: str) -> str:
    return f"{name}.{child}" if name else child
