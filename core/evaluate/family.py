"""A model family: builds skeletons, counts costs, and may offer an elastic twin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.state import Structure

if TYPE_CHECKING:
    from stillhouse.core.elastic.units import Units
    from stillhouse.core.evaluate.pruning import Pruning
    from stillhouse.core.space import Columns


class ElasticModule(nn.Module, ABC):
    """A supernet: the full network's weights, of which an active configuration uses a slice.

    `configuration` is a canonical gene mapping of the family's search space, e.g.
    `{"width": 48, "depth": 3, "heads": [4, 2, 4], "ffn_ratio": [2.0, 1.0, 2.0]}`.
    """

    full: Mapping[str, Any]
    """The configuration that uses every weight."""

    @abstractmethod
    def set_active(self, configuration: Mapping[str, Any]) -> None:
        """Choose the slice that `forward` uses; ValueError when it lies outside the weights."""

    @abstractmethod
    def active(self) -> Mapping[str, Any]:
        """The configuration `forward` uses now."""

    @abstractmethod
    def extract(self) -> nn.Module:
        """The active subnet as a plain network with copied weights; same outputs bit for bit."""

    @abstractmethod
    def structure(self, configuration: Mapping[str, Any]) -> Structure:
        """The structure of the plain network that a configuration extracts to."""

    def tap(self, name: str, configuration: Mapping[str, Any]) -> str:
        """What a tap of the network that a configuration extracts to is called in the supernet.

        The same, where shallower subnets keep the first layers.
        """
        return name

    def sort_by_importance(self) -> None:
        """Reorder weights so that narrower subnets keep the most important; in place.

        The full network's outputs stay, up to float order (once-for-all, arXiv:1908.09791,
        section 3.3). Raises `UserError` where the family has no such order.
        """
        raise UserError(f"{type(self).__name__} does not sort by importance; use sort: false")

    def units(self) -> Sequence[Units]:
        """The units that narrower subnets keep a prefix of, of the full network; see `Pruning`."""
        return ()


class ModelFamily(ABC):
    """Networks of one shape. Final in a plugin, built without arguments."""

    name: str

    @abstractmethod
    def structure(self, params: Any, input_shape: tuple[int, ...], outputs: int) -> Structure:
        """The full JSON-able structure for declared parameters and a task's input and output."""

    @abstractmethod
    def build(self, structure: Structure, generator: torch.Generator) -> nn.Module:
        """A plain network with fresh weights drawn from `generator`; never reads files."""

    @abstractmethod
    def subnet(self, full: Structure, configuration: Mapping[str, Any]) -> Structure:
        """The structure of one configuration: its genes, and from `full` what no gene decides.

        A configuration may be larger than `full`; UserError when a gene is missing or unknown.
        """

    def whole(self, full: Structure, configuration: Mapping[str, Any]) -> Structure:
        """The structure of a supernet whose largest subnet a configuration is.

        It holds every part that a gene chooses among, of which `subnet` has one; without such
        genes the two are the same.
        """
        return self.subnet(full, configuration)

    @abstractmethod
    def taps(self, structure: Structure) -> dict[str, int]:
        """Module names worth tapping, in order of depth, each with its feature width."""

    def stages(self, structure: Structure) -> tuple[int, ...]:
        """The stage of each of `taps`, from 0; a stage ends where positions or widths change."""
        return (0,) * len(self.taps(structure))

    @abstractmethod
    def columns(self, structures: Sequence[Structure]) -> Columns:
        """Gene columns for plain structures, as `sheet` takes them."""

    @abstractmethod
    def sheet(self, full: Structure, columns: Columns) -> OperatorSheet:
        """Costs of many configurations at once; `full` gives what no gene decides.

        That includes the input's shape: costs at another input length are the same call with the
        structure for another shape.
        """

    @abstractmethod
    def elastic(self, module: nn.Module) -> ElasticModule:
        """The elastic twin of a plain network, with its weights. TypeError if it has none."""

    @abstractmethod
    def scaled(self, full: Structure, parameters: int) -> Structure:
        """The uniformly scaled-down network of at most so many parameters, as near as it gets."""

    def pruning(self, full: Structure) -> Pruning:
        """What can be taken out of networks of a full structure, and how their genes say so.

        Raises `UserError` where nothing can; that is the default.
        """
        raise UserError(f"{self.name} does not say which of its parts can be taken out")

    def pretrained(self, params: Any, structure: Structure) -> Mapping[str, Tensor] | None:
        """Weights that the declared parameters name, for `build`'s network; None: fresh ones.

        They may lack the head, which is then drawn. Raises `UserError` where they are missing,
        damaged (their hash is known) or of another shape.
        """
        return None

    def weights_source(self, params: Any) -> str:
        """What identifies the weights that the parameters name (a hash); "" where they name none.

        Raises as `pretrained` does.
        """
        return ""

    def head(self, structure: Structure) -> str | None:
        """Name of the module that answers from pooled features: what a frozen teacher trains."""
        return None

    def masking_point(self, structure: Structure) -> str | None:
        """Name of the module whose output (batch, positions, width) masked spans replace."""
        return None

    def translated(self, module: nn.Module) -> nn.Module:
        """A network of another library as a plain network of this family, weights copied.

        The network has a `structure`; outputs agree within 1e-4. TypeError for a class that the
        family does not name in its record's `converts`, `UserError` for one of a shape that it
        cannot have, saying what.
        """
        raise TypeError(f"{self.name} translates no other networks, came {type(module).__name__}")

    def save_foreign(self, module: nn.Module, folder: Path) -> str:
        """Write a plain network as another library's model into a new folder; say what it is.

        Raises `UserError` where that library has no such shape, saying which part.
        """
        raise UserError(f"{self.name} has no other library's format to be saved in")
