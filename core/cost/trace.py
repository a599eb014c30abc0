"""What one run of a network did: its operators, who stores their weights, how long tensors live."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.operations import Operation
from stillhouse.core.cost.sheet import Operator


@dataclass(frozen=True, eq=False)
class _Event:
    """A call: what it read and wrote, as storages, and its row, if it has one."""

    reads: tuple[int, ...]
    writes: tuple[int, ...]
    row: Operator | None


@dataclass(eq=False)
class Trace:
    """What a network did so far, while it runs on the meta device.

    Storages are told apart by number; none is freed while it lasts. `path` are the names of the
    modules that run, innermost last.
    """

    module: nn.Module
    events: list[_Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seen: list[Tensor] = []
        self._sizes: dict[int, float] = {}
        self._temporary = itertools.count(-1, -1)
        self.path = [""]
        self._names: Counter[str] = Counter()
        self._stored = {storage(p): p for p in self.module.parameters()}
        self._constant = {*self._stored, *map(storage, self.module.buffers())}
        self._unclaimed = dict(self._stored)
        names = self.module.named_parameters()
        self._owners = {storage(p): name.rpartition(".")[0] for name, p in names}

    def constant(self, tensor: Tensor) -> bool:
        return storage(tensor) in self._constant

    def settle(self, outputs: Sequence[Tensor]) -> None:
        """Outputs that follow from constants alone."""
        self._seen += outputs
        self._constant.update(map(storage, outputs))

    def born(self, tensor: Tensor) -> int:
        """The storage of an activation, from now on no constant."""
        self._seen.append(tensor)
        key = storage(tensor)
        self._constant.discard(key)
        self._sizes.setdefault(key, tensor.untyped_storage().nbytes())
        return key

    def temporary(self, size_bytes: float) -> int:
        key = next(self._temporary)
        self._sizes[key] = size_bytes
        return key

    def add(
        self, found: Operation | None, reads: Sequence[int], writes: Sequence[int], bits: float
    ) -> None:
        row = None if found is None else self._row(found, bits)
        self.events.append(_Event(tuple(reads), tuple(writes), row))

    def activations(self, values: Sequence[Tensor]) -> list[int]:
        return [storage(t) for t in values if not self.constant(t)]

    def rows(self, outputs: Sequence[Tensor]) -> tuple[Operator, ...]:
        alive = self._alive({storage(t) for t in outputs})
        ran = [
            _held(event.row, size)
            for event, size in zip(self.events, alive, strict=True)
            if event.row is not None
        ]
        return (*_projections(ran), *self._leftover())

    def _alive(self, outputs: set[int]) -> list[float]:
        """Bytes of activations alive while each event runs."""
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for at, event in enumerate(self.events):
            for key in event.reads:
                first.setdefault(key, 0)  # written by no event: the network's input
                last[key] = at
            for place, key in enumerate(event.writes):
                first.setdefault(key, at)
                if place == 0 or key in outputs:
                    last[key] = max(at, last.get(key, at))
        last |= {key: len(self.events) - 1 for key in outputs if key in last}
        change = [0.0] * (len(self.events) + 1)
        for key, end in last.items():
            change[first[key]] += self._sizes[key]
            change[end + 1] -= self._sizes[key]
        return list(itertools.accumulate(change[:-1]))

    def _row(self, found: Operation, bits: float) -> Operator:
        cells = {**found.cells, **self._claimed(found), "activation_bits": bits}
        own = bool(found.weights) and not cells["shared"]
        return Operator(self._name(found, own), found.kind, found.group, cells)

    def _name(self, found: Operation, own: bool) -> str:
        """Weights go by the module that holds them, all else by the module that runs."""
        owner = self._owners[storage(found.weights[0])] if own else ""
        plain = owner and owner not in self._names
        name = owner if plain else ".".join(filter(None, (owner or self.path[-1], found.kind)))
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}#{self._names[name]}"

    def _claimed(self, found: Operation) -> dict[str, float]:
        """Whether the row stores its weights and biases, and in how many bits."""
        if not found.weights:
            return {}
        row = Operator("", found.kind, "", {**found.cells, "bias": 1})
        own = self._claim(found.weights, KINDS[found.kind].weights(row))
        bias = own and self._claim(found.biases, KINDS[found.kind].biases(row))
        bits = 8 * found.weights[0].dtype.itemsize
        return {"shared": float(not own), "bias": float(bias), "weight_bits": float(bits)}

    def _claim(self, held: Sequence[Tensor], entries: Any) -> bool:
        keys = {storage(t) for t in held}
        mine = [self._unclaimed[key] for key in keys if key in self._unclaimed]
        if len(mine) < len(keys) or not keys or sum(p.numel() for p in mine) != entries:
            return False
        for key in keys:
            del self._unclaimed[key]
        return True

    def _leftover(self) -> Iterator[Operator]:
        """Parameters that are no operator's weights: operands, or unused."""
        names = {storage(p): name for name, p in self.module.named_parameters()}
        for key, parameter in self._unclaimed.items():
            width = parameter.shape[-1] if parameter.ndim else 1
            cells = {
                "inputs": parameter.numel() / width if width else 0.0,
                "outputs": float(width),
                "positions": 0.0,
                "weight_bits": 8.0 * parameter.dtype.itemsize,
            }
            yield Operator(names[key], "table", "embedding", cells)


def _held(row: Operator, alive_bytes: float) -> Operator:
    """The row with what is alive beside its own operands; in-place reuse is not modelled."""
    own = KINDS[row.kind].read(row) + KINDS[row.kind].written(row)
    held = max(0.0, alive_bytes * 8 / float(row["activation_bits"]) - float(own))
    return replace(row, cells={**row.cells, "held": held})


def _projections(rows: Sequence[Operator]) -> list[Operator]:
    """Linear rows of modules that attend, and of their parts, are attention's projections."""
    attending = {row.name.rpartition(".")[0] for row in rows if row.group == "attention_scores"}
    return [
        replace(row, group="attention_projections")
        if row.group == "linear" and attending.intersection(ancestors(row.name))
        else row
        for row in rows
    ]


def ancestors(name: str) -> Iterator[str]:
    """A dotted name and the modules it lies in, innermost first."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def bits_of(tensor: Tensor) -> float:
    return 8.0 * tensor.dtype.itemsize


def storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
