"""transformers itself, and tiny models of it with every weight random."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

Make = Callable[..., nn.Module]


@pytest.fixture(scope="session")
def transformers() -> Any:
    if find_spec("torchaudio") is not None:
        from stillhouse.plugins.tasks.torchaudio_shim import torchaudio

        torchaudio()
    return pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def tiny(transformers: Any) -> Make:
    """A model of transformers by the names of its class and its configuration, in eval mode."""

    def make(model: str, config: str, **sizes: Any) -> nn.Module:
        made: nn.Module = getattr(transformers, model)(getattr(transformers, config)(**sizes))
        generator = torch.Generator().manual_seed(0)
        for weight in made.parameters():
            nn.init.normal_(weight, std=0.3, generator=generator)
        return made.eval()

    return make


@pytest.fixture
def told() -> Callable[[nn.Module, Tensor], Tensor]:
    """Outputs in eval mode: of a plain encoder, or the last hidden state."""

    @torch.no_grad()
    def tell(module: nn.Module, x: Tensor, **given: Tensor) -> Tensor:
        out = module(x, **given)
        return out if isinstance(out, Tensor) else out.last_hidden_state

    return tell
