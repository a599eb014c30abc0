"""A traced network whose layers are elastic: its own python forward over slices."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, final

from torch import Tensor, nn

from stillhouse.core.elastic.graph.depth import Run
from stillhouse.core.elastic.graph.genes import Gene
from stillhouse.core.elastic.graph.layers import Setting
from stillhouse.core.elastic.graph.rigid import Rigid
from stillhouse.core.elastic.graph.tensors import Slices, sliced
from stillhouse.core.errors import UserError, nearest
from stillhouse.core.evaluate.family import ElasticModule


@final
class Bypass(nn.Module):
    """What an extracted network has in a dropped block's place: its first input is its output."""

    def forward(self, *args: Any, **named: Any) -> Any:
        return bypassed(*args, **named)


def bypassed(*args: Any, **named: Any) -> Any:
    """The forward of a block that is not in use."""
    return args[0] if args else next(iter(named.values()))


@final
class ElasticGraph(ElasticModule):
    """A copy of a network with elastic layers, under `model`, with the network's own names.

    Genes: `<layer>.channels` for the channels that a layer is the first to give, whoever shares
    them; `<layer>.kernel`; `<container>.depth`, how many blocks of a run are kept, first to last.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: Sequence[Setting],
        genes: Sequence[Gene],
        runs: Sequence[Run],
        slices: Sequence[Slices],
        rigid: Sequence[Rigid],
    ) -> None:
        super().__init__()
        self.model = model
        self.genes = {gene.name: gene for gene in genes}
        self._full = {gene.name: gene.full for gene in genes}
        self.full = self._full
        self.rigid = list(rigid)
        self._settings, self._runs, self._slices = tuple(settings), tuple(runs), tuple(slices)
        self._blocks = [[model.get_submodule(name) for name in run.blocks] for run in runs]
        self._values = dict(self._full)

    def forward(self, *args: Any, **named: Any) -> Any:
        with sliced(self.model, self._slices, self._values):
            return self.model(*args, **named)

    def set_active(self, configuration: Mapping[str, Any]) -> None:
        """Absent genes take the full network's values. `UserError` leaves all as it was."""
        values = self._complete(configuration)
        try:
            self._follow(values)
        except ValueError:
            self._follow(self._values)
            raise

    def _complete(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        for name in configuration:
            if name not in self.genes:
                raise UserError(f"the network has no gene '{name}'{nearest(name, self.genes)}")
        given = {name: self.genes[name].checked(value) for name, value in configuration.items()}
        return {**self.full, **given}

    def _follow(self, values: dict[str, Any]) -> None:
        for setting in self._settings:
            setting.apply(values)
        for run, blocks in zip(self._runs, self._blocks, strict=True):
            depth = values.get(run.gene, len(blocks))
            for place, block in enumerate(blocks):
                _bypass(block, place >= depth)
        self._values = values

    def active(self) -> Mapping[str, Any]:
        return {name: self._values[name] for name in self.genes if self._is_active(name)}

    def _is_active(self, name: str) -> bool:
        when = self.genes[name].when
        if when is None:
            return True
        return self._is_active(when[0]) and self._values[when[0]] in when[1]

    def extract(self) -> nn.Module:
        """The model's own class over plain layers; dropped blocks pass their input through."""
        instead: dict[int, Any] = {}
        dropped: list[str] = []
        for run, blocks in zip(self._runs, self._blocks, strict=True):
            for name, block in zip(run.blocks, blocks, strict=True):
                if "forward" in vars(block):
                    dropped.append(f"{name}.")
                    parent = self.model.get_submodule(name.rpartition(".")[0])
                    in_sequence = type(parent) is nn.Sequential
                    instead[id(block)] = nn.Identity() if in_sequence else Bypass()
        for setting in self._settings:
            if not setting.name.startswith(tuple(dropped)):
                instead[id(setting.twin)] = setting.twin.extract()
        for one in self._slices:
            value = getattr(*one.place(self.model))
            instead[id(value)] = _copy(value, one.cut(value, self._values))
        plain: nn.Module = copy.deepcopy(self.model, instead)
        return plain.train(self.training)

    def structure(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The model's class and a complete configuration: no family rebuilds these networks."""
        cls = type(self.model)
        name = f"{cls.__module__}.{cls.__qualname__}"
        return {"class": name, "configuration": self._complete(configuration)}

    def stiffen(self, name: str, why: str) -> None:
        """Take a gene away: what it decides stays full."""
        self.set_active({})
        del self.genes[name]
        del self._full[name]
        self.rigid.append(Rigid(name, why))
        for gene in list(self.genes.values()):
            if gene.when and gene.when[0] == name:
                self.genes[gene.name] = Gene(gene.name, gene.allowed, gene.choices)
        self._values = dict(self._full)


def _copy(value: Tensor, part: Tensor) -> Tensor:
    """A part of a tensor with its own storage, a parameter if the tensor is one."""
    own = part.detach().clone().contiguous()
    return nn.Parameter(own, value.requires_grad) if isinstance(value, nn.Parameter) else own


def _bypass(block: nn.Module, out: bool) -> None:
    """Leave a block out, or take it in again; its own name and weights stay."""
    if out:
        vars(block)["forward"] = bypassed
    else:
        vars(block).pop("forward", None)
