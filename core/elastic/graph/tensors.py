"""Parameters and buffers that a forward uses by itself, sliced while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, final

from torch import Tensor, nn

from stillhouse.core.elastic.graph.channels import Book, Group, Labels, Part
from stillhouse.core.elastic.graph.layers import Side

_LATE: Final = 10**9  # after all layers: who shares channels with a layer has that one's name


@final
class Slot:
    """A tensor of a module's own, outside layers with twins: positions, scales, matrices."""

    def __init__(self, name: str, value: Tensor) -> None:
        self.name, self.value, self.used = name, value, False
        self.is_parameter = isinstance(value, nn.Parameter)
        last = value.dim() - 1
        owners = [name if axis == last else f"{name}.axis_{axis}" for axis in range(last + 1)]
        self.labels: Labels = tuple(
            Part(Group(size, owner, _LATE)) if size > 1 else None
            for size, owner in zip(value.shape, owners, strict=True)
        )

    def begin(self, book: Book) -> None:
        """Make the tensor known before the forward."""
        book.write(self.value, self.labels)

    @property
    def why(self) -> str:
        """Why no axis has a gene."""
        if not self.used:
            return "the example's forward does not use it"
        groups = [part.group.root() for part in self.labels if part is not None]
        return next((group.why for group in reversed(groups) if group.why), "it has one entry")


@dataclass(frozen=True)
class Slices:
    """How a tensor follows a configuration: a prefix along each axis that has a gene."""

    name: str
    sides: tuple[Side, ...]

    def cut(self, value: Tensor, values: Mapping[str, Any]) -> Tensor:
        for axis, side in enumerate(self.sides):
            value = value.narrow(axis, 0, side.size(values))
        return value

    def place(self, model: nn.Module) -> tuple[nn.Module, str]:
        """The module that has the tensor, and what it calls it."""
        owner, _, key = self.name.rpartition(".")
        return model.get_submodule(owner), key


@contextmanager
def sliced(model: nn.Module, slices: Iterable[Slices], values: Mapping[str, Any]) -> Iterator[None]:
    """While it lasts, attributes give slices of the tensors that stay registered."""
    places = [(one, *one.place(model)) for one in slices]
    try:
        for one, owner, key in places:
            # An attribute of the instance comes before a registered parameter or buffer.
            vars(owner)[key] = one.cut(getattr(owner, key), values)
        yield
    finally:
        for _, owner, key in places:
            vars(owner).pop(key, None)
