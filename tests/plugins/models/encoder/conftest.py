"""Tiny encoders of every kind, every weight of them random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.plugins.models.encoder.hubert import HubertFamily
from stillhouse.plugins.models.encoder.network import Encoder
from stillhouse.plugins.models.info import HubertParams

Structure = dict[str, Any]

TINY: dict[str, Any] = {
    "width": 16, "depth": 6, "heads": 4, "head_dim": 4, "ffn_ratio": 4.0, "channels": 6,
    "kernels": (4, 3), "strides": (2, 2), "position_kernel": 4, "position_groups": 4, "mels": 8,
}  # fmt: skip


def hubert(samples: int = 40, outputs: int = 3, **params: Any) -> Structure:
    found = HubertFamily().structure(HubertParams(**{**TINY, **params}), (samples,), outputs)
    return dict(found)


def frames(positions: dict[str, Any] | None, **changes: Any) -> Structure:
    found = hubert()
    front_end = {"kind": "frames", "features": 5}
    return {
        **found, "input_shape": [9, 5], "front_end": front_end, "positions": positions, **changes,
    }  # fmt: skip


KINDS: dict[str, Callable[[], Structure]] = {
    "waveform": hubert,
    "norms first": lambda: hubert(norm_first=True, conv_norm="layer", conv_bias=True),
    "no feature norm": lambda: hubert(feature_norm=False, position_kernel=5, outputs=0),
    "fbank": lambda: hubert(front_end="fbank"),
    "frames": lambda: frames({"kind": "table", "count": 12, "learned": True}, pooler=True),
    "sinusoids": lambda: frames(
        {"kind": "table", "count": 9, "learned": False}, pool="first", chunk=None, thirds=False
    ),
    "no positions": lambda: frames(None, norm=False, activation="relu"),
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Structure:
    """A structure of each kind in turn."""
    return KINDS[request.param]()


@pytest.fixture
def tiny() -> Callable[..., Structure]:
    """HuBERT structures; parameters as keywords."""
    return hubert


@pytest.fixture
def built() -> Callable[[Structure], Encoder]:
    """Networks with every weight random, biases and norms too."""

    def build(structure: Structure, seed: int = 0) -> Encoder:
        generator = torch.Generator().manual_seed(seed)
        module = HubertFamily().build(structure, generator)
        for weight in module.parameters():
            nn.init.normal_(weight, std=0.3, generator=generator)
        return module.eval()

    return build


@pytest.fixture
def inputs() -> Callable[[Structure], Tensor]:
    def draw(structure: Structure, samples: int = 2) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.randn(samples, *structure["input_shape"], generator=generator)

    return draw


@pytest.fixture
def configurations() -> Callable[..., list[dict[str, Any]]]:
    """Random ones within a tiny structure's weights."""

    def draw(count: int, full: Structure, seed: int = 0) -> list[dict[str, Any]]:
        rng = np.random.default_rng(seed)
        found = []
        for _ in range(count):
            depth = int(rng.integers(1, full["depth"] + 1))
            genes: dict[str, Any] = {
                "width": int(rng.choice([4, 8, 12, 16])),
                "depth": depth,
                "heads": [int(h) for h in rng.integers(1, 5, depth)],
                "ffn_ratio": [float(r) for r in rng.choice([0.25, 1, 1.7, 3, 3.5, 4], depth)],
            }
            if full["front_end"]["kind"] == "choice":
                genes["front_end"] = str(rng.choice(["waveform", "fbank"]))
            found.append(genes)
        return found

    return draw
