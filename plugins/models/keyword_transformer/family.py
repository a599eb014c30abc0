"""The Keyword Transformer as a model family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import torch
from torch import nn

from stillhouse.core.cost.sheet import Cells, OperatorSheet
from stillhouse.core.cost.terms import parameters as count_parameters
from stillhouse.core.elastic import draw_weights
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModelFamily, Pruning
from stillhouse.core.evaluate.state import Structure
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer.elastic import ElasticKeywordTransformer
from stillhouse.plugins.models.keyword_transformer.network import (
    FAMILY,
    KeywordTransformer,
    skeleton,
)
from stillhouse.plugins.models.keyword_transformer.sheet import keyword_transformer_sheet
from stillhouse.plugins.models.transformer.genes import gene_columns, hidden_width, structured
from stillhouse.plugins.models.transformer.pruning import transformer_pruning
from stillhouse.plugins.models.transformer.scaling import scaled

if TYPE_CHECKING:
    from stillhouse.core.space import Columns


@final
class KeywordTransformerFamily(ModelFamily):
    """Transformer encoders over feature frames (frames, features) that answer with one label."""

    name = FAMILY

    def structure(
        self, params: KeywordTransformerParams, input_shape: tuple[int, ...], outputs: int
    ) -> Structure:
        """Raises `UserError` unless the task's input is (frames, features)."""
        if len(input_shape) != 2:
            raise UserError(
                f"keyword-transformer expects inputs of shape (frames, features), the task gives "
                f"{input_shape}; use a task with frames, such as audio-folder"
            )
        hidden = int(hidden_width(params.ffn_ratio, params.width))
        return {
            "input_shape": list(input_shape),
            "outputs": outputs,
            "width": params.width,
            "depth": params.depth,
            "heads": [params.heads] * params.depth,
            "hidden": [hidden] * params.depth,
            "head_dim": params.head_dim,
            "activation": params.activation,
        }

    def build(self, structure: Structure, generator: torch.Generator) -> KeywordTransformer:
        network = skeleton(structure).to_empty(device=generator.device)
        draw_weights(network, generator)
        return network

    def subnet(self, full: Structure, configuration: Mapping[str, Any]) -> Structure:
        return structured(self.name, full, configuration)

    def taps(self, structure: Structure) -> dict[str, int]:
        """Block outputs, (batch, frames, width) each."""
        return {f"blocks.{i}": structure["width"] for i in range(structure["depth"])}

    def columns(self, structures: Sequence[Structure]) -> Columns:
        return gene_columns(structures)

    def sheet(self, full: Structure, columns: Columns) -> OperatorSheet:
        return keyword_transformer_sheet(full, columns)

    def elastic(self, module: nn.Module) -> ElasticKeywordTransformer:
        if not isinstance(module, KeywordTransformer):
            raise TypeError(f"expected a KeywordTransformer, came {type(module).__name__}")
        return ElasticKeywordTransformer.from_plain(module)

    def pruning(self, full: Structure) -> Pruning:
        return transformer_pruning(full, "blocks")

    def masking_point(self, structure: Structure) -> str:
        return "frames"

    def scaled(self, full: Structure, parameters: int) -> Structure:
        """Even widths, heads in proportion (rounded down or up), depth and ratios as in `full`.

        Raises `UserError` when even the narrowest has more parameters.
        """
        widths = (*range(4, full["width"], 2), full["width"])

        def count(structures: Sequence[Structure]) -> Cells:
            return count_parameters(self.sheet(full, self.columns(structures)))

        return scaled(self.name, full, widths, parameters, count)
