"""Any encoder, convolutional network or user's model as a supernet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import lcm
from typing import TYPE_CHECKING, Any, cast

import yaml
from torch import nn

from stillhouse.core.elastic.graph import Rigid, elastic_graph
from stillhouse.core.elastic.supernet import Supernet
from stillhouse.core.errors import PluginError, UserError
from stillhouse.core.space import Space, load_space
from stillhouse.core.space.automatic import automatic_for

if TYPE_CHECKING:
    from stillhouse.core.evaluate import ElasticModule, ModelFamily
    from stillhouse.core.plugin import Catalogue, ModelInfo


def convert(
    model: nn.Module,
    example: Any = None,
    *,
    space: Space | Mapping[str, Any] | None = None,
    catalogue: Catalogue | None = None,
) -> Supernet:
    """Make a supernet of a network, which stays as it is; weights are copied.

    A network that a model family translates (its record's `converts`: `transformers`' HuBERT,
    BERT, ViT, Whisper and their kin) becomes that family's. Any other is run on `example` once,
    in eval mode, to see which of its layers share channels: a tensor, a tuple of arguments or a
    mapping of named ones; its own forward then runs over slices. What neither can change stays
    rigid and is listed with the reason in the result's `rigid`. Where a family cannot have the
    shape of a network, that is run instead if there is an example.

    `space` replaces the automatic space (dimensions as in a space's file, or a `Space`);
    `catalogue` the installed plugins. Raises `UserError` where the example is missing or does not
    fit, where nothing can change, and for a space beyond the weights.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"convert: expected a torch.nn.Module, came {type(model).__name__}")
    family = _family_for(model, catalogue)
    refused = ""
    if family is not None:
        try:
            return _translated(model, family, space)
        except UserError as error:
            if example is None or space is not None:
                raise
            refused = str(error)
    if example is None:
        raise UserError(
            f"convert: no model family translates {type(model).__name__}, so it has to be run "
            f"once: give an example of its input, convert(model, example)"
        )
    twin = elastic_graph(model, example)
    automatic = Space([gene.dimension() for gene in twin.genes.values()])
    chosen = automatic if space is None else _given(space)
    _check(twin, chosen)
    declined = [Rigid("heads and the rest of the architecture", refused)] if family else []
    return Supernet(twin, chosen, [*twin.rigid, *declined])


def _translated(model: nn.Module, family: ModelFamily, space: Any) -> Supernet:
    plain = family.translated(model)
    twin = family.elastic(plain)
    twin.train(model.training)
    chosen = _family_space(twin, plain) if space is None else _given(space)
    _check(twin, chosen)
    return Supernet(twin, chosen, _unchanged(twin, chosen))


def _family_for(model: nn.Module, catalogue: Catalogue | None) -> ModelFamily | None:
    """The family whose record names the most derived of a model's classes."""
    if catalogue is None:
        from stillhouse.core.plugin import Catalogue as Plugins

        catalogue = Plugins.discover()
    records = list(_records(catalogue))
    for cls in type(model).__mro__:
        for record in records:
            if any(_is(cls, name) for name in record.converts):
                return cast("type[ModelFamily]", catalogue.resolve(record))()
    return None


def _records(catalogue: Catalogue) -> Iterator[ModelInfo]:
    for name in catalogue.names("model"):
        try:
            yield catalogue.model(name)
        except PluginError:
            continue  # a broken plugin costs its own names only


def _is(cls: type, name: str) -> bool:
    """Whether a name means a class: its own name, in the same library where one is given."""
    library, _, last = name.rpartition(".")
    same_library = cls.__module__.split(".")[0] == library.split(".")[0]
    return cls.__name__ == last and (same_library or not library)


def _family_space(twin: ElasticModule, plain: nn.Module) -> Space:
    convolutions = [m for m in plain.modules() if isinstance(m, (nn.Conv1d, nn.Conv2d))]
    shared = [m.groups for m in convolutions if 1 < m.groups < m.in_channels]
    return _given(automatic_for(twin.full, lcm(2, *shared)))


def _given(space: Space | Mapping[str, Any]) -> Space:
    if isinstance(space, Space):
        return space
    dimensions = space.get("dimensions", space)
    return load_space(
        yaml.safe_dump({"dimensions": dict(dimensions)}, sort_keys=False), "the space for convert"
    )


def _check(twin: ElasticModule, space: Space) -> None:
    """`UserError` unless the smallest and the largest configuration lie within the weights."""
    try:
        for row in space.corners():
            twin.set_active(space.decode(row))
    except ValueError as error:
        raise UserError(f"convert: the space does not fit the network: {error}") from error
    finally:
        twin.set_active(twin.full)


def _unchanged(twin: ElasticModule, space: Space) -> list[Rigid]:
    """Modules of a family's network that are the same size in its smallest subnet."""
    found = [
        Rigid(name, "the space has no dimension for this gene")
        for name in twin.full
        if name not in space.names
    ]
    twin.set_active(space.decode(space.corners()[0]))
    smallest = dict(twin.extract().named_modules())
    twin.set_active(twin.full)
    for name, module in twin.extract().named_modules():
        shapes = [p.shape for p in module.parameters(recurse=False)]
        same = name in smallest and shapes == [
            p.shape for p in smallest[name].parameters(recurse=False)
        ]
        if shapes and same:
            found.append(Rigid(name, f"{type(module).__name__} of one size in every subnet"))
    return found
