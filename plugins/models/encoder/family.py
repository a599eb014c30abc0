"""Encoders as model families: everything but how their parameters make a structure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from stillhouse.core.cost.sheet import Cells, OperatorSheet
from stillhouse.core.cost.terms import parameters as count_parameters
from stillhouse.core.elastic import draw_weights
from stillhouse.core.evaluate import ModelFamily, Pruning
from stillhouse.core.evaluate.state import Structure
from stillhouse.plugins.models.encoder import genes
from stillhouse.plugins.models.encoder.constants import fill_constants
from stillhouse.plugins.models.encoder.elastic import ElasticEncoder
from stillhouse.plugins.models.encoder.foreign.files import folder_hash
from stillhouse.plugins.models.encoder.network import Encoder, skeleton
from stillhouse.plugins.models.encoder.positions import position_count
from stillhouse.plugins.models.encoder.pruning import encoder_pruning
from stillhouse.plugins.models.encoder.sheet import encoder_sheet
from stillhouse.plugins.models.transformer.scaling import scaled

if TYPE_CHECKING:
    from stillhouse.core.space import Columns


class EncoderFamily(ModelFamily):
    """What `hubert`, `bert`, `vit` and `whisper` have in common.

    A family makes structures from its parameters (see `structure.py`) and passes them through
    `checked`; it may translate networks of other libraries.
    """

    def build(self, structure: Structure, generator: torch.Generator) -> Encoder:
        network = skeleton(structure).to_empty(device=generator.device)
        draw_weights(network, generator)
        fill_constants(network)
        return network

    def subnet(self, full: Structure, configuration: Mapping[str, Any]) -> Structure:
        return genes.structured(full, configuration)

    def whole(self, full: Structure, configuration: Mapping[str, Any]) -> Structure:
        return genes.whole(full, configuration)

    def taps(self, structure: Structure) -> dict[str, int]:
        """Layer outputs, (batch, positions, width) each."""
        return {f"layers.{i}": structure["width"] for i in range(structure["depth"])}

    def columns(self, structures: Sequence[Structure]) -> Columns:
        return genes.gene_columns(structures)

    def sheet(self, full: Structure, columns: Columns) -> OperatorSheet:
        return encoder_sheet(full, columns)

    def elastic(self, module: nn.Module) -> ElasticEncoder:
        if not isinstance(module, Encoder):
            raise TypeError(f"expected an Encoder, came {type(module).__name__}")
        return ElasticEncoder.from_plain(module)

    def pruning(self, full: Structure) -> Pruning:
        return encoder_pruning(full)

    def scaled(self, full: Structure, parameters: int) -> Structure:
        """Heads in proportion (rounded down or up), depth and ratios as in `full`.

        Widths are even, and multiples of a positional convolution's groups. Of several front ends
        the network has the one that `full` uses. Raises `UserError` when even the narrowest has
        more parameters.
        """
        full = genes.structured(full, {})
        step = math.lcm(2, (full["positions"] or {}).get("groups", 1))
        widths = (*range(step, full["width"], step), full["width"])

        def count(structures: Sequence[Structure]) -> Cells:
            return count_parameters(self.sheet(full, self.columns(structures)))

        found = scaled(self.name, full, widths, parameters, count)
        return {**found, "chunk": None if full["chunk"] is None else found["width"]}

    def weights_source(self, params: Any) -> str:
        """The name of published weights, whose hashes are pinned, or the hash of a folder's files.

        Families without such parameters have neither.
        """
        folder = getattr(params, "folder", None)
        return str(getattr(params, "weights", "")) if folder is None else folder_hash(Path(folder))

    def head(self, structure: Structure) -> str | None:
        return "head" if structure["outputs"] else None

    def masking_point(self, structure: Structure) -> str | None:
        """After the projection, as in wav2vec 2.0 and HuBERT."""
        return "front_end"


def checked(structure: dict[str, Any]) -> dict[str, Any]:
    """The structure, if its inputs and width fit its parts; `UserError` says what does not."""
    position_count(structure)
    genes.check_width(structure)
    return structure
