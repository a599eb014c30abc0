"""Which gene decides what of each layer."""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm
from typing import Final, final

from stillhouse.core.elastic.convolution import ElasticConv
from stillhouse.core.elastic.graph.channels import Group, Part
from stillhouse.core.elastic.graph.depth import Run, when_used
from stillhouse.core.elastic.graph.genes import Gene, When, gene_name
from stillhouse.core.elastic.graph.layers import Layer, Setting, Side
from stillhouse.core.elastic.graph.parts import Parts
from stillhouse.core.elastic.graph.rigid import Rigid
from stillhouse.core.elastic.graph.tensors import Slices, Slot
from stillhouse.core.elastic.twins import genes_of
from stillhouse.core.space.automatic import kernels, steps

_UNKNOWN: Final = "they come from the model's input, or from what splits or mixes channels"


@final
class Plan:
    """Genes of channels, kernels and users' own, and what follows them.

    What has no gene is added to `parts.rigid`.
    """

    def __init__(self, parts: Parts, runs: Sequence[Run]) -> None:
        self._parts, self._runs = parts, runs
        self.genes: dict[str, Gene] = {}
        self._named: dict[Group, str] = {}
        for group, users in _groups(parts).items():
            self._add(group, users)
        called = [layer for layer in parts.layers.values() if layer.calls]
        self.settings = [self._setting(layer) for layer in called]
        slots = [slot for slot in parts.slots.values() if slot.used]
        slices = [self._slices(slot) for slot in slots]
        self.slices = [one for one in slices if any(side.gene for side in one.sides)]
        self._report()

    def _add(self, group: Group, users: Sequence[str]) -> None:
        name = gene_name(group.producer, "channels")
        if not group.why:
            self._named[group] = name
            self.genes[name] = _channels(name, group, when_used(users, self._runs))
        elif group.producer in self._parts.layers:
            self._stiff(f"{group.producer}.channels", group.why)

    def _stiff(self, part: str, why: str) -> None:
        self._parts.rigid.append(Rigid(part, why))

    def _setting(self, layer: Layer) -> Setting:
        when, twin, kernel = when_used([layer.name], self._runs), layer.twin, None
        if isinstance(twin, ElasticConv) and max(twin.kernel) > 1:
            kernel = self._kernel(layer.name, twin, when)
        declared = genes_of(twin) if layer.declared else {}
        extra = {key: gene_name(layer.name, key) for key in declared}
        for key, name in extra.items():
            choices = tuple(declared[key])
            self.genes[name] = Gene(name, choices, choices, when)
        inputs = self._side(layer.inputs, layer.full_inputs)
        outputs = self._side(layer.outputs, layer.full_outputs)
        return Setting(layer.name, twin, layer.kind, inputs, outputs, kernel, extra)

    def _kernel(self, layer: str, twin: ElasticConv, when: When) -> str | None:
        if why := _fixed_kernel(twin):
            self._stiff(f"{layer}.kernel", why)
            return None
        name, size = gene_name(layer, "kernel"), twin.kernel[0]
        self.genes[name] = Gene(name, range(1, size + 1, 2), tuple(kernels(size)), when)
        return name

    def _slices(self, slot: Slot) -> Slices:
        sizes = zip(slot.labels, slot.value.shape, strict=True)
        sides = tuple(self._side(part, size) for part, size in sizes)
        return Slices(slot.name, sides)

    def _side(self, part: Part | None, full: int) -> Side:
        gene = self._named.get(part.group.root()) if part else None
        return Side(gene, part.repeat if part else 1, full)

    def _report(self) -> None:
        """Say which inputs and tensors no gene reaches, and what was not called."""
        for layer in self._parts.layers.values():
            if not layer.calls:
                self._stiff(layer.name, "the example's forward does not call it")
            elif layer.inputs is None and layer.full_inputs:
                self._stiff(f"{layer.name}.inputs", _UNKNOWN)
        sliced = {one.name for one in self.slices}
        for slot in self._parts.slots.values():
            if slot.is_parameter and slot.name not in sliced:
                self._stiff(slot.name, slot.why)


def _groups(parts: Parts) -> dict[Group, list[str]]:
    """Groups that layers and tensors meet, with whose they are, in the order of the layers."""
    found: dict[Group, list[str]] = {}
    for layer in parts.layers.values():
        for part in (layer.outputs, layer.inputs):
            if part is not None:
                found.setdefault(part.group.root(), []).append(layer.name)
    for slot in (slot for slot in parts.slots.values() if slot.used):
        for part in slot.labels:
            if part is not None:
                found.setdefault(part.group.root(), []).append(slot.name)
    return found


def _channels(name: str, group: Group, when: When) -> Gene:
    size, multiple = group.size, group.multiple
    handy = 8 if size >= 64 else 2 if size >= 8 else 1
    choices = steps(size, size / 2, 4, lcm(multiple, handy))
    return Gene(name, range(multiple, size + 1, multiple), tuple(choices), when)


def _fixed_kernel(twin: ElasticConv) -> str:
    """Why a kernel has no gene, or nothing."""
    size, window = twin.kernel[0], twin.window
    if set(twin.kernel) != {size} or size % 2 == 0:
        return f"{' x '.join(map(str, twin.kernel))} is not odd and square"
    pads = zip(window.padding, window.dilation, strict=True)
    if any(padding != dilation * (size // 2) for padding, dilation in pads):
        return f"padding {window.padding} is not half of it"
    return ""
