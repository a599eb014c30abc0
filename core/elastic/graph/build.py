"""From a network and an example to its elastic copy, checked by running it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.core.elastic.graph.channels import stiffen
from stillhouse.core.elastic.graph.depth import depth_genes, runs_of
from stillhouse.core.elastic.graph.functions import tensors
from stillhouse.core.elastic.graph.network import ElasticGraph
from stillhouse.core.elastic.graph.parts import Parts, parts_of
from stillhouse.core.elastic.graph.rigid import Rigid
from stillhouse.core.elastic.graph.settings import Plan
from stillhouse.core.elastic.graph.trace import Trace
from stillhouse.core.errors import UserError

Inputs = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and named arguments of a forward."""


def elastic_graph(model: nn.Module, example: Any) -> ElasticGraph:
    """The elastic copy of a network of torch's layers; `example` as `inputs_of` takes it.

    The network is run on the example once to see which layers share channels, then the smallest
    copy is run and extracted. A gene that does not survive that is taken away. Raises `UserError`
    where the forward fails on the example and where nothing can change.
    """
    inputs = inputs_of(example)
    parts = parts_of(model)
    _trace(model, parts, inputs)
    runs = runs_of(parts.containers)
    plan = Plan(parts, runs)
    network = ElasticGraph(
        _swapped(model, parts),
        plan.settings,
        [*depth_genes(runs), *plan.genes.values()],
        runs,
        plan.slices,
        parts.rigid,
    )
    network.train(model.training)
    _survive(network, inputs)
    if not network.genes:
        raise UserError(_nothing(network.rigid))
    return network


def inputs_of(example: Any) -> Inputs:
    """A tensor or a tuple of positional arguments, or a mapping of named ones."""
    if isinstance(example, Mapping):
        return (), dict(example)
    return (tuple(example), {}) if isinstance(example, (tuple, list)) else ((example,), {})


def shown(inputs: Inputs) -> str:
    """Shapes of a forward's arguments, for messages."""
    sizes = [f"{tuple(x.shape)} {str(x.dtype)[6:]}" for x in tensors(inputs)]
    return ", ".join(sizes) or "no tensor"


@contextmanager
def _quietly(model: nn.Module) -> Iterator[None]:
    """In eval mode, without gradients, from one seed; all put back as it was."""
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            model.eval()
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def _trace(model: nn.Module, parts: Parts, inputs: Inputs) -> None:
    trace = Trace()
    args, named = inputs
    try:
        with _quietly(model), trace.watching(parts):
            result = model(*args, **named)
    except Exception as error:
        raise UserError(
            f"convert: {type(model).__name__} fails on the example ({shown(inputs)}): {error}; "
            f"give an example that its forward takes"
        ) from error
    outputs = list(tensors([_plain(result)]))
    if not outputs:
        raise UserError(f"convert: {type(model).__name__} gives no tensors on the example")
    for x in outputs:
        stiffen(trace.book.labels(x), "they are the model's output")


def _plain(result: Any) -> Any:
    """Outputs of other libraries' record classes as mappings."""
    return vars(result) if hasattr(result, "__dataclass_fields__") else result


def _swapped(model: nn.Module, parts: Parts) -> nn.Module:
    """A copy with the twins in their layers' places, weights copied once."""
    called = [layer for layer in parts.layers.values() if layer.calls]
    instead: dict[int, Any] = {id(layer.plain): layer.twin for layer in called}
    try:
        swapped: nn.Module = copy.deepcopy(model, instead)
    except (RuntimeError, TypeError) as error:
        raise UserError(f"convert: {type(model).__name__} cannot be copied: {error}") from error
    return swapped


def _survive(network: ElasticGraph, inputs: Inputs) -> None:
    """Take away the genes whose smallest choice the forward does not survive."""
    try:
        expected = [x.shape for x in _run(network, inputs)]
    except Exception as error:
        raise UserError(
            f"convert: the forward of {type(network.model).__name__} fails with elastic layers in "
            f"place: {error}; give the module that uses its layers so an elastic twin of its own "
            f"(register_twin)"
        ) from error
    if not _fault(network, _smallest(network), inputs, expected):
        return
    for name, gene in list(network.genes.items()):
        if why := _fault(network, {name: gene.choices[0]}, inputs, expected):
            network.stiffen(name, why)
    if why := _fault(network, _smallest(network), inputs, expected):
        raise UserError(f"convert: the smallest subnet fails, though no gene alone does: {why}")


def _smallest(network: ElasticGraph) -> dict[str, Any]:
    return {name: gene.choices[0] for name, gene in network.genes.items()}


def _fault(
    network: ElasticGraph, configuration: Mapping[str, Any], inputs: Inputs, expected: list[Any]
) -> str:
    """What goes wrong with a configuration, or nothing."""
    try:
        network.set_active(configuration)
        came = _run(network, inputs)
        if [x.shape for x in came] != expected:
            return "the model's output changes its shape"
        extracted = _run(network.extract(), inputs)
        same = all(_equal(a, b) for a, b in zip(came, extracted, strict=True))
        return "" if same else "the forward does not use the slice"
    except Exception as error:
        return f"the forward fails without the rest: {str(error).splitlines()[0]}"
    finally:
        network.set_active({})


def _run(network: nn.Module, inputs: Inputs) -> list[Tensor]:
    with _quietly(network):
        return list(tensors([_plain(network(*inputs[0], **inputs[1]))]))


def _equal(a: Tensor, b: Tensor) -> bool:
    return (
        torch.equal(a.nan_to_num(), b.nan_to_num()) if a.is_floating_point() else torch.equal(a, b)
    )


def _nothing(rigid: list[Rigid]) -> str:
    lines = "\n".join(f"  {one}" for one in rigid)
    return f"convert: found nothing that can change; left rigid:\n{lines}"
