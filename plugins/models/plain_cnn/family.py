"""Plain convolutional networks as a model family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import nn

from stillhouse.core.cost.reading import Reading
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.cost.terms import parameters as count_parameters
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Axis, ModelFamily, Pruning
from stillhouse.core.evaluate.state import Structure
from stillhouse.plugins.models.cnn.weights import draw_weights
from stillhouse.plugins.models.info import PlainCnnParams
from stillhouse.plugins.models.plain_cnn.elastic import ElasticPlainCnn
from stillhouse.plugins.models.plain_cnn.genes import GENE, structured
from stillhouse.plugins.models.plain_cnn.network import PlainCnn, skeleton
from stillhouse.plugins.models.plain_cnn.sheet import plain_cnn_sheet
from stillhouse.plugins.models.plain_cnn.structure import LADDER, channels, rung

if TYPE_CHECKING:
    from stillhouse.core.space import Columns


@final
class PlainCnnFamily(ModelFamily):
    """The ladder of teacher-assistant distillation (Mirzadeh et al. 2020, their "plane" networks).

    Over images, or feature frames as images of one channel. The last stage is flattened, so a
    network takes inputs of its own shape alone: costs at another length are those of the network
    built for it. Where an input is too small for all halvings, a pool leaves alone a side that is
    down to 1.
    """

    name = "plain-cnn"

    def structure(
        self, params: PlainCnnParams, input_shape: tuple[int, ...], outputs: int
    ) -> Structure:
        """Raises `UserError` unless the task's input is an image or frames."""
        if len(input_shape) not in (2, 3):
            raise UserError(
                f"plain-cnn expects inputs of shape (frames, features), (height, width) or "
                f"(channels, height, width), the task gives {input_shape}; use another task"
            )
        return {
            "input_shape": list(input_shape),
            "outputs": outputs,
            "size": params.size,
            "width": params.width or LADDER[params.size].width,
        }

    def build(self, structure: Structure, generator: torch.Generator) -> PlainCnn:
        network = skeleton(structure).to_empty(device=generator.device)
        draw_weights(network, generator)
        return network

    def subnet(self, full: Structure, configuration: Mapping[str, Any]) -> Structure:
        return structured(full, configuration)

    def taps(self, structure: Structure) -> dict[str, int]:
        """Outputs of the convolutions after ReLU, (batch, height, width, channels) each."""
        return {
            f"stages.{stage}.{place}.tap": width
            for stage, width in enumerate(channels(structure))
            for place in range(rung(structure).depths[stage])
        }

    def stages(self, structure: Structure) -> tuple[int, ...]:
        """A stage ends in a pool, where there is one left."""
        return tuple(s for s, depth in enumerate(rung(structure).depths) for _ in range(depth))

    def head(self, structure: Structure) -> str:
        return "head"

    def columns(self, structures: Sequence[Structure]) -> Columns:
        return {GENE: np.array([structure[GENE] for structure in structures], np.float64)}

    def sheet(self, full: Structure, columns: Columns) -> OperatorSheet:
        return plain_cnn_sheet(full, columns)

    def elastic(self, module: nn.Module) -> ElasticPlainCnn:
        if not isinstance(module, PlainCnn):
            raise TypeError(f"expected a PlainCnn, came {type(module).__name__}")
        return ElasticPlainCnn.from_plain(module)

    def pruning(self, full: Structure) -> Pruning:
        """Only the width: the number of convolutions is the network's size, a rung of the ladder.

        Its first convolution has as many channels as the network is wide.
        """
        refused = {
            "layers": "their number is the network's size; choose another size",
        }
        return Pruning(
            (Axis("channels", GENE),),
            (),
            lambda sheet: {GENE: Reading(sheet).cells("stages.0.0.conv", "outputs")},
            refused,
        )

    def scaled(self, full: Structure, parameters: int) -> Structure:
        """Another width, of the same size.

        Raises `UserError` when even the narrowest has more parameters.
        """
        widths = np.arange(1, full[GENE] + 1)
        counts = count_parameters(self.sheet(full, {GENE: widths}))
        if counts[0] > parameters:
            raise UserError(
                f"expected a scaled-down network of at most {parameters} parameters, the narrowest "
                f"plain-cnn of size {full['size']} has {int(counts[0])}"
            )
        return structured(full, {GENE: int(widths[counts <= parameters][-1])})
