"""Convolutional networks as a model family."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.terms import parameters as count_parameters
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModelFamily, Pruning
from stillhouse.core.evaluate.state import Structure
from stillhouse.plugins.models.cnn.elastic import ElasticCnn
from stillhouse.plugins.models.cnn.genes import gene_columns, gene_values, structured
from stillhouse.plugins.models.cnn.network import Cnn, skeleton
from stillhouse.plugins.models.cnn.pruning import cnn_pruning
from stillhouse.plugins.models.cnn.sheet import cnn_sheet
from stillhouse.plugins.models.cnn.structure import stage_width
from stillhouse.plugins.models.cnn.weights import draw_weights
from stillhouse.plugins.models.info import CnnParams, ResnetParams

if TYPE_CHECKING:
    from stillhouse.core.space import Columns


class ConvolutionalFamily(ModelFamily, ABC):
    """What networks of `cnn.structure` have in common, whatever parameters describe them."""

    def structure(
        self, params: CnnParams | ResnetParams, input_shape: tuple[int, ...], outputs: int
    ) -> Structure:
        """Raises `UserError` for parameters that contradict each other or the task's input."""
        _check_input(self.name, params.dimensions, input_shape)
        for name in ("kernel", "stem"):
            if getattr(params, name) % 2 == 0:
                came = getattr(params, name)
                raise UserError(f"{self.name}: {name}: expected an odd kernel, got {came}")
        plain = {
            "input_shape": list(input_shape),
            "outputs": outputs,
            "dimensions": params.dimensions,
            "block": params.block,
            "stem": params.stem,
            "strides": _strides(params),
            "growth": params.growth,
            "width": params.width,
            "depth": [params.depth] * params.stages,
            "kernel": [[params.kernel] * params.depth] * params.stages,
            "hidden": [[1] * params.depth] * params.stages,
        }
        names = [f"expand_{stage + 1}" for stage in range(params.stages)]
        return structured(plain, dict.fromkeys(names, params.expansion()))

    def build(self, structure: Structure, generator: torch.Generator) -> Cnn:
        network = skeleton(structure).to_empty(device=generator.device)
        draw_weights(network, generator)
        return network

    def subnet(self, full: Structure, configuration: Mapping[str, Any]) -> Structure:
        return structured(full, configuration)

    def taps(self, structure: Structure) -> dict[str, int]:
        """Block outputs, (batch, *positions, channels) each; positions shrink from stage to stage.

        A term over several taps, or over two networks', needs taps of one stage.
        """
        return {
            f"stages.{stage}.{place}.tap": int(stage_width(structure, stage, structure["width"]))
            for stage, depth in enumerate(structure["depth"])
            for place in range(depth)
        }

    def stages(self, structure: Structure) -> tuple[int, ...]:
        return tuple(s for s, depth in enumerate(structure["depth"]) for _ in range(depth))

    def head(self, structure: Structure) -> str:
        return "head"

    def columns(self, structures: Sequence[Structure]) -> Columns:
        return gene_columns(structures)

    def sheet(self, full: Structure, columns: Columns) -> OperatorSheet:
        return cnn_sheet(full, columns)

    def elastic(self, module: nn.Module) -> ElasticCnn:
        if not isinstance(module, Cnn):
            raise TypeError(f"expected a Cnn, came {type(module).__name__}")
        return ElasticCnn.from_plain(module)

    def pruning(self, full: Structure) -> Pruning:
        return cnn_pruning(full)

    def scaled(self, full: Structure, parameters: int) -> Structure:
        """Another width; depths, kernels and expansions as in `full`.

        Raises `UserError` when even the narrowest has more parameters.
        """
        ratios = {name: value for name, value in gene_values(full).items() if name != "width"}
        widths = range(1, full["width"] + 1)
        sizes = [structured(full, {**ratios, "width": width}) for width in widths]
        counts = count_parameters(self.sheet(full, self.columns(sizes)))
        if not (counts <= parameters).any():
            raise UserError(
                f"expected a scaled-down network of at most {parameters} parameters, the narrowest "
                f"{self.name} of depths {full['depth']} has {int(counts.min())}"
            )
        return sizes[int(np.argmax(np.where(counts <= parameters, counts, -1)))]


@final
class CnnFamily(ConvolutionalFamily):
    """Convolutional networks over feature frames or images that answer with one label."""

    name = "cnn"


def _check_input(name: str, dimensions: int, shape: tuple[int, ...]) -> None:
    """Raise `UserError` unless the task's inputs can be convolved so."""
    fits = len(shape) == 2 if dimensions == 1 else len(shape) in (2, 3)
    if fits:
        return
    expected = "(frames, features)"
    if dimensions == 2:
        expected += ", (height, width) or (channels, height, width)"
    raise UserError(
        f"{name} of {dimensions} dimension{'s' if dimensions == 2 else ''} expects inputs of shape "
        f"{expected}, the task gives {shape}; set dimensions, or use another task"
    )


def _strides(params: CnnParams | ResnetParams) -> list[int]:
    """Raises `UserError` unless there is one whole number for each stage."""
    if not params.strides:
        return [1] + [2] * (params.stages - 1)
    whole = [isinstance(step, int) and step >= 1 for step in params.strides]
    if len(whole) != params.stages or not all(whole):
        raise UserError(
            f"cnn: strides: expected a whole number for each of {params.stages} stages, "
            f"got {list(params.strides)}"
        )
    return list(params.strides)
