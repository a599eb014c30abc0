"""Tiny encoders of tokens, images and Whisper's input, every weight random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.plugins.models.encoder.bert import BertFamily
from stillhouse.plugins.models.encoder.family import EncoderFamily
from stillhouse.plugins.models.encoder.network import Encoder
from stillhouse.plugins.models.encoder.vit import VitFamily
from stillhouse.plugins.models.encoder.whisper import WhisperFamily
from stillhouse.plugins.models.info import BertParams, VitParams, WhisperParams

Structure = dict[str, Any]

SIZES: dict[str, Any] = {"width": 16, "depth": 3, "heads": 4, "head_dim": 4, "ffn_ratio": 4.0}


def bert(outputs: int = 3, **params: Any) -> Structure:
    given = BertParams(**{**SIZES, "vocabulary": 30, **params})
    return dict(BertFamily().structure(given, (9,), outputs))


def vit(shape: tuple[int, ...] = (2, 9, 12), outputs: int = 3, **params: Any) -> Structure:
    return dict(VitFamily().structure(VitParams(**{**SIZES, **params}), shape, outputs))


def whisper(shape: tuple[int, ...] = (1801,), outputs: int = 3, **params: Any) -> Structure:
    given = WhisperParams(**{**SIZES, "mels": 8, **params})
    return dict(WhisperFamily().structure(given, shape, outputs))


KINDS: dict[str, tuple[EncoderFamily, Callable[[], Structure]]] = {
    "tokens": (BertFamily(), bert),
    "tokens, pooler": (BertFamily(), lambda: bert(pool="first", pooler=True, positions=20)),
    "patches": (VitFamily(), lambda: vit(pooler=True)),
    "patches of one channel": (VitFamily(), lambda: vit((8, 8), pool="mean", outputs=0)),
    "waveform": (WhisperFamily(), whisper),
    "log-mel frames": (WhisperFamily(), lambda: whisper((8, 11), input="mel")),
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> tuple[EncoderFamily, Structure]:
    """A family and a structure of it, of each kind in turn."""
    family, structure = KINDS[request.param]
    return family, structure()


@pytest.fixture
def built() -> Callable[[EncoderFamily, Structure], Encoder]:
    """Networks with every weight random, biases and norms too."""

    def build(family: EncoderFamily, structure: Structure) -> Encoder:
        generator = torch.Generator().manual_seed(0)
        module = family.build(structure, generator)
        for weight in module.parameters():
            nn.init.normal_(weight, std=0.3, generator=generator)
        return module.eval()

    return build


@pytest.fixture
def inputs() -> Callable[[Structure], Tensor]:
    """Two inputs; of tokens the second is half padding."""

    def draw(structure: Structure) -> Tensor:
        generator, shape = torch.Generator().manual_seed(1), structure["input_shape"]
        if structure["front_end"]["kind"] != "tokens":
            return torch.randn(2, *shape, generator=generator)
        ids = torch.randint(1, 30, (2, *shape), generator=generator)
        ids[1, shape[0] // 2 :] = structure["padding"]
        return ids

    return draw
