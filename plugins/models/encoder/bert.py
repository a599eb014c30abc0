"""BERT-shaped encoders of token ids: BERT (Devlin et al. 2019), RoBERTa, DistilBERT, MiniLM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.state import Structure
from stillhouse.plugins.models.encoder.family import EncoderFamily, checked
from stillhouse.plugins.models.encoder.sizes import bert_folder, bert_named, bert_sizes, layered
from stillhouse.plugins.models.encoder.weights.named import MINILM, verify_minilm
from stillhouse.plugins.models.info import BertParams


@final
class BertFamily(EncoderFamily):
    """Encoders of token ids (tokens,), padded at the end; padding is not attended to."""

    name = "bert"

    def structure(
        self, params: BertParams, input_shape: tuple[int, ...], outputs: int
    ) -> Structure:
        """Raises `UserError` for inputs that are no tokens, or longer than the table of positions.

        The table has as many rows as the inputs have tokens unless parameters say otherwise: what
        no input reaches is neither stored nor counted.
        """
        sizes, named = bert_sizes(params), bert_named(params)
        count = _positions(params, named, input_shape)
        return checked(
            {
                **layered(sizes),
                "eps": 1e-12,
                **(named or {}),
                "input_shape": list(input_shape),
                "outputs": outputs,
                "front_end": {"kind": "tokens", "vocabulary": sizes["vocabulary"]},
                "positions": {"kind": "table", "count": count, "learned": True},
                "padding": sizes["padding"],
                "pool": params.pool,
                "pooler": params.pooler,
            }
        )

    def pretrained(self, params: BertParams, structure: Structure) -> Mapping[str, Tensor] | None:
        folder = bert_folder(params)
        if folder is None:
            return None
        from stillhouse.plugins.models.encoder.foreign.bert import read_bert

        if params.weights == MINILM:
            verify_minilm(folder)
        return read_bert(folder, structure)

    def translated(self, module: nn.Module) -> nn.Module:
        from stillhouse.plugins.models.encoder.foreign.bert import from_bert

        return from_bert(module)

    def save_foreign(self, module: nn.Module, folder: Path) -> str:
        from stillhouse.plugins.models.encoder.foreign.bert import save_bert

        return save_bert(module, folder)


def _positions(
    params: BertParams, named: Mapping[str, Any] | None, input_shape: tuple[int, ...]
) -> int:
    tokens = input_shape[0] if input_shape else 0
    count = tokens if params.positions is None else params.positions
    most = count if named is None else named["positions"]["count"]
    if count > most:
        raise UserError(
            f"bert: expected at most {most} positions, the rows that the weights have, came "
            f"{count}; take shorter inputs"
        )
    return count
