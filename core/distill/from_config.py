"""A network of transformers from its configuration alone: every shape, no weights, no other code.

`transformers` is imported on use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.blocks import Block, blocks
from stillhouse.core.errors import UserError
from stillhouse.core.torchaudio_shim import torchaudio

CONFIG: Final = "config.json"
_SECOND: Final = 16_000
_TOKENS: Final = 8
_SIDE: Final = 224


@final
@dataclass(frozen=True)
class ConfiguredBlocks:
    """Blocks of a configured network: its class, and the input, with its batch, they are for."""

    kind: str
    input_shape: tuple[int, ...]
    blocks: tuple[Block, ...]


def configured_blocks(folder: Path, input_shape: tuple[int, ...] | None) -> ConfiguredBlocks:
    """The blocks of the network that a folder's `config.json` describes, on the meta device.

    Of an encoder-decoder network those of the encoder, whose input says all. `input_shape` has the
    batch; by default it follows from the configuration. Raises `UserError` for a configuration that
    transformers cannot build a network from by itself, or an input that it does not run on.
    """
    network = _network(folder)
    name, part = _encoder(network)
    kind = str(part.main_input_name)
    shape = input_shape or _usual(folder, kind, network.config)
    found = _run(folder, part, _example(kind, shape))
    named = tuple(_within(name, block) for block in found)
    return ConfiguredBlocks(type(network).__name__, shape, named)


def _network(folder: Path) -> Any:
    if find_spec("transformers") is None:
        raise UserError(
            f"{folder / CONFIG}: expected transformers, to build the network, but it is not "
            "installed; install it with: pip install 'stillhouse[text]'"
        )
    if find_spec("torchaudio") is not None:
        torchaudio()
    from transformers import AutoConfig, AutoModel

    here = {"trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, **here)
        with torch.device("meta"):
            # Attention of its own choice may be a kernel that is fetched from a hub.
            build: Any = AutoModel.from_config
            return build(config, attn_implementation="eager", **here).eval()
    except Exception as error:
        raise UserError(
            f"{folder / CONFIG}: expected the configuration of a network that transformers has "
            f"itself (code beside it is never run): {_first_line(error)}"
        ) from None


def _encoder(network: Any) -> tuple[str, Any]:
    """The part that reads the input, with its name: the encoder, or the whole network."""
    if not getattr(network.config, "is_encoder_decoder", False):
        return "", network
    encoder = network.get_encoder()
    return next((name, part) for name, part in network.named_modules() if part is encoder)


def _usual(folder: Path, kind: str, config: Any) -> tuple[int, ...]:
    """An input that the configuration describes, with a batch of 1."""
    if kind == "input_ids":
        return (1, _TOKENS)
    if kind == "input_values":
        return (1, _SECOND)
    if kind == "input_features" and hasattr(config, "max_source_positions"):
        return (1, config.num_mel_bins, 2 * config.max_source_positions)
    if kind == "pixel_values":
        side = getattr(config, "image_size", _SIDE)
        sides = tuple(side) if isinstance(side, (list, tuple)) else (side, side)
        return (1, getattr(config, "num_channels", 3), *sides)
    raise UserError(f"{folder}: expected the shape of {kind}; say it with --input, as in 1x16000")


def _example(kind: str, shape: tuple[int, ...]) -> Tensor:
    dtype = torch.int64 if kind == "input_ids" else torch.float32
    return torch.zeros(shape, dtype=dtype, device="meta")


def _run(folder: Path, network: nn.Module, example: Tensor) -> tuple[Block, ...]:
    try:
        return blocks(network, example)
    except UserError:
        raise
    except Exception as error:
        said = "x".join(map(str, example.shape))
        raise UserError(
            f"{folder}: {type(network).__name__} does not run on an input of shape {said} without "
            f"weights: {_first_line(error)}; say another shape with --input"
        ) from None


def _within(name: str, block: Block) -> Block:
    return replace(block, name=f"{name}.{block.name}" if name else block.name)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
