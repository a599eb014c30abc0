"""Groups of channels that can only shrink together, and which axes of tensors they run along."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import lcm
from typing import final

from torch import Tensor


@final
class Group:
    """Channels that several layers share; ties join groups (a union-find forest).

    `producer` names the layer that gave them first, at the `moment` of the forward; `multiple`
    divides every size they may have; `why` says what keeps them as they are, if anything does.
    """

    def __init__(self, size: int, producer: str, moment: int) -> None:
        self.size, self.producer, self.moment = size, producer, moment
        self.multiple, self.why = 1, "there is one channel" if size == 1 else ""
        self._parent: Group | None = None

    def root(self) -> Group:
        """The group that stands for all groups tied to this one."""
        node = self
        while node._parent is not None:
            node = node._parent
        return node

    def tie(self, other: Group) -> None:
        """Make two groups of one size one."""
        mine, others = sorted((self.root(), other.root()), key=lambda group: group.moment)
        if mine is others:
            return
        mine.multiple = lcm(mine.multiple, others.multiple)
        mine.why = mine.why or others.why
        others._parent = mine

    def stiffen(self, why: str) -> None:
        """Keep the size as it is; the first reason stands."""
        root = self.root()
        root.why = root.why or why

    def divide_by(self, number: int) -> None:
        """Allow multiples of `number` only."""
        root = self.root()
        root.multiple = lcm(root.multiple, number)


@dataclass(frozen=True)
class Part:
    """An axis that runs along a group's channels, with `repeat` entries to each."""

    group: Group
    repeat: int = 1

    @property
    def size(self) -> int:
        return self.group.root().size * self.repeat


Labels = tuple[Part | None, ...]
"""What runs along each axis of a tensor: a group's channels, or nothing known to shrink."""


def stiffen(labels: Iterable[Part | None], why: str) -> None:
    for part in labels:
        if part is not None:
            part.group.stiffen(why)


def tied(parts: Iterable[Part | None], why: str) -> Part | None:
    """What runs along an axis where all these meet.

    Parts of one group size are tied. Where one is unknown or counts otherwise nothing may shrink,
    for the reason given.
    """
    every = list(parts)
    known = [part for part in every if part is not None]
    if not known:
        return None
    first = known[0]
    alike = [part for part in known if (part.repeat, part.size) == (first.repeat, first.size)]
    if len(alike) < len(every):
        stiffen(known, why)
    for part in alike:
        first.group.tie(part.group)
    return first


@final
class Book:
    """Labels of the tensors of one forward, and which open blocks' inputs they still are.

    A tensor is `plain` of a block while it is the block's input, `summed` once something was
    added to that. Tensors are kept, so that no other takes over an identity.
    """

    def __init__(self) -> None:
        self._labels: dict[int, tuple[Tensor, Labels]] = {}
        self._used: set[int] = set()
        self._plain: dict[int, frozenset[str]] = {}
        self._summed: dict[int, frozenset[str]] = {}

    @property
    def moment(self) -> int:
        """Rises during the forward."""
        return len(self._labels)

    def labels(self, tensor: Tensor) -> Labels:
        known = self._labels.get(id(tensor))
        return known[1] if known else (None,) * tensor.dim()

    def write(self, tensor: Tensor, labels: Labels) -> None:
        """Note labels; an axis that does not have its group's size keeps the group as it is."""
        checked = []
        for size, part in zip(tensor.shape, labels, strict=True):
            fits = part is None or part.size == size
            if part is not None and not fits:
                part.group.stiffen("an operation changes the number of channels")
            checked.append(part if fits else None)
        self._labels[id(tensor)] = tensor, tuple(checked)

    def use(self, tensors: Iterable[Tensor]) -> None:
        """Something was computed from tensors."""
        self._used.update(id(tensor) for tensor in tensors)

    def used(self, tensor: Tensor) -> bool:
        return id(tensor) in self._used

    def enter(self, tensor: Tensor, block: str) -> None:
        """A tensor becomes a block's input."""
        self._labels.setdefault(id(tensor), (tensor, self.labels(tensor)))
        self._plain[id(tensor)] = self.plain(tensor) | {block}

    def plain(self, tensor: Tensor) -> frozenset[str]:
        return self._plain.get(id(tensor), frozenset())

    def summed(self, tensor: Tensor) -> frozenset[str]:
        return self._summed.get(id(tensor), frozenset())

    def mark(self, tensor: Tensor, plain: frozenset[str], summed: frozenset[str]) -> None:
        """What blocks' inputs a result is, and which it is a sum with."""
        self._plain[id(tensor)], self._summed[id(tensor)] = plain, summed
