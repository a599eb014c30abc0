"""A model family: builds skeletons, counts costs, and may offer an elastic twin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.evaluate.state import Structure

if TYPE_CHECKING:
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

    @abstractmethod
    def taps(self, structure: Structure) -> dict[str, int]:
        """Module names worth tapping, in order of depth, each with its feature width."""

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
