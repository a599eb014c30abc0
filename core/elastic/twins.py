"""Which layers have an elastic twin: torch's own, and those that users declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from torch import nn

from stillhouse.core.elastic.batch_norm import ElasticBatchNorm
from stillhouse.core.elastic.conv1d import ElasticConv1d
from stillhouse.core.elastic.conv2d import ElasticConv2d
from stillhouse.core.elastic.embedding import ElasticEmbedding
from stillhouse.core.elastic.layer_norm import ElasticLayerNorm
from stillhouse.core.elastic.linear import ElasticLinear
from stillhouse.core.errors import UserError


class Twin(Protocol):
    """What a user's elastic twin must offer, beside being an `nn.Module`.

    It uses the first features along one axis of what goes in and comes out, with the outputs of
    the layer it was made from when all are active. It may have an attribute `axis`, the axis of
    the features (-1 unless said), and `genes`, further choices by name with rising values, the
    last the full one, each then an argument of `set_active`.
    """

    def set_active(self, inputs: int, outputs: int, **genes: Any) -> None:
        """Use so many inputs and outputs from now on; ValueError beyond the weights."""

    def extract(self) -> nn.Module:
        """A layer of the active size with copied weights and the same outputs bit for bit."""


Make = Callable[[Any], nn.Module]

_DECLARED: Final[dict[type[nn.Module], Make]] = {}
_TORCH: Final[dict[type[nn.Module], Make]] = {
    nn.Linear: ElasticLinear.from_plain,
    nn.Conv1d: ElasticConv1d.from_plain,
    nn.Conv2d: ElasticConv2d.from_plain,
    nn.BatchNorm1d: ElasticBatchNorm.from_plain,
    nn.BatchNorm2d: ElasticBatchNorm.from_plain,
    nn.LayerNorm: ElasticLayerNorm.from_plain,
    nn.Embedding: ElasticEmbedding.from_plain,
}


def register_twin(plain: type[nn.Module], make: Make) -> None:
    """Let `convert` replace a user's layer: `make(layer)` gives its `Twin`, with copied weights.

    Holds for this class alone, in this process; a later call for the class takes its place. A
    layer may instead declare its twin itself by a method `elastic_twin(self)`.
    """
    if not (isinstance(plain, type) and issubclass(plain, nn.Module)):
        raise UserError(f"register_twin: expected a class of modules, came {plain!r}")
    _DECLARED[plain] = make


def is_torch_layer(module: nn.Module) -> bool:
    """Whether a layer is one of torch's own that have a twin."""
    return type(module) in _TORCH


def is_declared(module: nn.Module) -> bool:
    """Whether a user has declared a twin for a layer."""
    return type(module) in _DECLARED or callable(getattr(module, "elastic_twin", None))


def twin_of(module: nn.Module) -> nn.Module:
    """The elastic twin of a layer that has one, with its weights copied.

    Raises ValueError for a layer whose settings no twin has, UserError for a declared twin that
    lacks what `Twin` asks for.
    """
    if not is_declared(module):
        return _TORCH[type(module)](module)
    make = _DECLARED.get(type(module))
    twin = make(module) if make else cast("Any", module).elastic_twin()
    lacking = [
        name for name in ("set_active", "extract") if not callable(getattr(twin, name, None))
    ]
    if not isinstance(twin, nn.Module) or lacking:
        raise UserError(
            f"elastic twin of {type(module).__name__}: expected a module with set_active(inputs, "
            f"outputs) and extract(), came {type(twin).__name__}"
            + (f" without {' and '.join(lacking)}" if lacking else "")
        )
    return twin


def genes_of(twin: nn.Module) -> Mapping[str, Sequence[Any]]:
    """Further genes that a user's twin declares."""
    declared: Mapping[str, Sequence[Any]] = getattr(twin, "genes", {})
    return declared


def axis_of(twin: nn.Module) -> int:
    """The axis along which a user's twin shrinks."""
    return int(getattr(twin, "axis", -1))
